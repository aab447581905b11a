"""Distances between classes against loops over pairs, and the ratio of Fig. 3 of paper 003."""

import pytest
import torch

from sparring.analysis import class_distances
from sparring.analysis import class_distances as module
from tests.reference import susceptibility as reference


@pytest.fixture
def rows():
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor([0, 1, 2, 0, 1, 2, 0, 0, 2, 1, 0])
    return torch.randn(11, 5, generator=generator) + labels[:, None], labels


@pytest.mark.parametrize("distance", ["chord", "cosine", "l2"])
@pytest.mark.parametrize("chunk", [3, 1024])
def test_equals_the_loop_over_pairs(rows, distance, chunk, monkeypatch):
    import sys

    monkeypatch.setattr(sys.modules[module.__module__], "CHUNK_ROWS", chunk)
    z, labels = rows
    found = class_distances(z, labels, distance=distance)
    mean, ratio = reference.class_distances(z.double().tolist(), labels.tolist(), distance)
    assert found.mean == pytest.approx(torch.tensor(mean, dtype=torch.float64), abs=1e-9)
    assert found.ratio == pytest.approx(ratio)
    assert found.ratio_of_means == pytest.approx(found.inter / found.intra)


def test_the_chord_is_the_euclidean_distance_of_rows_of_unit_length(rows):
    z, labels = rows
    unit = torch.nn.functional.normalize(z.double(), dim=1)
    assert torch.allclose(class_distances(z, labels).mean, class_distances(unit, labels, distance="l2").mean)
    assert torch.allclose(class_distances(7 * z, labels).mean, class_distances(z, labels).mean)


def test_classes_without_structure_have_ratio_one_and_clusters_a_high_one():
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(600) % 3
    noise = torch.randn(600, 16, generator=generator)
    assert class_distances(noise, labels).ratio == pytest.approx(1, abs=0.01)
    clustered = class_distances(0.3 * noise + 3 * torch.eye(16)[labels], labels)
    assert clustered.ratio > 2 and clustered.intra < clustered.inter
    assert torch.equal(clustered.mean.argmin(dim=1), torch.arange(3))


def test_known_angles():
    z = torch.tensor([[1.0, 0], [0, 1.0], [-1.0, 0], [0, -2.0]])
    found = class_distances(z, torch.tensor([0, 0, 1, 1]))
    assert found.mean[0, 0] == pytest.approx(2**0.5) and found.mean[0, 1] == pytest.approx((2 + 2 + 2 * 2**0.5) / 4)
    assert class_distances(z, torch.tensor([0, 0, 1, 1]), distance="cosine").mean[0, 0] == pytest.approx(1)


@pytest.mark.parametrize(
    ("z", "labels", "options", "words"),
    [
        (torch.randn(4, 2), [0, 0, 0, 0], {}, "at least 2 of them"),
        (torch.randn(4, 2), [0, 0, 0, 1], {}, r"not \[3, 1\]"),
        (torch.randn(4, 2), [0, 0, 2, 2], {}, r"not \[2, 0, 2\]"),
        (torch.randn(4, 2), [-1, -1, 0, 0], {}, "classes 0..K-1"),
        (torch.randn(4, 2), [0, 0, 1], {}, "as many labels"),
        (torch.tensor([[0.0, 0], [1, 0], [0, 1], [1, 1]]), [0, 0, 1, 1], {}, "length 0"),
        (torch.tensor([[torch.nan, 0], [1, 0], [0, 1], [1, 1]]), [0, 0, 1, 1], {}, "not finite"),
        (torch.tensor([[1.0, 0], [1, 0], [0, 1], [1, 1]]), [0, 0, 1, 1], {}, "class 0 coincide"),
    ],
)
def test_mistakes_are_one_sentence(z, labels, options, words):
    with pytest.raises(ValueError, match=words):
        class_distances(z, torch.tensor(labels), **options)
