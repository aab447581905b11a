"""Local selection against Table 1 read pair by pair, and the numbers of pairs that it must give on average."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparring.pairs import hard, leaked, leaked_official, same_label, soft
from sparring.types import Batch, Outputs, Rows
from tests.reference import selection as reference

SELECTORS = {
    "global": same_label,
    "hard": hard,
    "soft": soft,
    "leaked": leaked,
    "leaked_official": leaked_official,
}
LOCAL = pytest.mark.parametrize("name", [name for name in SELECTORS if name != "global"])


def clean_and_adversarial(labels, predictions) -> Rows:
    labels = torch.as_tensor(labels)
    return Rows(torch.arange(len(labels)).repeat(2), labels.repeat(2), prediction=torch.as_tensor(predictions))


@st.composite
def labels_and_predictions(draw):
    images = draw(st.integers(1, 8))
    classes = st.integers(0, 3)
    return (
        draw(st.lists(classes, min_size=images, max_size=images)),
        draw(st.lists(classes, min_size=2 * images, max_size=2 * images)),
    )


@pytest.mark.parametrize("name", SELECTORS)
@settings(deadline=None)
@given(known=labels_and_predictions())
def test_masks_are_table_1(name, known):
    labels, predictions = known
    pairs = SELECTORS[name](clean_and_adversarial(labels, predictions))
    for i in range(len(predictions)):
        positives, negatives = reference.positives_and_negatives(name, labels, predictions, i)
        assert set(pairs.positive[i].nonzero()[:, 0].tolist()) == positives
        assert set(pairs.contrast[i].nonzero()[:, 0].tolist()) == positives | negatives


def test_an_example_by_hand():
    """Images of classes 0, 0, 1; the first is fooled by its attack into 1, the third is taken for a 0 when clean."""
    rows = clean_and_adversarial([0, 0, 1], [0, 0, 0, 1, 0, 1])
    anchor_clean, anchor_adv = 0, 3
    assert leaked(rows).positive[anchor_clean].tolist() == [False, True, False, True, True, False]
    assert leaked(rows).contrast[anchor_clean].tolist() == [False, True, True, True, True, False]
    assert leaked_official(rows).positive[anchor_clean].tolist() == [False, True, False, False, True, False]
    assert leaked(rows).positive[anchor_adv].tolist() == [True, False, False, False, False, False]
    assert leaked(rows).contrast[anchor_adv].tolist() == [True, False, False, False, False, True]
    assert leaked_official(rows).without_positive == 3  # the fooled row, and both rows of the third image
    assert hard(rows).contrast[anchor_adv].tolist() == [True, True, True, False, True, False]
    assert soft(rows).contrast[anchor_adv].tolist() == [True, True, False, False, True, True]


def test_a_classifier_that_is_always_right_leaves_no_negatives():
    rows = clean_and_adversarial([0, 0, 1, 2], [0, 0, 1, 2] * 2)
    for select in (hard, soft, leaked, leaked_official):
        assert torch.equal(select(rows).positive, same_label(rows).positive)
        assert torch.equal(select(rows).contrast, same_label(rows).positive)


def test_a_classifier_of_one_class_makes_soft_and_leaked_global():
    rows = clean_and_adversarial([0, 0, 1, 2], [1] * 8)
    for select in (soft, leaked, leaked_official):
        assert torch.equal(select(rows).positive, same_label(rows).positive)
        assert torch.equal(select(rows).contrast, same_label(rows).contrast)


@settings(deadline=None)
@given(known=labels_and_predictions())
def test_leaked_never_leaves_an_anchor_without_its_counterpart(known):
    pairs = leaked(clean_and_adversarial(*known))
    assert pairs.without_positive == 0
    images = len(known[0])
    assert pairs.positive.diagonal(images).all()
    assert pairs.positive.diagonal(-images).all()


def expected(name: str, images: int, classes: int) -> tuple[float, float]:
    """Positives and negatives of an anchor on average, if labels and predictions are independent and uniform.

    The counterpart counts one; of the 2 (B - 1) other rows, 1 in K shares the label and 1 in K has any given prediction.
    At 128 images of 10 classes, global: 12.7 * 2 + 1 = 26.4 and 114.3 * 2 = 228.6 (Fig. 4a).
    """
    others, share = 2 * (images - 1), 1 / classes
    same, different = others * share, others * (1 - share)
    return {
        "global": (1 + same, different),
        "hard": (1 + same, different * share),
        "soft": (1 + same, different * share),
        "leaked": (1 + same * share, different * share),
        "leaked_official": (share + same * share, different * share),
    }[name]


def test_the_closed_form_is_the_papers_count():
    assert expected("global", 128, 10) == pytest.approx((26.4, 228.6))


@pytest.mark.parametrize("name", SELECTORS)
def test_expected_counts_at_128_images_of_10_classes(name):
    draws, generator = 100, torch.Generator().manual_seed(0)
    counts = torch.empty(draws, 2)
    for draw in range(draws):
        labels = torch.randint(10, (128,), generator=generator)
        predictions = torch.randint(10, (256,), generator=generator)
        pairs = SELECTORS[name](clean_and_adversarial(labels, predictions))
        counts[draw, 0] = pairs.positive.sum() / 256
        counts[draw, 1] = (pairs.contrast & ~pairs.positive).sum() / 256
    error = (counts.mean(dim=0) - torch.tensor(expected(name, 128, 10))).abs()
    four_sigma = 4 * counts.std(dim=0) / draws**0.5
    assert (four_sigma < torch.tensor([0.5, 0.5])).all()
    assert (error < four_sigma).all()


def test_a_batch_knows_what_each_row_is_predicted_to_be():
    """The adversarial rows by their own scores, without a gradient."""
    logits = torch.tensor([[2.0, 1], [0, 3], [1, 2], [0, 1]], requires_grad=True)
    h = torch.randn(4, 3)
    outputs = Outputs(h=h, z=h, logits=logits)
    batch = Batch(torch.rand(1, 2, 3, 4, 4), labels=torch.tensor([0, 1]))
    rows = batch.rows(outputs.z, views=2, logits=outputs.logits)
    assert rows.prediction is not None
    assert rows.prediction.tolist() == [0, 1, 1, 1]
    assert batch.rows(outputs.z, views=2).prediction is None


class TestBadInput:
    @LOCAL
    def test_missing_predictions(self, name):
        rows = Rows(torch.arange(2).repeat(2), labels=torch.arange(2).repeat(2))
        with pytest.raises(
            ValueError, match=rf"^prediction is None, but {name} needs each row's predicted class: use it in a method"
        ):
            SELECTORS[name](rows)

    @LOCAL
    def test_missing_labels(self, name):
        rows = Rows(torch.arange(2).repeat(2), prediction=torch.arange(4))
        with pytest.raises(ValueError, match=rf"^labels is None, but {name} needs one label a row"):
            SELECTORS[name](rows)

    @LOCAL
    @pytest.mark.parametrize("field", ["labels", "prediction"])
    def test_another_number_of_rows(self, name, field):
        rows = clean_and_adversarial([0, 1], [0, 1, 0, 1])
        object.__setattr__(rows, field, torch.arange(3))  # Rows(...) itself is checked in the test run
        with pytest.raises(ValueError, match=rf"^{field} has 3 entries for 4 rows: one a row is needed$"):
            SELECTORS[name](rows)
