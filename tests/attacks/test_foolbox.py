"""Another library's results: FGSM and PGD of foolbox, image by image, from the same start and with the same steps.

foolbox projects onto the ball and clips to the box afterwards. In Linf the two commute, so that images agree with and
without the box at work. In L2 and L1 only our projection is the nearest point of both, so that the comparison is made
where the box does not bite; and foolbox's L1 step is dense (the gradient over its L1 norm), so L1 is not compared.
"""

from __future__ import annotations

import warnings

import eagerpy as ep
import pytest
import torch
from torch import nn

from sparring.attacks import FGSM, L2, PGD, Linf, Untargeted
from tests.attacks.objectives import generator, images

with warnings.catch_warnings():
    # foolbox imports a name that SciPy has moved, and warnings are errors here.
    warnings.simplefilter("ignore", DeprecationWarning)
    import foolbox


def classifier(dtype=torch.float64):
    """A small CNN on 8 x 8 images, smooth so that no gradient sits on a kink."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 6, 3), nn.SiLU(), nn.Conv2d(6, 8, 3, stride=2), nn.SiLU(), nn.Flatten(), nn.Linear(32, 5)]
    net = nn.Sequential(*layers).to(dtype).eval()
    with torch.no_grad():
        # Logits around 0 whatever the network's bias, so that all classes occur and small steps change some.
        net[-1].bias -= net(images(200, 3, 8, 8, dtype=dtype, seed=9)).mean(0)
    return net


class Started(PGD):
    """Our PGD from given perturbations."""

    perturbations: torch.Tensor

    def start(self, region, generator):
        return self.perturbations


def ours(attack, model, x, y, start=None):
    if start is not None:
        fields = {name: getattr(attack, name) for name in ("threat", "steps", "step_size")}
        attack = Started(**fields)
        object.__setattr__(attack, "perturbations", start)
    return Untargeted(attack)(model, x, y)


def theirs(attack, model, x, y, eps, bounds=(0, 1), start=None):
    if start is not None:
        attack.random_start = True
        attack.get_random_start = lambda x0, epsilon: x0 + ep.astensor(start)
    return attack.run(foolbox.PyTorchModel(model, bounds=bounds), x, foolbox.criteria.Misclassification(y), epsilon=eps)


@pytest.fixture
def problem():
    """A model, and images that it classifies as y: foolbox attacks wrong images too, we do not."""
    model, x = classifier(), images(16, 3, 8, 8)
    return model, x, model(x).argmax(1)


@pytest.mark.parametrize("eps", [2 / 255, 8 / 255, 0.3])
def test_fgsm_in_linf(problem, eps):
    model, x, y = problem
    foolbox_attack = foolbox.attacks.LinfFastGradientAttack(random_start=False)
    expected = theirs(foolbox_attack, model, x, y, eps)
    torch.testing.assert_close(ours(FGSM(Linf(eps)), model, x, y), expected, rtol=0, atol=1e-12)
    assert ((expected - x).abs() < eps - 1e-9).any(), "the box should be at work"


@pytest.mark.parametrize("eps", [8 / 255, 0.3])
@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize("clip", [True, False])
def test_pgd_in_linf(problem, eps, started, clip):
    model, x, y = problem
    start = eps * (2 * torch.rand(x.shape, generator=generator(5), dtype=x.dtype) - 1) if started else None
    attack = foolbox.attacks.LinfProjectedGradientDescentAttack(steps=20, rel_stepsize=0.1, random_start=False)
    expected = theirs(attack, model, x, y, eps, (0, 1) if clip else (-9, 9), start)
    pgd = PGD(Linf(eps, clip=clip), steps=20, step_size=0.1 * eps, random_start=False)
    torch.testing.assert_close(ours(pgd, model, x, y, start), expected, rtol=0, atol=1e-12)
    assert (model(expected).argmax(1) != y).any()
    assert (expected.min() < 0) == (not clip)


@pytest.mark.parametrize("eps", [0.1, 0.5])
def test_fgsm_in_l2(problem, eps):
    model, x, y = problem
    expected = theirs(foolbox.attacks.L2FastGradientAttack(random_start=False), model, x, y, eps, (-9, 9))
    torch.testing.assert_close(ours(FGSM(L2(eps, clip=False)), model, x, y), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("eps", [0.1, 0.5])
@pytest.mark.parametrize("started", [False, True])
def test_pgd_in_l2(problem, eps, started):
    model, x, y = problem
    start = L2(eps).random(x, generator(5)) if started else None
    attack = foolbox.attacks.L2ProjectedGradientDescentAttack(steps=20, rel_stepsize=0.1, random_start=False)
    expected = theirs(attack, model, x, y, eps, (-9, 9), start)
    pgd = PGD(L2(eps, clip=False), steps=20, step_size=0.1 * eps, random_start=False)
    torch.testing.assert_close(ours(pgd, model, x, y, start), expected, rtol=0, atol=1e-10)


def test_where_the_box_does_not_bite_l2_agrees_with_it_too(problem):
    model, x, _ = problem
    x = 0.25 + 0.5 * x
    y = model(x).argmax(1)
    attack = foolbox.attacks.L2ProjectedGradientDescentAttack(steps=20, rel_stepsize=0.1, random_start=False)
    expected = theirs(attack, model, x, y, 0.2)
    pgd = PGD(L2(0.2), steps=20, step_size=0.02, random_start=False)
    torch.testing.assert_close(ours(pgd, model, x, y), expected, rtol=0, atol=1e-10)


def test_float32_images_get_the_same_verdict(problem):
    """In float32 a gradient near 0 may round to either sign; what the model makes of the images may not depend on it."""
    model, x = classifier(torch.float32), images(64, 3, 8, 8, dtype=torch.float32)
    y = model(x).argmax(1)
    attack = foolbox.attacks.LinfProjectedGradientDescentAttack(steps=20, abs_stepsize=2 / 255, random_start=False)
    expected = theirs(attack, model, x, y, 8 / 255)
    x_adv = ours(PGD(Linf(8 / 255), steps=20, step_size=2 / 255, random_start=False), model, x, y)
    assert torch.equal(model(x_adv).argmax(1), model(expected).argmax(1))
    assert ((x_adv - expected).abs() < 1e-5).double().mean() > 0.99
