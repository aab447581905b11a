from __future__ import annotations

import inspect
import math

import numpy as np
import pytest
import torch

from sparring.analysis import latent_map, prediction_entropy


@pytest.fixture
def clusters():
    """Three far clusters of 12 clean and 4 adversarial images in 8 dimensions, with the logits of both."""
    generator = torch.Generator().manual_seed(2)

    def around(each, first):
        labels = (torch.arange(3) + first).repeat(each) % 3
        return 20 * torch.eye(3, 8)[labels] + torch.randn(3 * each, 8, generator=generator), labels

    clean, labels = around(12, 0)
    adv, labels_adv = around(4, 1)
    return clean, adv, 8 * torch.eye(3)[labels], torch.eye(3)[labels_adv], labels, labels_adv


def test_clusters_stay_clusters_and_copies_lie_with_theirs(clusters):
    *inputs, labels, labels_adv = clusters
    found = latent_map(*inputs, perplexity=8)
    assert found.position.shape == (36, 2)
    assert found.position_adv.shape == (12, 2)
    distance = np.linalg.norm(found.position_adv[:, None] - found.position, axis=2)
    assert labels[distance.argmin(axis=1)].tolist() == labels_adv.tolist()
    assert found.kl_divergence > 0
    assert (found.entropy < found.entropy_adv.min()).all()


def test_the_same_seed_is_the_same_map(clusters):
    inputs = clusters[:4]
    np.random.seed(5)  # noqa: NPY002  (the global state is what must be left alone)
    before = np.random.get_state()[1:3]  # noqa: NPY002
    first, again, other = (latent_map(*inputs, perplexity=8, seed=seed).position for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)
    after = np.random.get_state()[1:3]  # noqa: NPY002
    assert np.array_equal(after[0], before[0])
    assert after[1] == before[1]
    cosine = latent_map(*inputs, perplexity=8, seed=3, metric="cosine").position
    assert not np.allclose(cosine, first)


def test_entropy_is_a_share_of_its_maximum():
    certain, uniform = torch.tensor([[60.0, 0, 0, 0]]), torch.full((1, 4), 7.0)
    assert prediction_entropy(certain) == pytest.approx([0], abs=1e-12)
    assert prediction_entropy(uniform) == pytest.approx([1])
    two_of_four = prediction_entropy(torch.tensor([[900.0, 900, 0, 0]], dtype=torch.bfloat16))
    assert two_of_four == pytest.approx([0.5])
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    for row, value in zip(logits.double().tolist(), prediction_entropy(logits), strict=True):
        shares = [math.exp(z) / sum(math.exp(other) for other in row) for z in row]
        assert value == pytest.approx(-sum(p * math.log(p) for p in shares) / math.log(3))


def test_bad_input_is_one_sentence(clusters):
    clean, adv, logits, logits_adv = clusters[:4]
    unchecked = inspect.unwrap(latent_map)  # as users call it, without the shape checks of the test run
    with pytest.raises(ValueError, match="logits_adv has 11 rows for 12 rows of features_adv"):
        unchecked(clean, adv, logits, logits_adv[:11])
    with pytest.raises(ValueError, match=r"features is \(36, 8\), features_adv \(12, 7\): rows of one length"):
        unchecked(clean, adv[:, :7], logits, logits_adv)
    with pytest.raises(ValueError, match='metric is "l1", but must be "euclidean" or "cosine"'):
        unchecked(clean, adv, logits, logits_adv, metric="l1")
    with pytest.raises(ValueError, match="perplexity is 48, but must be at least 1 and below the 48 points"):
        latent_map(clean, adv, logits, logits_adv, perplexity=48)
    with pytest.raises(ValueError, match="all 48 points coincide"):
        latent_map(torch.ones(36, 8), torch.ones(12, 8), logits, logits_adv)
    with pytest.raises(ValueError, match="logits has 1 classes: an entropy needs at least 2"):
        prediction_entropy(torch.ones(3, 1))
    with pytest.raises(ValueError, match="logits has values that are not finite"):
        prediction_entropy(torch.tensor([[0.0, float("nan")]]))
    clean[0, 0] = float("inf")
    with pytest.raises(ValueError, match="features has values that are not finite"):
        latent_map(clean, adv, logits, logits_adv)
