"""TRADES: the attack climbs the divergence that the loss weighs, from a start that is almost x."""

import copy
from dataclasses import replace

import pytest
import torch

from sparring.losses import divergence
from sparring.methods import Natural, Trades
from tests.methods.supervised import (  # noqa: F401
    ATTACK,
    EPS,
    LABELS,
    STEP,
    STEPS,
    assert_equal_with_gradients,
    batch,
    encoder,
    total,
)
from tests.reference import adversarial, supervised

TRADES_ATTACK = replace(ATTACK, random_start=True, start_std=0.001)


def by_hand(encoder, x, target):  # noqa: F811
    twin = copy.deepcopy(encoder)
    start = 0.001 * torch.randn(x.shape, generator=torch.Generator().manual_seed(11), dtype=x.dtype)
    return supervised.pgd(
        lambda at: adversarial.kl(target.detach(), twin.outputs(at).logits), x, start, EPS, STEP, STEPS
    )


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_total_and_gradients_equal_equation_5(mode, encoder, batch):  # noqa: F811
    encoder.outputs(torch.rand(8, 3, 6, 6, dtype=torch.float64))  # running statistics that are not the first ones
    x = batch.views[0]
    encoder.train(mode == "train")
    target = copy.deepcopy(encoder).outputs(x).logits
    x_adv = by_hand(encoder, x, target)
    encoder.train()
    terms = Trades(TRADES_ATTACK, 3.0, mode)(encoder, batch)
    assert list(terms) == ["clean", "kl"]
    clean, adv = encoder.outputs(x).logits, encoder.outputs(x_adv).logits
    expected = supervised.cross_entropy(clean, LABELS) + 3 * adversarial.kl_trades(clean, adv)
    assert_equal_with_gradients(total(terms), expected, encoder)
    assert all(module.training for module in encoder.modules())


def test_at_beta_0_it_is_natural_training(encoder, batch):  # noqa: F811
    torch.testing.assert_close(total(Trades(beta=0.0)(encoder, batch)), total(Natural()(encoder, batch)))


def test_from_x_itself_there_is_no_gradient_and_the_published_start_has_one(encoder, batch):  # noqa: F811
    x = batch.views[0]
    target = encoder.outputs(x).logits.detach()
    sizes = []
    for start in (0 * x, 0.001 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=x.dtype)):
        at = (x + start).requires_grad_()
        (gradient,) = torch.autograd.grad(divergence(target, encoder.outputs(at).logits).sum(), at)
        sizes.append(gradient.abs().max())
    assert sizes[0] < 1e-9 * sizes[1]


def test_the_default_is_the_published_start():
    assert Trades().attack.start_std == 0.001
    assert Trades().beta == 6
