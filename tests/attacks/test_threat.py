"""Threat models: units, random perturbations, steepest ascent, and errors."""

import math
import subprocess
import sys

import pytest
import torch

from sparring.attacks import FFGSM, FGSM, L1, L2, PGD, Linf, RandomNoise
from tests.reference import attacks as reference

THREATS = {math.inf: Linf, 2: L2, 1: L1}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("threat", [Linf, L2, L1])
@pytest.mark.parametrize("eps", [0.0, -0.1, math.nan, math.inf])
def test_eps_must_be_positive(threat, eps):
    with pytest.raises(ValueError, match=r"eps is .* positive finite number"):
        threat(eps)


@pytest.mark.parametrize("sparsity", [0.0, 1.5, math.nan])
def test_sparsity_is_a_fraction(sparsity):
    with pytest.raises(ValueError, match="sparsity"):
        L1(1.0, sparsity=sparsity)


WRONG_TYPES = """
import torch
from sparring.attacks import *

assert Linf(1).eps == 1.0 and type(Linf(1).eps) is float
x = torch.rand(2, 3, 4, 4)
for named, make in {
    "Linf: eps is '8/255'": lambda: Linf("8/255"),
    "L2: eps is None": lambda: L2(None),
    "L1: eps is True": lambda: L1(True),
    "Linf: space is 'pixels'": lambda: Linf(0.1, space="pixels"),
    "PGD: steps is 2.5": lambda: PGD(Linf(0.1), steps=2.5),
    "PGD: restarts is True": lambda: PGD(Linf(0.1), restarts=True),
    "PGD: step_size is '2/255'": lambda: PGD(Linf(0.1), step_size="2/255"),
    "FGSM: threat is 0.1": lambda: FGSM(0.1),
    "x is torch.uint8": lambda: FGSM(Linf(0.1))(torch.sum, (255 * x).byte()),
    "the objective returned float": lambda: FGSM(Linf(0.1))(lambda z: 1.0, x),
    "the objective returned (3, 4, 4)": lambda: FGSM(Linf(0.1))(lambda z: z.sum(0), x),
}.items():
    try:
        make()
    except ValueError as error:
        assert named in str(error) and "\\n" not in str(error), error
    else:
        raise AssertionError(named)
"""


