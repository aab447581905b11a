from __future__ import annotations

import pytest
import torch

from sparring.analysis import selected, selection_counts
from sparring.pairs import same_label
from sparring.types import Pairs, Rows


def global_pairs(labels: list[int]) -> Pairs:
    """ASCL's global selection over [clean; adversarial] rows, written out."""
    rows = len(labels) * 2
    positive = torch.zeros(rows, rows, dtype=torch.bool)
    contrast = torch.zeros(rows, rows, dtype=torch.bool)
    for i in range(rows):
        for k in range(rows):
            contrast[i, k] = k != i
            positive[i, k] = k != i and labels[i % len(labels)] == labels[k % len(labels)]
    return Pairs(positive, contrast)


@pytest.fixture
def random_pairs():
    generator = torch.Generator().manual_seed(4)
    positive = torch.rand(8, 8, generator=generator) < 0.3
    return Pairs(positive, positive | (torch.rand(8, 8, generator=generator) < 0.4))


def test_counts_of_the_paper_at_batch_128_with_ten_classes():
    # the mean over random batches: 127 others, a tenth of them of the anchor's class, two copies, and its counterpart
    generator = torch.Generator().manual_seed(0)
    totals = []
    for _ in range(20):
        labels = torch.randint(10, (128,), generator=generator).repeat(2)
        totals.append(selection_counts(same_label(Rows(image=torch.arange(128).repeat(2), labels=labels))))
    assert sum(c.positives.sum() for c in totals) / 20 == pytest.approx(26.4, abs=0.3)
    assert sum(c.negatives.sum() for c in totals) / 20 == pytest.approx(228.6, abs=0.3)
    for counts in totals:
        assert counts.positives.sum() + counts.negatives.sum() == pytest.approx(255)


def test_counts_equal_a_loop(random_pairs):
    counts = selection_counts(random_pairs)
    positive, contrast = random_pairs.positive.tolist(), random_pairs.contrast.tolist()
    for view in range(2):
        keys = range(4 * view, 4 * view + 4)
        assert counts.positives[view] == sum(positive[i][k] for i in range(8) for k in keys) / 8
        assert counts.negatives[view] == sum(contrast[i][k] and not positive[i][k] for i in range(8) for k in keys) / 8


def test_counts_of_some_anchors_and_of_more_views(random_pairs):
    clean = selection_counts(random_pairs[:4, :])
    adversarial = selection_counts(random_pairs[4:, :])
    both = selection_counts(random_pairs)
    assert (clean.positives + adversarial.positives) / 2 == pytest.approx(both.positives)
    four = selection_counts(random_pairs, views=4)
    assert four.negatives.reshape(2, 2).sum(axis=1) == pytest.approx(both.negatives)


def test_the_own_counterpart_counts():
    counts = selection_counts(global_pairs([0, 1, 2]))
    assert counts.positives.tolist() == [0.5, 0.5]
    assert selection_counts(global_pairs([0, 1, 2])[:3, :]).positives.tolist() == [0, 1]


def test_selected_copies_are_told_apart():
    chosen = selected(global_pairs([0, 1, 0, 2]), anchor=0)
    assert [view.tolist() for view in chosen.positives] == [[2], [0, 2]]
    assert [view.tolist() for view in chosen.negatives] == [[1, 3], [1, 3]]
    adversarial = selected(global_pairs([0, 1, 0, 2]), anchor=4)
    assert [view.tolist() for view in adversarial.positives] == [[0, 2], [2]]


def test_selected_agrees_with_the_counts(random_pairs):
    counts = selection_counts(random_pairs)
    for view in range(2):
        chosen = [selected(random_pairs, anchor) for anchor in range(8)]
        assert sum(len(c.positives[view]) for c in chosen) / 8 == counts.positives[view]
        assert sum(len(c.negatives[view]) for c in chosen) / 8 == counts.negatives[view]


def test_nobody_selected_is_an_empty_array():
    none = torch.zeros(4, 4, dtype=torch.bool)
    chosen = selected(Pairs(none, none), 1)
    assert [len(view) for view in (*chosen.positives, *chosen.negatives)] == [0, 0, 0, 0]


def test_bad_input_is_one_sentence(random_pairs):
    with pytest.raises(ValueError, match="views is 3, but must be at least 1 and divide the 8 keys"):
        selection_counts(random_pairs, views=3)
    with pytest.raises(ValueError, match="views is 0"):
        selected(random_pairs, 0, views=0)
    for anchor in (8, -1):
        with pytest.raises(ValueError, match=f"anchor is {anchor}, but pairs has the anchors 0 to 7"):
            selected(random_pairs, anchor)
    with pytest.raises(ValueError, match="pairs has no anchors"):
        selection_counts(random_pairs[:0, :])
