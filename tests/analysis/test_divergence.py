from __future__ import annotations

import inspect
import sys

import pytest
import torch

from sparring.analysis import divergence
from tests.reference import divergence as reference

MODULE = sys.modules["sparring.analysis.divergence"]


@pytest.fixture
def data():
    """29 images of five classes, the last of which has one image, so that some anchors lack members."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.tensor([i % 4 for i in range(28)] + [7])
    features = torch.randn(29, 6, generator=generator) + torch.eye(8, 6)[labels]
    return features, features + 0.5 * torch.randn(29, 6, generator=generator), labels


def lists(data):
    features, features_adv, labels = data
    return features.double().tolist(), features_adv.double().tolist(), labels.tolist()


@pytest.mark.parametrize("block_rows", [2048, 4])
@pytest.mark.parametrize("batch_size", [None, 8, 5, 29, 64])
@pytest.mark.parametrize(("pairs", "copies"), [("definition", ("clean", "adv")), ("clean_to_adv", ("adv",))])
@pytest.mark.parametrize("include_own", [False, True])
def test_equals_a_loop_over_all_pairs(data, batch_size, pairs, copies, include_own, block_rows, monkeypatch):
    monkeypatch.setattr(MODULE, "BLOCK_ROWS", block_rows)
    found = divergence(*data, batch_size=batch_size, pairs=pairs, include_own=include_own)
    size = batch_size or 29
    clean = reference.divergence(*lists(data), size, copies=("clean",))
    adv = reference.divergence(*lists(data), size, copies=copies, own=include_own)
    assert (found.intra, found.inter) == pytest.approx(clean, rel=1e-12)
    assert (found.intra_adv, found.inter_adv) == pytest.approx(adv, rel=1e-12)
    assert found.r_div == pytest.approx(adv[0] / adv[1], rel=1e-12)
    assert found.r_div_clean == pytest.approx(clean[0] / clean[1], rel=1e-12)


def test_the_spread_is_over_anchors(data):
    near, far = reference.per_anchor(*lists(data), ("clean", "adv"), own=False)
    found = divergence(*data, batch_size=None)
    for std, values in ((found.intra_adv_std, near), (found.inter_adv_std, far)):
        mean = sum(values) / len(values)
        assert std == pytest.approx((sum((v - mean) ** 2 for v in values) / len(values)) ** 0.5)


def test_the_readings_differ(data):
    values = [
        divergence(*data, batch_size=None, pairs=pairs, include_own=own).r_div
        for pairs in ("definition", "clean_to_adv")
        for own in (False, True)
    ]
    assert len({round(value, 6) for value in values}) == 4


def test_the_whole_set_has_no_order_and_mini_batches_do(data):
    order = torch.randperm(29, generator=torch.Generator().manual_seed(3))
    shuffled = [part[order] for part in data]
    whole, other = divergence(*data, batch_size=None), divergence(*shuffled, batch_size=None)
    assert other.intra_adv == pytest.approx(whole.intra_adv, rel=1e-12)
    assert other.inter_adv == pytest.approx(whole.inter_adv, rel=1e-12)
    assert other.intra_adv_std == pytest.approx(whole.intra_adv_std, rel=1e-9)
    assert divergence(*shuffled, batch_size=8).intra_adv != pytest.approx(
        divergence(*data, batch_size=8).intra_adv, rel=1e-6
    )


@pytest.mark.parametrize("scale", [1e-150, 1e-3, 1e150])
def test_the_scale_of_features_does_not_matter(data, scale):
    features, features_adv, labels = data
    rows = torch.linspace(1, 9, 29, dtype=torch.float64).view(-1, 1)
    scaled = divergence(scale * features.double(), rows * features_adv.double(), labels)
    assert scaled.r_div == pytest.approx(divergence(*data).r_div, rel=1e-12)
    assert scaled.r_div_clean == pytest.approx(divergence(*data).r_div_clean, rel=1e-12)


def test_closed_forms():
    classes = torch.tensor([0, 1, 2]).repeat(5)
    axes = torch.eye(3)[classes]
    perfect = divergence(axes, axes, classes)
    assert (perfect.intra, perfect.inter, perfect.r_div) == (0, 1, 0)
    # adversarial examples that all lie on the next class's axis: half of the members of each set are moved
    fooled = divergence(axes, axes.roll(1, dims=1), classes)
    assert (fooled.intra_adv, fooled.inter_adv) == pytest.approx((0.5, 0.75))
    assert divergence(axes, axes.roll(1, dims=1), classes, pairs="clean_to_adv").r_div == pytest.approx(2)
    assert fooled.r_div_clean == 0


def test_an_attack_that_changes_nothing_gives_the_clean_divergence(data):
    features, _, labels = data
    found = divergence(features, features, labels, batch_size=8)
    assert (found.intra_adv, found.inter_adv) == pytest.approx((found.intra, found.inter), rel=1e-12)


def test_anchors_without_members_are_counted_and_left_out(data):
    features, features_adv, labels = data
    found = divergence(*data, batch_size=None)
    assert (found.anchors, found.without_positive, found.without_negative) == (29, 1, 0)
    without = divergence(features[:28], features_adv[:28], labels[:28], batch_size=None)
    assert found.intra_adv == pytest.approx(without.intra_adv, rel=1e-12)
    by_class = divergence(features[:28], features_adv[:28], labels[:28].sort().values, batch_size=8)
    # classes of seven in batches of eight: 7 + 1, 6 + 2, 5 + 3, and four of one class alone
    assert (by_class.without_positive, by_class.without_negative) == (1, 4)


def test_a_collapsed_representation_has_no_ratio(data):
    labels = data[2]
    same = torch.full((29, 6), 0.1)
    found = divergence(same, same, labels)
    assert found.r_div != found.r_div
    assert found.r_div_clean != found.r_div_clean
    assert (found.intra, found.inter_adv) == pytest.approx((0, 0), abs=1e-12)
    # 1e-7 rad apart: 5e-15 of cosine distance, of which rounding is a large part
    angles = 1e-7 * torch.linspace(0, 1, 29, dtype=torch.float64)
    nearly = torch.stack([angles.cos(), angles.sin()], dim=1)
    assert divergence(nearly, nearly, labels).r_div != divergence(nearly, nearly, labels).r_div


def test_a_row_of_zeros_is_at_distance_one(data):
    labels = torch.tensor([0, 0, 1, 1])
    features = torch.tensor([[1.0, 0], [0, 0], [1.0, 0], [1.0, 0]])
    found = divergence(features, features, labels)
    assert (found.intra, found.inter) == pytest.approx(((1 + 1 + 0 + 0) / 4, (0 + 1 + 0.5 + 0.5) / 4))


def test_memory_does_not_grow_with_the_square_of_the_images():
    # a 100,000 x 100,000 matrix would be 10 GB even as bytes
    n = 100_000
    angles = torch.linspace(0, 1, n)
    features = torch.stack([angles.cos(), angles.sin()], dim=1)
    found = divergence(features, features, (angles > 0.5).long(), batch_size=None)
    assert 0 < found.r_div < 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_precision_and_no_gradient(data, dtype):
    features, features_adv, labels = (part.to(dtype) if part.is_floating_point() else part for part in data)
    found = divergence(features.requires_grad_(), features_adv, labels.to(torch.int32))
    assert found.r_div == pytest.approx(divergence(*data).r_div, rel=0.02)
    assert features.grad is None


def test_bad_input_is_one_sentence(data):
    features, features_adv, labels = data
    with pytest.raises(ValueError, match="batch_size is 1, but must be at least 2"):
        divergence(*data, batch_size=1)
    with pytest.raises(ValueError, match="features has 1 rows: a divergence needs at least 2"):
        divergence(features[:1], features_adv[:1], labels[:1])
    with pytest.raises(ValueError, match="no image has another of its class in the whole set"):
        divergence(features, features_adv, torch.arange(29))
    with pytest.raises(ValueError, match="no image has one of another class in its mini-batch of 7 consecutive rows"):
        divergence(features[:28], features_adv[:28], labels[:28].sort().values, batch_size=7)
    unchecked = inspect.unwrap(divergence)  # as users call it, without the shape checks of the test run
    with pytest.raises(ValueError, match=r"features_adv is \(28, 6\), features \(29, 6\)"):
        unchecked(features, features_adv[1:], labels)
    with pytest.raises(ValueError, match="labels has 28 entries for 29 rows"):
        unchecked(features, features_adv, labels[1:])
    with pytest.raises(ValueError, match=r"features is \(29, 2, 3\), but must be one row an image"):
        unchecked(features.view(29, 2, 3), features_adv.view(29, 2, 3), labels)
    with pytest.raises(ValueError, match='pairs is "all", but must be "definition" or "clean_to_adv"'):
        unchecked(*data, pairs="all")
    features_adv[3, 2], features_adv[5, 0] = float("nan"), float("inf")
    with pytest.raises(ValueError, match="features_adv has 2 rows that are not finite, the first at 3"):
        divergence(*data)
