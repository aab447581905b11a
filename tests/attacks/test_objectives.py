"""What attacks on classifiers maximise: each equals its loop, with gradients, in every precision."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparring.attacks import objectives
from sparring.attacks.objectives import TARGETED, UNTARGETED, cosine_distance, feature_distance
from tests.attacks.objectives import generator
from tests.reference import objectives as reference

NAMES = ["cross_entropy", "margin", "dlr"]


def logits(batch, classes, seed=0, scale=1.0):
    return scale * torch.randn(batch, classes, generator=generator(seed), dtype=torch.float64)


def classes_of(batch, classes, seed):
    """Labels and other classes."""
    y = torch.randint(classes, (batch,), generator=generator(seed))
    return y, (y + 1 + torch.randint(classes - 1, (batch,), generator=generator(seed + 1))) % classes


def gradient_of(value, inputs):
    inputs = inputs.clone().requires_grad_()
    return torch.autograd.grad(value(inputs).sum(), inputs)[0]


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    classes=st.integers(4, 12),
    scale=st.sampled_from([0.1, 1.0, 30.0]),
    name=st.sampled_from(NAMES),
)
def test_values_and_gradients_are_those_of_the_loops(seed, classes, scale, name):
    z, (y, t) = logits(5, classes, seed, scale), classes_of(5, classes, seed)
    pairs = [
        (
            lambda z: UNTARGETED[name](z, y),
            [getattr(reference, name)(*i) for i in zip(z.tolist(), y.tolist(), strict=True)],
        ),
        (
            lambda z: TARGETED[name](z, y, t),
            [getattr(reference, f"targeted_{name}")(*i) for i in zip(z.tolist(), y.tolist(), t.tolist(), strict=True)],
        ),
    ]
    for ours, expected in pairs:
        values, gradients = (torch.tensor(part, dtype=torch.float64) for part in zip(*expected, strict=True))
        torch.testing.assert_close(ours(z), values, rtol=1e-7, atol=1e-12)
        torch.testing.assert_close(gradient_of(ours, z), gradients, rtol=1e-6, atol=1e-9)


def test_few_classes():
    for classes in (2, 3):
        z, (y, t) = logits(6, classes), classes_of(6, classes, 3)
        assert torch.equal(
            objectives.margin(z, y),
            torch.tensor(
                [reference.margin(*i)[0] for i in zip(z.tolist(), y.tolist(), strict=True)], dtype=torch.float64
            ),
        )
        if classes == 2:
            torch.testing.assert_close(objectives.margin(z, y), objectives.targeted_margin(z, y, t))
            with pytest.raises(
                ValueError, match="objective is dlr, but the model has 2 classes; it needs 3: use margin"
            ):
                objectives.dlr(z, y)
        with pytest.raises(
            ValueError, match=f"objective is targeted dlr, but the model has {classes} classes; it needs 4"
        ):
            objectives.targeted_dlr(z, y, t)
    z, y = logits(6, 3), torch.zeros(6, dtype=torch.int64)
    expected = [reference.dlr(row, 0)[0] for row in z.tolist()]
    torch.testing.assert_close(objectives.dlr(z, y), torch.tensor(expected, dtype=torch.float64))
    with pytest.raises(ValueError, match="objective is margin, but the model has 1 classes; it needs 2"):
        objectives.margin(logits(3, 1), torch.zeros(3, dtype=torch.int64))


@pytest.mark.parametrize("name", NAMES)
def test_positive_exactly_where_the_image_is_wrong(name):
    z = logits(200, 6)
    y, _ = classes_of(200, 6, 1)
    wrong = z.argmax(1) != y
    assert 20 < wrong.sum() < 180
    value = UNTARGETED[name](z, y)
    if name == "cross_entropy":
        assert value[wrong].min() >= math.log(2)
    else:
        assert torch.equal(value > 0, wrong)
    if name == "dlr":
        assert value[~wrong].min() >= -1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", NAMES)
def test_sixteen_bit_logits_are_computed_in_float32(name, dtype):
    z, (y, t) = logits(50, 10, scale=8.0).to(dtype), classes_of(50, 10, 1)
    for ours in (lambda z: UNTARGETED[name](z, y), lambda z: TARGETED[name](z, y, t)):
        value = ours(z)
        assert value.dtype == torch.float32
        torch.testing.assert_close(value.double(), ours(z.double()), rtol=1e-5, atol=1e-5)


def test_dlr_does_not_change_with_the_scale_of_the_logits_but_cross_entropy_saturates():
    z = logits(20, 5).float()
    y = z.argmax(1)
    torch.testing.assert_close(objectives.dlr(z, y), objectives.dlr(1e4 * z, y), rtol=1e-5, atol=1e-6)
    steep = 1e4 * z
    assert (gradient_of(lambda z: objectives.cross_entropy(z, y), steep) == 0).all(dim=1).sum() > 15
    assert (gradient_of(lambda z: objectives.dlr(z, y), steep) != 0).any(dim=1).all()


def test_tied_logits_have_finite_gradients():
    z, y, t = torch.zeros(2, 5), torch.tensor([0, 3]), torch.tensor([1, 2])
    for name in NAMES:
        for value in (lambda z, n=name: UNTARGETED[n](z, y), lambda z, n=name: TARGETED[n](z, y, t)):
            assert value(z).isfinite().all()
            assert gradient_of(value, z).isfinite().all()


def test_distances_of_representations():
    a, b = logits(4, 6, 1), logits(4, 6, 2)
    for ours, loop in ((feature_distance, reference.feature_distance), (cosine_distance, reference.cosine_distance)):
        expected = [loop(*rows) for rows in zip(a.tolist(), b.tolist(), strict=True)]
        values, gradients = (torch.tensor(part, dtype=torch.float64) for part in zip(*expected, strict=True))
        torch.testing.assert_close(ours(a, b), values)
        torch.testing.assert_close(gradient_of(lambda h, ours=ours: ours(h, b), a), gradients)
        assert ours(a.bfloat16(), b.bfloat16()).dtype == torch.float32
        assert torch.equal(ours(a.view(4, 2, 3), b.view(4, 2, 3)), ours(a, b))
        torch.testing.assert_close(ours(a, a), torch.zeros(4, dtype=torch.float64), rtol=0, atol=1e-12)
    torch.testing.assert_close(cosine_distance(a, -3 * a), torch.full((4,), 2.0, dtype=torch.float64))


def test_every_image_has_its_own_value():
    z, (y, t) = logits(6, 5), classes_of(6, 5, 2)
    for name in NAMES:
        both = (lambda z, y, t, n=name: UNTARGETED[n](z, y), lambda z, y, t, n=name: TARGETED[n](z, y, t))
        for value in both:
            alone = torch.cat([value(z[i : i + 1], y[i : i + 1], t[i : i + 1]) for i in range(6)])
            assert torch.equal(value(z, y, t), alone)
