"""Ten thousand random attacks, none of which leaves the ball or the box by more than rounding."""

import math

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparring.attacks import FFGSM, FGSM, L1, L2, PGD, RFGSM, Linf, MultiTargeted, RandomNoise, Untargeted
from tests.attacks.objectives import bumpy, generator

CASES = 10_000
IMAGES, EXAMPLES = 200, 52
NORMS = {Linf: math.inf, L2: 2, L1: 1}
STD = (0.2023, 0.1994, 0.201)
SHAPES = [(3, 4, 4), (3, 7, 2), (3, 1, 1), (2, 3, 3, 3), (1, 3, 5, 1)]

ON_ANY_OBJECTIVE = {
    "FGSM": FGSM,
    "R-FGSM": RFGSM,
    "F-FGSM": FFGSM,
    "PGD": lambda threat: PGD(threat, steps=3),
    "PGD of long steps from x": lambda threat: PGD(threat, steps=2, step_size=3 * threat.eps, random_start=False),
    "PGD, restarts": lambda threat: PGD(threat, steps=2, restarts=2),
    "noise": RandomNoise,
}
ON_CLASSIFIERS = {
    "untargeted": lambda threat: Untargeted(PGD(threat, steps=2), "margin", restarts=2),
    "multi-targeted": lambda threat: MultiTargeted(PGD(threat, steps=2)),
}


def excess(x_adv, x, p, eps, clip, unit):
    """How far each image is outside the ball, and the box, over what rounding explains."""
    ulp = torch.finfo(torch.promote_types(x.dtype, torch.float32)).eps
    moved = ((x_adv.double() - x.double()) / unit).flatten(1)
    d = moved.shape[1]
    # x + delta is rounded in every coordinate (16-bit images: towards x); the norm adds those errors up.
    coordinates = {math.inf: 1, 2: math.sqrt(d), 1: d}[p]
    largest = torch.maximum(x_adv.double().abs(), torch.ones(())).flatten(1).amax(1)
    allowed = eps * (1 + 4 * ulp) + coordinates * largest * ulp / float(unit.min())
    outside = torch.maximum(-x_adv.double(), x_adv.double() - 1).flatten(1).amax(1).clamp(min=0)
    return moved.norm(p, dim=1) - allowed, outside if clip else torch.zeros_like(outside)


def test_ten_thousand_random_cases_stay_in_ball_and_box():
    checked, moved = [], []

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(
        name=st.sampled_from([*ON_ANY_OBJECTIVE, *ON_CLASSIFIERS]),
        norm=st.sampled_from(list(NORMS)),
        exponent=st.floats(-4, 2),
        clip=st.booleans(),
        space=st.sampled_from(["pixel", "normalized"]),
        dtype=st.sampled_from([torch.float64, torch.float32, torch.bfloat16, torch.float16]),
        shape=st.sampled_from(SHAPES),
        seed=st.integers(0, 2**31),
    )
    def check(name, norm, exponent, clip, space, dtype, shape, seed):
        x = (
            (1.5 * torch.rand(IMAGES, *shape, generator=generator(seed), dtype=torch.float64) - 0.25)
            .clamp(0, 1)
            .to(dtype)
        )
        w = torch.randn(x[0].numel(), 4, generator=generator(seed + 1), dtype=torch.float64)
        unit = torch.tensor(STD if space == "normalized" else [1.0], dtype=torch.float64).view(-1, 1, 1)
        eps = 10**exponent
        threat = norm(eps, space=space, clip=clip)
        if name in ON_ANY_OBJECTIVE:
            x_adv = ON_ANY_OBJECTIVE[name](threat)(bumpy, x, std=STD, generator=generator(seed))
        else:
            y = (x.double().flatten(1) @ w).argmax(1)
            attack = ON_CLASSIFIERS[name](threat)
            x_adv = attack(lambda z: z.double().flatten(1) @ w, x, y, std=STD, generator=generator(seed))
        ball, box = excess(x_adv, x, NORMS[norm], eps, clip, unit)
        assert x_adv.dtype == dtype
        assert ball.max() <= 0
        assert box.max() == 0
        checked.append(len(x))
        moved.append((x_adv != x).flatten(1).any(1).double().mean().item())

    check()
    assert sum(checked) >= CASES
    assert sum(moved) / len(moved) > 0.5
