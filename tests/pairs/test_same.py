"""same_image and same_label against double loops, and the counts that ASCL states."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sparring.pairs import same_image, same_label
from sparring.types import Rows

NUMBERS = st.lists(st.integers(-1, 4), min_size=1, max_size=12)


def loop(values: list[int]):
    """Both masks from the definitions, entry by entry."""
    rows = range(len(values))
    positive = [[i != k and values[i] == values[k] for k in rows] for i in rows]
    return torch.tensor(positive), torch.tensor([[i != k for k in rows] for i in rows])


@given(NUMBERS)
def test_same_image_is_the_double_loop(image):
    pairs = same_image(Rows(torch.tensor(image)))
    positive, contrast = loop(image)
    assert torch.equal(pairs.positive, positive)
    assert torch.equal(pairs.contrast, contrast)


@given(NUMBERS)
def test_same_label_is_the_double_loop(labels):
    pairs = same_label(Rows(torch.arange(len(labels)), labels=torch.tensor(labels)))
    positive, contrast = loop(labels)
    assert torch.equal(pairs.positive, positive)
    assert torch.equal(pairs.contrast, contrast)


@given(NUMBERS)
def test_positives_compete_and_the_anchor_is_in_neither_mask(labels):
    rows = Rows(torch.arange(len(labels)) // 2, labels=torch.tensor(labels))
    for pairs in (same_image(rows), same_label(rows)):
        assert not (pairs.positive & ~pairs.contrast).any()
        assert not pairs.positive.diagonal().any()
        assert not pairs.contrast.diagonal().any()


def test_two_views_have_one_positive_each():
    pairs = same_image(Rows(torch.arange(5).repeat(2)))
    assert torch.equal(pairs.positive.nonzero()[:, 1], (torch.arange(10) + 5) % 10)
    assert pairs.without_positive == 0


def test_an_anchor_alone_with_its_label_is_counted():
    pairs = same_label(Rows(torch.arange(4), labels=torch.tensor([7, 7, 7, 3])))
    assert pairs.without_positive == 1


def test_missing_labels_are_named():
    with pytest.raises(ValueError, match=r"^labels is None, but same_label needs one label a row"):
        same_label(Rows(torch.arange(4)))


def test_labels_of_another_length_are_named():
    rows = Rows(torch.arange(4), labels=torch.arange(4))
    object.__setattr__(rows, "labels", torch.arange(3))  # the shape check of the test run would refuse it in Rows(...)
    with pytest.raises(ValueError, match=r"^labels has 3 entries for 4 rows"):
        same_label(rows)


def test_expected_counts_at_128_images_of_10_classes():
    """Facts anchor (e): 1 + 254/10 = 26.4 positives (own counterpart included), 254 - 25.4 = 228.6 negatives."""
    draws = 400
    labels = torch.randint(10, (draws, 128), generator=torch.Generator().manual_seed(0))
    positives = torch.empty(draws)
    negatives = torch.empty(draws)
    for draw in range(draws):
        pairs = same_label(Rows(torch.arange(128).repeat(2), labels=labels[draw].repeat(2)))
        positives[draw] = pairs.positive.sum(dim=1).float().mean()
        negatives[draw] = (pairs.contrast & ~pairs.positive).sum(dim=1).float().mean()
    four_sigma = 4 * positives.std() / draws**0.5
    assert four_sigma < 0.3
    assert abs(positives.mean() - 26.4) < four_sigma
    assert abs(negatives.mean() - 228.6) < four_sigma
    assert torch.equal(positives + negatives, torch.full((draws,), 255.0))