def test_wrong_types_get_one_clear_sentence():
    """In a process of its own: in this one, jaxtyping's checks of the test run would speak first."""
    run = subprocess.run([sys.executable, "-c", WRONG_TYPES], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize(("p", "threat"), THREATS.items())
def test_noise_lies_on_the_sphere_and_random_fills_the_ball(p, threat):
    like = torch.empty(4000, 1, 1, 3, dtype=torch.float64)
    sphere = threat(0.3).noise(like, generator()).flatten(1)
    torch.testing.assert_close(sphere.norm(p, dim=1), torch.full((4000,), 0.3, dtype=torch.float64))
    ball = threat(0.3).random(like, generator()).flatten(1)
    radius = ball.norm(p, dim=1) / 0.3
    assert radius.max() <= 1
    # Uniform in a ball of 3 dimensions: the cube of the radius is uniform in [0, 1], and every octant is as likely.
    deviation = (radius**3).sort().values - torch.linspace(0, 1, 4000, dtype=torch.float64)
    assert deviation.abs().max() < 1.63 / math.sqrt(4000)
    octants = ((ball > 0) * torch.tensor([1, 2, 4])).sum(1).bincount(minlength=8)
    assert (octants - 500).abs().max() < 100


def test_points_of_the_l1_ball_are_uniform_and_not_merely_inside():
    """The fraction of the L1 ball with |d_1| > t is (1 - t)^3 in three dimensions."""
    ball = L1(1.0).random(torch.empty(8000, 1, 1, 3, dtype=torch.float64), generator(1)).flatten(1)
    for t in (0.1, 0.3, 0.6):
        assert abs((ball[:, 0].abs() > t).double().mean() - (1 - t) ** 3) < 0.02


@pytest.mark.parametrize(("p", "threat"), THREATS.items())
def test_ascend_is_the_steepest_step_of_its_length(p, threat):
    gradient = torch.randn(3, 2, 3, 3, generator=generator(2), dtype=torch.float64)
    fields = {"sparsity": 0.2} if p == 1 else {}
    step = threat(1.0, **fields).ascend(gradient, 0.05, torch.zeros_like(gradient), None)
    expected = [reference.steepest(row.tolist(), 0.05, p, 0.2) for row in gradient.flatten(1)]
    torch.testing.assert_close(step.flatten(1), torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("threat", [Linf(1.0), L2(1.0), L1(1.0)])
def test_ascend_does_not_depend_on_the_size_of_the_gradient(threat):
    gradient = torch.randn(2, 3, 4, 4, generator=generator(3))
    zero = torch.zeros_like(gradient)
    step = threat.ascend(gradient, 1.0, zero, None)
    for scale in (1e-30, 1e30):
        torch.testing.assert_close(threat.ascend(gradient * scale, 1.0, zero, None), step)
    assert torch.equal(threat.ascend(zero, 1.0, zero, None), zero)


def test_what_the_box_leaves_of_an_l1_step_goes_to_the_next_coordinate():
    gradient = torch.tensor([[3.0, -2.0, 1.0, 0.5]]).view(1, 1, 2, 2)
    low, high = torch.zeros(1, 1, 2, 2), torch.tensor([[0.0, 1.0, 1.0, 1.0]]).view(1, 1, 2, 2)
    step = L1(1.0, sparsity=0.25).ascend(gradient, 0.4, torch.zeros(1, 1, 2, 2), (low, high))
    assert step.flatten().tolist() == pytest.approx([0.0, 0.0, 0.4, 0.0])
    step = L1(1.0, sparsity=0.25).ascend(gradient, 1.2, torch.zeros(1, 1, 2, 2), (low, high))
    assert step.flatten().tolist() == pytest.approx([0.0, 0.0, 1.0, 0.2])


@pytest.mark.parametrize("x", [torch.rand(2, 3, 4, 4), torch.rand(2, 5, 3, 4, 4)], ids=["images", "video"])
@pytest.mark.parametrize(("p", "threat"), THREATS.items())
def test_normalised_units_count_eps_in_x_over_std_per_channel(p, threat, x):
    x, std = x.double(), (0.2, 0.25, 0.5)
    scale = torch.tensor(std, dtype=torch.float64).view(3, 1, 1)
    for clip in (True, False):
        x_adv = RandomNoise(threat(0.5, space="normalized", clip=clip))(lambda z: z.sum(), x, std=std)
        size = ((x_adv - x) / scale).flatten(1).norm(p, dim=1)
        assert (size <= 0.5 * (1 + 1e-12)).all()
        if not clip:
            torch.testing.assert_close(size, torch.full_like(size, 0.5))


def test_normalised_gradients_are_those_of_the_normalised_input():
    """An L2 FGSM step in normalised space is the same step on a model that takes normalised images."""
    x, w = torch.rand(2, 3, 4, 4).double(), torch.randn(2, 3, 4, 4).double()
    std = (0.2, 0.25, 0.5)
    scale = torch.tensor(std).double().view(3, 1, 1)
    inside = FGSM(L2(0.3, space="normalized", clip=False))(lambda z: (w * (z / scale) ** 2).sum(), x, std=std)
    outside = FGSM(L2(0.3, clip=False))(lambda u: (w * u**2).sum(), x / scale)
    torch.testing.assert_close(inside / scale, outside)


def test_std_must_be_there_and_fit():
    attack = FGSM(Linf(0.03, space="normalized", clip=False))
    x = torch.rand(2, 3, 4, 4)
    with pytest.raises(ValueError, match="call the attack with std="):
        attack(lambda z: z.sum(), x)
    for std in ((0.5,), (0.5, 0.5, 0.0), (0.5, 0.5, math.nan)):
        with pytest.raises(ValueError, match=r"std is .* needs 3 positive numbers"):
            attack(lambda z: z.sum(), x, std=std)


def test_attacks_check_their_fields():
    for fields in ({"steps": 0}, {"restarts": 0}, {"step_size": 0.0}, {"step_size": math.nan}):
        with pytest.raises(ValueError, match=f"PGD: {next(iter(fields))} is"):
            PGD(Linf(0.1), **fields)
    with pytest.raises(ValueError, match="need random_start"):
        PGD(Linf(0.1), random_start=False, restarts=2)
    with pytest.raises(ValueError, match=r"FFGSM: step_size is -1"):
        FFGSM(Linf(0.1), step_size=-1.0)
