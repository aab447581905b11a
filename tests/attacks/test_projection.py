"""Projections are exact: the nearest point of ball and box together, in every precision."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from sparring.attacks import projection
from tests.reference import attacks as reference

ONTO = {math.inf: projection.onto_linf, 2: projection.onto_l2, 1: projection.onto_l1}
NORMS = list(ONTO)


def random_case(seed, images=4, size=12, scale=1.0, boxed=True):
    generator = torch.Generator().manual_seed(seed)
    v = scale * torch.randn(images, size, generator=generator, dtype=torch.float64)
    if not boxed:
        return v, None
    x = torch.rand(images, size, generator=generator, dtype=torch.float64).mul(1.6).sub(0.3).clamp(0, 1)
    return v, (-x, 1 - x)


def bounds(box, i, size):
    if box is None:
        return [-math.inf] * size, [math.inf] * size
    return box[0][i].tolist(), box[1][i].tolist()


@pytest.mark.parametrize("boxed", [True, False])
@pytest.mark.parametrize("scale", [0.05, 1.0, 30.0])
@pytest.mark.parametrize("p", NORMS)
def test_equals_bisection_of_the_multiplier(p, scale, boxed):
    for seed, radius in enumerate([0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 50.0]):
        v, box = random_case(seed, scale=scale, boxed=boxed)
        d = ONTO[p](v, radius, box)
        expected = [reference.project(row.tolist(), radius, *bounds(box, i, 12), p) for i, row in enumerate(v)]
        torch.testing.assert_close(d, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("p", NORMS)
def test_equals_a_generic_quadratic_program(p):
    """SLSQP on the definition, d = plus - minus, knows nothing of multipliers or thresholds."""
    for seed in range(6):
        v, box = random_case(seed, images=1, size=5)
        radius = 0.7
        goal, low, high = v[0].numpy(), box[0][0].numpy(), box[1][0].numpy()

        def room(s, p=p, radius=radius):
            if p == 1:
                return radius - s.sum()
            return radius**2 - np.square(s[:5] - s[5:]).sum()

        if p == math.inf:
            low, high = np.maximum(low, -radius), np.minimum(high, radius)
        result = minimize(
            lambda s, goal=goal: 0.5 * np.square(s[:5] - s[5:] - goal).sum(),
            np.zeros(10),
            jac=lambda s, goal=goal: np.concatenate([s[:5] - s[5:] - goal, goal - s[:5] + s[5:]]),
            bounds=[(0, h) for h in high] + [(0, -b) for b in low],
            constraints=[] if p == math.inf else [{"type": "ineq", "fun": room}],
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 500},
        )
        expected = torch.tensor(result.x[:5] - result.x[5:])
        torch.testing.assert_close(ONTO[p](v, radius, box)[0], expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("p", NORMS)
def test_no_feasible_point_is_nearer(p):
    generator = torch.Generator().manual_seed(5)
    for seed in range(5):
        v, box = random_case(seed, images=1, size=6)
        radius = 0.4 + 0.2 * seed
        d = ONTO[p](v, radius, box)
        near = d + torch.randn(4000, 6, generator=generator, dtype=torch.float64) * torch.logspace(-4, 0, 4000).view(
            -1, 1
        )
        near = near.clamp(box[0], box[1])
        near = near / (near.norm(p, dim=1, keepdim=True) / radius).clamp(min=1)
        assert (near >= box[0]).all()
        assert ((near - v).norm(dim=1) >= (d - v).norm() - 1e-12).all()


@pytest.mark.parametrize("p", [2, 1])
def test_one_after_the_other_is_not_enough(p):
    v, box = random_case(0, scale=3.0)
    sequential = ONTO[p](v, 1.0, None).clamp(*box)
    joint = ONTO[p](v, 1.0, box)
    assert ((joint - v).norm(dim=1) <= (sequential - v).norm(dim=1)).all()
    assert ((joint - v).norm(dim=1) < (sequential - v).norm(dim=1) - 1e-3).any()


@pytest.mark.parametrize("p", NORMS)
def test_a_point_inside_comes_back_bit_for_bit(p):
    v, box = random_case(3, scale=0.1)
    v = v.float().clamp(box[0].float(), box[1].float())
    assert torch.equal(ONTO[p](v, 100.0, (box[0].float(), box[1].float())), v)
    zero = torch.zeros(2, 3, 4, 4)
    assert torch.equal(ONTO[p](zero, 0.1, None), zero)


@pytest.mark.parametrize("p", NORMS)
def test_ties_and_closed_boxes(p):
    """Equal entries, entries at the box, and a box without room; nothing becomes NaN."""
    v = torch.tensor([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 2.0, -2.0], [5.0, -5.0, 5.0, -5.0]], dtype=torch.float64)
    low = torch.tensor([-1.0, -0.2, 0.0, 0.0], dtype=torch.float64).expand(3, 4)
    high = torch.tensor([0.0, 0.2, 1.0, 0.0], dtype=torch.float64).expand(3, 4)
    for radius in (0.2, 0.7, 3.0):
        d = ONTO[p](v, radius, (low, high))
        expected = [reference.project(row.tolist(), radius, low[0].tolist(), high[0].tolist(), p) for row in v]
        torch.testing.assert_close(d, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-11)


@settings(max_examples=150, deadline=None)
@given(
    p=st.sampled_from(NORMS),
    radius=st.floats(1e-3, 100),
    scale=st.sampled_from([1e-3, 1.0, 1e4]),
    size=st.integers(1, 400),
    seed=st.integers(0, 10_000),
    boxed=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_lands_in_ball_and_box_to_a_few_ulp(p, radius, scale, size, seed, boxed, dtype):
    v, box = random_case(seed, images=3, size=size, scale=scale, boxed=boxed)
    v, box = v.to(dtype), None if box is None else (box[0].to(dtype), box[1].to(dtype))
    d = ONTO[p](v, radius, box)
    assert d.dtype == dtype
    # In float64 the threshold of L1 carries the rounding of entries far outside the ball.
    lost = torch.finfo(torch.float64).eps * v.double().abs().sum(1) if p == 1 else 0
    size_of = d.double().norm(p, dim=1)
    assert (size_of <= radius * (1 + 4 * torch.finfo(dtype).eps) + lost).all()
    if box is not None:
        assert (d >= box[0]).all()
        assert (d <= box[1]).all()


def test_layout_does_not_matter():
    v, box = random_case(1, images=3, size=3 * 4 * 5)
    v, low, high = (t.view(3, 3, 4, 5) for t in (v, *box))
    strided = v.repeat_interleave(2, dim=3)[..., ::2]
    for p in NORMS:
        expected = ONTO[p](v, 0.5, (low, high))
        assert torch.equal(ONTO[p](v.contiguous(memory_format=torch.channels_last), 0.5, (low, high)), expected)
        assert torch.equal(ONTO[p](strided, 0.5, (low, high)), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("boxed", [True, False])
@pytest.mark.parametrize("p", NORMS)
def test_what_lies_on_the_sphere_stays(p, boxed, dtype):
    """A step from the centre ends there, a little inside or outside: FGSM in L2 and random noise."""
    v = torch.randn(500, 40, generator=torch.Generator().manual_seed(0), dtype=dtype)
    box = (torch.full_like(v, -5), torch.full_like(v, 5)) if boxed else None
    for radius in (0.01, 0.1, 0.5, 3.0):
        on_sphere = radius * v / v.norm(p, dim=1, keepdim=True)
        torch.testing.assert_close(ONTO[p](on_sphere, radius, box), on_sphere, rtol=1e-5, atol=1e-7)
