"""Removal of false negatives against loops that look at one pair at a time, and what is never removed."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparring.pairs import (
    Frequency,
    Pairs,
    Precision,
    PseudoLabels,
    Recall,
    fixed,
    looks_at_embeddings,
    removal_quality,
    same_image,
    same_label,
    select,
)
from sparring.types import Batch, Rows
from tests.reference import false_negatives as reference

UNITS = pytest.mark.parametrize("unit", ["instance", "view"])
STRATEGIES = {
    "frequency": lambda **more: Frequency(3, **more),
    "precision": lambda **more: Precision(2, **more),
    "recall": lambda **more: Recall(2, 5, **more),
}
OPTIONS = {"frequency": {"classes": 3}, "precision": {"every": 2}, "recall": {"every": 2, "parts": 5}}
LOOPS = settings(max_examples=25, deadline=None)
EACH = pytest.mark.parametrize("name", STRATEGIES)


def rows_of(images: int = 7, views: int = 2, *, epoch: int = 5, seed: int = 0, shuffled: bool = False, **more) -> Rows:
    generator = torch.Generator().manual_seed(seed)
    image = torch.arange(images).repeat(views)
    if shuffled:
        image = image[torch.randperm(len(image), generator=generator)]
    z = torch.randn(len(image), 5, generator=generator)
    return Rows(image, z=z, epoch=epoch, **more)


def test_the_schedules_are_the_papers_tables():
    """Facts, section 2: batch 1024, precision floor(t / 100), recall 512, 448, ... 0 at epoch 600, frequency 102."""
    recall = [Recall().count(1024, epoch) for epoch in range(1000)]
    assert [recall[epoch] for epoch in range(0, 601, 75)] == [512, 448, 384, 320, 256, 192, 128, 64, 0]
    assert recall[74] == 512 and recall[599] == 64 and set(recall[600:]) == {0}
    assert [Precision().count(1024, epoch) for epoch in range(1000)] == [epoch // 100 for epoch in range(1000)]
    assert {Frequency(10).count(1024, epoch) for epoch in (0, 500, 999)} == {102}
    assert Frequency(100).count(1024, 0) == 10


@LOOPS
@given(images=st.integers(2, 40), epoch=st.integers(0, 60), every=st.integers(1, 9), parts=st.integers(1, 20))
def test_counts_are_those_of_the_epochs_gone_through_one_by_one(images, epoch, every, parts):
    for name, selector in (
        ("frequency", Frequency(parts)),
        ("precision", Precision(every)),
        ("recall", Recall(every, parts)),
    ):
        expected = reference.removed_images(name, images, epoch, classes=parts, every=every, parts=parts)
        # The loop's floats may land an ulp beside a whole number, where floor differs.
        assert abs(selector.count(images, epoch) - expected) <= (name == "recall" and images % parts != 0)
        assert 0 <= selector.count(images, epoch) <= images - 2


@EACH
@UNITS
@LOOPS
@given(images=st.integers(2, 9), views=st.integers(1, 3), epoch=st.integers(0, 12), seed=st.integers(0, 99))
def test_masks_are_the_loop(name, unit, images, views, epoch, seed):
    rows = rows_of(images, views, epoch=epoch, seed=seed, shuffled=True)
    pairs, image, z = STRATEGIES[name](unit=unit)(rows), rows.image.tolist(), rows.z.tolist()
    count = reference.removed_images(name, images, epoch, **OPTIONS[name])
    for i in range(len(image)):
        gone = reference.removed_rows(z, image, i, count, unit)
        assert pairs.positive[i].tolist() == [r != i and image[r] == image[i] for r in range(len(image))]
        assert pairs.contrast[i].tolist() == [r != i and r not in gone for r in range(len(image))]
    assert pairs.weight is None


def test_as_many_rows_leave_either_way_but_not_the_same():
    rows = rows_of(12)
    whole, each, base = *(Frequency(3, unit=unit)(rows) for unit in ("instance", "view")), same_image(rows).negative
    assert torch.equal(whole.contrast.sum(1), each.contrast.sum(1))
    assert not torch.equal(whole.contrast, each.contrast)
    both, by_themselves = ((base & ~pairs.negative).unflatten(1, (2, 12)).sum(1) for pairs in (whole, each))
    assert set(both.unique().tolist()) == {0, 2}
    assert 1 in by_themselves


@EACH
@UNITS
@pytest.mark.parametrize("replacement", ["none", "resample", "rescale"])
def test_the_anchor_and_its_own_image_never_leave_and_a_negative_stays(name, unit, replacement):
    """All rows are alike, so that nothing but the rule keeps them; the schedules ask for as much as they can."""
    for epoch in (0, 3, 100):
        rows = replace(rows_of(4, epoch=epoch), z=torch.ones(8, 3))
        pairs, base = STRATEGIES[name](unit=unit, replacement=replacement)(rows), same_image(rows)
        assert torch.equal(pairs.positive, base.positive)
        assert not pairs.contrast.diagonal().any()
        assert (pairs.contrast & base.positive).equal(base.positive)
        assert (pairs.negative.sum(dim=1) >= 2).all()
        if pairs.weight is not None:
            assert (pairs.weight[base.positive] == 1).all()
            assert (pairs.weight >= 1)[pairs.contrast].all()


@EACH
@UNITS
@pytest.mark.parametrize("replacement", ["resample", "rescale"])
@LOOPS
@given(images=st.integers(3, 8), epoch=st.integers(0, 9), seed=st.integers(0, 99))
def test_replacement_keeps_the_number_of_negatives(name, unit, replacement, images, epoch, seed):
    rows = rows_of(images, epoch=epoch, seed=seed, shuffled=True)
    plain, pairs = STRATEGIES[name](unit=unit)(rows), STRATEGIES[name](unit=unit, replacement=replacement)(rows)
    assert torch.equal(plain.contrast, pairs.contrast)
    weight = torch.ones(pairs.contrast.shape) if pairs.weight is None else pairs.weight
    total = (weight * pairs.negative).sum(dim=1)
    torch.testing.assert_close(total, torch.full_like(total, 2 * (images - 1)))
    if replacement == "resample":
        assert torch.equal(weight, weight.round())
        if unit == "instance":  # both views of an image stand in for both views of another
            for j in range(images):
                first, second = (rows.image == j).nonzero().flatten()
                assert torch.equal(weight[:, first], weight[:, second])


def test_in_each_view_alone_too_which_plain_needs():
    rows = rows_of(9)
    pairs = Recall(replacement="resample")(rows)
    one_way = pairs[:9, 9:]
    assert one_way.weight is not None
    assert ((one_way.weight * one_way.negative).sum(dim=1) == 8).all()


@pytest.mark.parametrize("selector", [Recall(), Recall(unit="view"), PseudoLabels()])
def test_rescaling_is_the_mean_of_resampling(selector):
    """300 draws; four standard errors of a binomial share."""
    rows = rows_of(6, epoch=0, pseudo=torch.tensor([0, 0, 1, 1, 1, 1]).repeat(2))
    rows = replace(rows, generator=torch.Generator().manual_seed(3))
    resample = replace(selector, replacement="resample")
    drawn = torch.stack([resample(rows).weight for _ in range(300)])
    expected = replace(selector, replacement="rescale")(rows).weight
    error = 4 * drawn.std(dim=0) / 300**0.5 + 1e-6
    negative = selector(rows).negative
    assert ((drawn.mean(dim=0) - expected).abs() <= error)[negative].all()
    assert drawn.std(dim=0)[negative].min() > 0.1


def test_draws_come_from_the_shared_generator_alone():
    def weight(seed):
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        return Recall(replacement="resample")(replace(rows_of(), generator=generator)).weight

    state = torch.get_rng_state()
    assert torch.equal(weight(1), weight(1))
    assert not torch.equal(weight(1), weight(2))
    assert torch.equal(weight(None), weight(0))
    assert torch.equal(torch.get_rng_state(), state)


@UNITS
def test_resampling_works_with_another_default_dtype(unit):
    torch.set_default_dtype(torch.float64)
    try:
        pairs = Recall(unit=unit, replacement="resample")(rows_of(epoch=0))
    finally:
        torch.set_default_dtype(torch.float32)
    assert ((pairs.weight * pairs.negative).sum(dim=1) == 12).all() and pairs.weight.max() > 1


@LOOPS
@given(clusters=st.lists(st.integers(0, 3), min_size=2, max_size=7))
def test_pseudo_labels_are_labels(clusters):
    rows = rows_of(len(clusters), pseudo=torch.tensor(clusters).repeat(2), labels=torch.arange(len(clusters)).repeat(2))
    pairs, expected = PseudoLabels()(rows), same_label(replace(rows, labels=rows.pseudo))
    assert torch.equal(pairs.positive, expected.positive) and torch.equal(pairs.contrast, expected.contrast)
    for replacement in ("resample", "rescale"):
        replaced = PseudoLabels(replacement)(rows)
        assert replaced.weight is not None
        total, negatives = (replaced.weight * replaced.negative).sum(dim=1), pairs.negative.sum(dim=1)
        everybody = torch.where(negatives > 0, 2.0 * (len(clusters) - 1), 0.0)
        torch.testing.assert_close(total, everybody)
        assert (replaced.weight[pairs.positive] == 1).all()


@EACH
def test_labels_are_never_read(name):
    known = rows_of(labels=torch.arange(7).repeat(2), prediction=torch.arange(7).repeat(2))
    for replacement in ("none", "resample"):
        one, other = (STRATEGIES[name](replacement=replacement)(rows) for rows in (known, rows_of()))
        assert torch.equal(one.contrast, other.contrast)


@EACH
def test_embeddings_under_autocast_are_ranked_in_float32(name):
    rows = rows_of(40, epoch=9)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(STRATEGIES[name]()(rows).contrast, STRATEGIES[name]()(rows).contrast)
        under = STRATEGIES[name]()(rows).contrast
    assert torch.equal(under, STRATEGIES[name]()(rows).contrast)


@UNITS
@pytest.mark.parametrize("name", [*STRATEGIES, "pseudo"])
def test_quality_is_the_loop_over_all_pairs(name, unit):
    labels, clusters = torch.tensor([0, 0, 0, 1, 1, 2, 3]), torch.tensor([0, 0, 1, 1, 1, 2, 2])
    rows = rows_of(labels=labels.repeat(2), pseudo=clusters.repeat(2), epoch=3)
    pairs = PseudoLabels()(rows) if name == "pseudo" else STRATEGIES[name](unit=unit)(rows)
    base, image = same_image(rows), rows.image.tolist()
    removed = [set((base.negative[i] & ~pairs.negative[i]).nonzero().flatten().tolist()) for i in range(len(image))]
    expected = reference.precision_and_recall(removed, image, rows.labels.tolist())
    assert [float(x) for x in removal_quality(pairs, base, rows.labels)] == pytest.approx(expected)


def test_quality_of_a_perfect_removal_and_of_none():
    rows = rows_of(labels=torch.tensor([0, 0, 1, 1, 2, 2, 2]).repeat(2))
    base = same_image(rows)
    assert [float(x) for x in removal_quality(base, base, rows.labels)] == [1.0, 0.0]
    perfect = Pairs(base.positive, base.contrast & ((rows.labels[:, None] != rows.labels) | base.positive))
    assert [float(x) for x in removal_quality(perfect, base, rows.labels)] == [1.0, 1.0]
    alone = torch.arange(7).repeat(2)
    assert [float(x) for x in removal_quality(base, base, alone)] == [1.0, 1.0]


class TestFixed:
    def test_whatever_the_rows(self):
        rows = rows_of()
        pairs = Frequency(3)(rows)
        assert fixed(pairs)(replace(rows, z=-rows.z, epoch=99)) is pairs
        assert looks_at_embeddings(Frequency(3)) and not looks_at_embeddings(fixed(pairs))
        assert not looks_at_embeddings(same_image)

    @pytest.mark.parametrize("replacement", ["none", "resample", "rescale"])
    def test_another_view_takes_the_place_of_the_first(self, replacement):
        """Rows [t; t'; x^] where x^ takes t's place, pair by pair."""
        rows = rows_of(5, epoch=0)
        pairs = Recall(replacement=replacement)(rows)
        stands_for = [*range(10), *range(5)]
        extended = fixed(pairs, torch.tensor(stands_for))(rows_of(5, 3))
        for r in range(15):
            for s in range(15):
                u, v = stands_for[r], stands_for[s]
                copy = r != s and u == v
                assert extended.positive[r, s] == (copy or (r != s and bool(pairs.positive[u, v])))
                assert extended.contrast[r, s] == (copy or (r != s and bool(pairs.contrast[u, v])))
                if pairs.weight is not None:
                    assert extended.weight[r, s] == (1 if u == v else pairs.weight[u, v])
        if replacement != "none":
            total = (extended.weight * extended.negative).sum(dim=1)
            torch.testing.assert_close(total, torch.full_like(total, 3 * 4))

    def test_other_rows_need_a_word_about_their_places(self):
        with pytest.raises(ValueError, match="there are 21 rows, but the fixed pairs are of 14: say with `stands_for`"):
            fixed(Frequency(3)(rows_of()))(rows_of(7, 3))


class TestSelect:
    def test_counts_what_is_removed(self):
        labels = torch.tensor([0, 0, 1, 1, 2, 2])
        batch = Batch(torch.rand(2, 6, 1, 2, 2), labels=labels)
        z = torch.nn.functional.one_hot(labels).float().repeat(2, 1) + 0.01 * torch.arange(12)[:, None]
        select(Frequency(6), batch, z, views=2)
        counts = {key: float(value) for key, value in batch.counts.items()}
        assert counts == {"anchors_without_positive": 0, "removed": 2, "removal_precision": 1, "removal_recall": 1}

    def test_without_labels_or_removal_there_is_less_to_say(self):
        z = rows_of(6).z
        batch = Batch(torch.rand(2, 6, 1, 2, 2))
        assert torch.equal(select(same_image, batch, z, views=2).positive, same_image(rows_of(6)).positive)
        assert set(batch.counts) == {"anchors_without_positive"}
        select(Frequency(3), batch, z, views=2)
        assert set(batch.counts) == {"anchors_without_positive", "removed"}

    def test_a_batch_tells_its_rows_all_that_it_knows(self):
        generator = torch.Generator()
        batch = Batch(
            torch.rand(2, 2, 1, 2, 2),
            index=torch.tensor([7, 3]),
            pseudo_labels=torch.tensor([1, 4]),
            shared_generator=generator,
            epoch=3,
        )
        rows = batch.rows(torch.rand(4, 2), views=2)
        assert (rows.index.tolist(), rows.pseudo.tolist()) == ([7, 3, 7, 3], [1, 4, 1, 4])
        assert (rows.images, rows.epoch, rows.labels) == (2, 3, None) and rows.generator is generator


class TestBadInput:
    @pytest.mark.parametrize(
        ("make", "sentence"),
        [
            (lambda: Frequency(0), "Frequency: classes must be at least 1, not 0"),
            (lambda: Precision(every=0), "Precision: every must be at least 1, not 0"),
            (lambda: Recall(parts=-1), "Recall: parts must be at least 1, not -1"),
            (
                lambda: PseudoLabels()(rows_of()),
                "pseudo is None, but PseudoLabels needs the cluster of each row's image",
            ),
            (lambda: Frequency(2)(replace(rows_of(), z=None)), "z is None, but suspects are ranked by the embeddings"),
        ],
    )
    def test_is_one_sentence(self, make, sentence):
        with pytest.raises(ValueError, match=f"^{sentence}"):
            make()

    def test_another_number_of_embeddings(self):
        rows = rows_of()
        object.__setattr__(rows, "z", torch.rand(3, 2))
        with pytest.raises(ValueError, match=r"^z has 3 entries for 14 rows: one a row is needed$"):
            Frequency(2)(rows)
