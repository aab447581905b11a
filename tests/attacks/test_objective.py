"""What an attack asks of an objective and of images, and what it leaves alone."""

import math

import pytest
import torch
from torch import nn

from sparring.attacks import FGSM, L1, L2, PGD, Linf, RandomNoise
from tests.attacks.objectives import bumpy, generator, images

NORMS = {Linf: math.inf, L2: 2, L1: 1}


def test_a_scalar_and_its_parts_give_the_same_images():
    x = images(3, 3, 4, 4)
    for threat in NORMS:
        attack = PGD(threat(0.5))
        assert torch.equal(attack(bumpy, x), attack(lambda z: bumpy(z).sum(), x))


def test_images_of_a_batch_do_not_influence_each_other():
    x = images(3, 3, 4, 4)
    for threat in NORMS:
        attack = PGD(threat(0.5), random_start=False)
        torch.testing.assert_close(attack(bumpy, x)[1:2], attack(bumpy, x[1:2]), rtol=0, atol=1e-12)


def test_x_and_the_parameters_are_left_alone():
    net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(8, 2))
    x = images(2, 3, 4, 4, dtype=torch.float32).requires_grad_()
    before = x.detach().clone()
    net(x).sum().backward()
    gradients = {name: p.grad.clone() for name, p in net.named_parameters()}
    net[0].weight.grad = None
    x.grad = None
    with torch.no_grad():
        x_adv = PGD(Linf(0.1))(lambda z: net(z).square().sum(1), x)
    assert not torch.equal(x_adv, before)
    assert torch.equal(x, before)
    assert x.grad is None
    assert net[0].weight.grad is None
    assert torch.equal(net[2].weight.grad, gradients["2.weight"])
    frozen = net.requires_grad_(False)
    assert torch.equal(PGD(Linf(0.1))(lambda z: frozen(z).square().sum(1), x), x_adv)


def test_works_under_autocast():
    net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(8, 2))
    x = images(2, 3, 4, 4, dtype=torch.float32)
    for threat in NORMS:
        with torch.autocast("cpu", torch.bfloat16):
            x_adv = PGD(threat(0.5))(lambda z: net(z).float().square().sum(1), x)
        assert x_adv.dtype == torch.float32
        assert ((x_adv - x).flatten(1).norm(NORMS[threat], dim=1) <= 0.5 * (1 + 1e-5)).all()
        assert (net(x_adv).square().sum(1) > net(x).square().sum(1)).all()


def test_a_gradient_that_is_not_finite_names_the_step():
    def sick_at_the_third(count):
        def objective(z):
            count.append(1)
            return (z * (math.nan if len(count) == 3 else 1.0)).sum()

        return objective

    with pytest.raises(FloatingPointError, match="not finite at step 3 of 10"):
        PGD(L2(0.1))(sick_at_the_third([]), images(2, 3, 4, 4))
    for sick in (math.nan, math.inf):
        one_pixel = torch.ones(2, 3, 4, 4)
        one_pixel[1, 2, 3, 3] = sick
        with pytest.raises(FloatingPointError, match="not finite at step 1 of 1 "):
            FGSM(Linf(0.1))(lambda z, w=one_pixel: (z * w).sum(), images(2, 3, 4, 4, dtype=torch.float32))
    with pytest.raises(FloatingPointError, match="NaN at the end"):
        PGD(L2(0.1), steps=2, restarts=2)(
            lambda z: bumpy(z) + (0.0 if z.requires_grad else math.nan), images(2, 3, 4, 4)
        )


def test_images_outside_the_box_are_refused_but_not_for_a_rounding():
    x = images(2, 3, 4, 4, dtype=torch.float32)
    for bad in (2 * x - 1, 255 * x, x.where(x < 0.9, math.nan)):
        with pytest.raises(ValueError, match=r"x lies in .* outside \[0, 1\]"):
            FGSM(Linf(0.1))(lambda z: z.sum(), bad)
    FGSM(Linf(0.1, clip=False))(lambda z: z.sum(), 2 * x - 1)
    overshoot = torch.where(x == 1, 1.0000001, x)
    assert overshoot.max() > 1
    assert FGSM(Linf(0.1))(lambda z: z.sum(), overshoot).max() <= 1


def test_an_objective_without_a_gradient_is_refused():
    x = images(2, 3, 4, 4)
    w = torch.ones(1, requires_grad=True)
    for objective in (lambda z: z.detach().sum(), lambda z: torch.zeros(()), lambda z: (w * z.detach()).sum()):
        with pytest.raises(ValueError, match="does not depend on the images"):
            FGSM(Linf(0.1))(objective, x)


def test_the_generator_must_be_on_the_device_of_x():
    with pytest.raises(ValueError, match="generator is on cpu but x on meta"):
        PGD(Linf(0.1))(lambda z: z.sum(), torch.empty(2, 3, 4, 4, device="meta"), generator=generator())


def test_noise_is_a_random_sign_and_never_calls_the_objective():
    x = images(3, 3, 4, 4)

    def unreachable(z):
        raise AssertionError

    x_adv = RandomNoise(Linf(0.1, clip=False))(unreachable, x)
    torch.testing.assert_close((x_adv - x).abs(), torch.full_like(x, 0.1))
    signs = (x_adv > x).double().mean()
    assert 0.3 < signs < 0.7
