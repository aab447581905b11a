"""Keys that stand in the denominator several times: `Pairs.weight`."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from sparring.attacks import PGD, Linf
from sparring.losses import contrastive, info_nce, instance_discrimination
from sparring.types import Pairs
from tests.losses.inputs import DTYPES, assert_equals_reference, embeddings, random_pairs, two_views
from tests.reference import false_negatives as reference


def weighted(pairs: Pairs, *, whole: bool = False, seed: int = 0) -> Pairs:
    """Positives weigh 1, other keys 0 or at least 1."""
    generator = torch.Generator().manual_seed(seed)
    shape = pairs.positive.shape
    weight = torch.randint(0, 4, shape, generator=generator).double()
    if not whole:
        weight = torch.where(weight > 0, weight + torch.rand(shape, generator=generator), 0.0)
    return replace(pairs, weight=torch.where(pairs.positive, 1.0, weight))


@DTYPES
@pytest.mark.parametrize("shape", [(5, 5), (4, 7), (7, 3)])
@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_info_nce_is_the_weighted_loop_with_its_gradients(dtype, shape, temperature):
    pairs = weighted(random_pairs(*shape))
    lists = [x.tolist() for x in (pairs.positive, pairs.contrast, pairs.weight)]
    assert_equals_reference(
        lambda a, k: info_nce(a, k, pairs, temperature),
        lambda a, k: reference.info_nce_weighted(a, k, *lists, temperature),
        [embeddings(shape[0], 6, dtype=dtype, seed=1), embeddings(shape[1], 6, dtype=dtype, seed=2)],
    )


def test_blocks_of_anchors_change_nothing(monkeypatch):
    z, pairs = embeddings(10, 4), weighted(random_pairs(10, 10))
    whole = torch.autograd.grad(info_nce(z, z, pairs, 0.2), z)[0]
    monkeypatch.setattr(contrastive, "BLOCK", 3)
    assert_close(torch.autograd.grad(info_nce(z, z, pairs, 0.2), z)[0], whole, rtol=1e-12, atol=1e-14)


@DTYPES
def test_uel_is_the_loop_over_repeated_keys(dtype):
    pairs = weighted(random_pairs(6, 6), whole=True)
    lists = [x.tolist() for x in (pairs.positive, pairs.contrast, pairs.weight.long())]
    assert_equals_reference(
        lambda z: instance_discrimination(z, pairs, 0.3),
        lambda z: reference.uel_repeated(z, *lists, 0.3),
        [embeddings(6, 5, dtype=dtype, seed=3)],
    )


LOSSES = {
    "info_nce": lambda z, pairs, t: info_nce(z, z, pairs, t),
    "info_nce, positives inside": lambda z, pairs, t: info_nce(z, z, pairs, t, positives="inside"),
    "uel": lambda z, pairs, t: instance_discrimination(z, pairs, t, detach_keys=False),
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_by_finite_differences(name):
    pairs = weighted(random_pairs(5, 5))
    assert torch.autograd.gradcheck(lambda z: LOSSES[name](z, pairs, 0.5), embeddings(5, 4))


@pytest.mark.parametrize("name", LOSSES)
def test_a_weight_of_one_is_no_weight_and_of_zero_no_key(name):
    z, pairs = embeddings(6, 4), random_pairs(6, 6)
    ones = replace(pairs, weight=torch.ones(6, 6))
    assert_close(LOSSES[name](z, ones, 0.3), LOSSES[name](z, pairs, 0.3), rtol=1e-14, atol=0)
    fewer = pairs.contrast & (pairs.positive | (torch.arange(6) % 2 == 0))
    zeros = replace(pairs, weight=fewer.float())
    for x, y in ((zeros, Pairs(pairs.positive, fewer)),):
        assert_close(LOSSES[name](z, x, 0.3), LOSSES[name](z, y, 0.3), rtol=1e-14, atol=0)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_finite_at_temperature_001_under_autocast_and_computed_in_float32(name, dtype):
    z = embeddings(8, 16, dtype=torch.float32)
    pairs = weighted(two_views(4))
    with torch.autocast("cpu", torch.bfloat16, dtype == torch.bfloat16):
        loss = LOSSES[name](z.to(dtype), pairs, 0.01)
    (gradient,) = torch.autograd.grad(loss, z)
    assert loss.dtype == torch.float32 and loss.isfinite()
    assert gradient.isfinite().all()
    exact = LOSSES[name](z.detach().to(dtype).double(), pairs, 0.01)
    assert_close(loss.double(), exact, rtol=1e-4, atol=1e-4)


def test_an_anchor_without_positives_has_a_finite_gradient_of_zero():
    z = embeddings(4, 3)
    nothing = torch.zeros(4, 4, dtype=torch.bool)
    loss = info_nce(z, z, Pairs(nothing, nothing, torch.zeros(4, 4)), 0.1)
    assert loss == 0
    assert torch.equal(torch.autograd.grad(loss, z)[0], torch.zeros_like(z))


def test_an_attack_climbs_the_weighted_loss():
    """One sign step against the loop's gradient."""
    x, pairs = embeddings(6, 4).detach(), weighted(two_views(3))
    lists = [m.tolist() for m in (pairs.positive, pairs.contrast, pairs.weight)]
    attack = PGD(Linf(0.1, clip=False), steps=1, step_size=0.05, random_start=False)
    moved = attack(lambda at: info_nce(at, at, pairs, 0.2), x)
    at = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(reference.info_nce_weighted(at, at, *lists, 0.2), at)
    assert_close(moved, x + 0.05 * gradient.sign())


def test_a_weight_of_another_shape_is_refused():
    pairs = replace(two_views(2), weight=torch.ones(4, 4))
    object.__setattr__(pairs, "weight", torch.ones(4, 3))
    with pytest.raises(ValueError, match=r"^pairs\.weight is \[4, 3\], but 4 anchors and 4 keys need \[4, 4\]$"):
        info_nce(embeddings(4, 2), embeddings(4, 2), pairs, 0.1)
