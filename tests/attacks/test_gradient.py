"""The attacks: each equals its formula, stays in ball and box, and reaches the optimum where it is known."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from sparring.attacks import FFGSM, FGSM, L1, L2, PGD, RFGSM, Linf, RandomNoise
from tests.reference import attacks as reference

NORMS = {Linf: math.inf, L2: 2, L1: 1}
ATTACKS = [FGSM, RFGSM, FFGSM, PGD, RandomNoise]
STD = (0.2, 0.25, 0.5)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images(*shape, dtype=torch.float64, seed=0):
    """Images with some pixels at 0 and at 1, where the box matters."""
    return (1.4 * torch.rand(*shape, generator=generator(seed), dtype=dtype) - 0.2).clamp(0, 1)


def bumpy(x):
    """One smooth, curved value per image whose gradient depends on x."""
    w = torch.linspace(-3, 3, x[0].numel(), dtype=x.dtype).view(x.shape[1:])
    return (torch.sin(5 * x + w) * w).flatten(1).sum(1)


def bumpy_gradient(x):
    w = [-3 + 6 * i / (len(x) - 1) for i in range(len(x))]
    return [5 * math.cos(5 * a + b) * b for a, b in zip(x, w, strict=True)]


@settings(max_examples=150, deadline=None)
@given(
    attack=st.sampled_from(ATTACKS),
    threat=st.sampled_from(list(NORMS)),
    eps=st.floats(2e-3, 20),
    space=st.sampled_from(["pixel", "normalized"]),
    clip=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.float16]),
    layout=st.sampled_from(["contiguous", "channels_last", "strided", "video"]),
    batch=st.integers(1, 3),
)
def test_stays_in_ball_and_box(attack, threat, eps, space, clip, dtype, layout, batch):
    x = images(batch, 2, 3, 5, 4) if layout == "video" else images(batch, 3, 5, 4)
    x = x.to(dtype)
    if layout == "channels_last":
        x = x.contiguous(memory_format=torch.channels_last)
    if layout == "strided":
        x = x.repeat_interleave(2, dim=2)[:, :, ::2]
    x_adv = attack(threat(eps, space=space, clip=clip))(bumpy, x, std=STD, generator=generator(1))
    assert x_adv.dtype == dtype
    assert x_adv.shape == x.shape
    assert x_adv.stride() == torch.empty_like(x).stride()
    assert not x_adv.requires_grad
    unit = (
        torch.tensor(STD, dtype=torch.float64).view(3, 1, 1) if space == "normalized" else torch.ones(1, 1, 1).double()
    )
    size = ((x_adv.double() - x.double()) / unit).flatten(1).norm(NORMS[threat], dim=1)
    # 16-bit images are rounded towards x; else each pixel carries the rounding of x + delta.
    ulp = torch.finfo(torch.promote_types(dtype, torch.float32)).eps
    pixels = x[0].numel() if threat is L1 else 1
    largest = max(1.0, float(x_adv.double().abs().max()))
    assert (size <= eps * (1 + 4 * ulp) + pixels * largest * ulp / unit.min()).all()
    if clip:
        assert x_adv.min() >= 0
        assert x_adv.max() <= 1


def test_sixteen_bit_images_stay_in_the_ball_without_any_tolerance():
    """Rounding to nearest would leave it: x + 2/255 in bfloat16 near 1 is off by up to 1/512."""
    x = images(4, 3, 8, 8).bfloat16()
    for eps in (2 / 255, 8 / 255):
        x_adv = FGSM(Linf(eps))(bumpy, x)
        assert ((x_adv.double() - x.double()).abs() <= eps).all()
        nearest = x.float() + eps * torch.autograd.grad(bumpy(y := x.clone().requires_grad_()).sum(), y)[0].sign()
        assert ((nearest.bfloat16().double() - x.double()).abs() > eps).any()
        assert not torch.equal(x_adv, x)


def test_fgsm_is_x_plus_eps_sign_of_the_gradient():
    x = images(3, 3, 4, 4)
    gradient = torch.tensor([bumpy_gradient(row.tolist()) for row in x.flatten(1)], dtype=torch.float64).view(x.shape)
    for eps in (0.03, 0.3):
        assert torch.equal(FGSM(Linf(eps, clip=False))(bumpy, x), x + eps * gradient.sign())
        torch.testing.assert_close(
            FGSM(Linf(eps))(bumpy, x), (x + eps * gradient.sign()).clamp(0, 1), rtol=0, atol=1e-15
        )
    step = gradient / gradient.flatten(1).norm(dim=1).view(3, 1, 1, 1)
    torch.testing.assert_close(FGSM(L2(0.5, clip=False))(bumpy, x), x + 0.5 * step)


def test_fgsm_in_normalised_units_steps_by_eps_times_std():
    x = images(3, 3, 4, 4)
    pixel = FGSM(Linf(1.0, clip=False))(bumpy, x) - x
    x_adv = FGSM(Linf(0.03, space="normalized", clip=False))(bumpy, x, std=STD)
    torch.testing.assert_close(x_adv, x + 0.03 * torch.tensor(STD).double().view(3, 1, 1) * pixel.sign())


def test_rfgsm_is_half_a_random_sign_and_half_an_fgsm_step():
    x, eps = images(3, 3, 4, 4), 0.1
    start = x + eps / 2 * torch.where(torch.randint(0, 2, x.shape, generator=generator(4)) > 0, 1.0, -1.0).double()
    gradient = torch.tensor([bumpy_gradient(row.tolist()) for row in start.flatten(1)], dtype=torch.float64).view(
        x.shape
    )
    x_adv = RFGSM(Linf(eps, clip=False))(bumpy, x, generator=generator(4))
    torch.testing.assert_close(x_adv, start + eps / 2 * gradient.sign(), rtol=0, atol=1e-15)


@pytest.mark.parametrize("step_size", [None, 0.04])
def test_ffgsm_is_a_uniform_start_and_one_projected_step(step_size):
    x, eps = images(3, 3, 4, 4), 0.1
    start = eps * (2 * torch.rand(x.shape, generator=generator(4), dtype=torch.float64) - 1)
    gradient = torch.tensor([bumpy_gradient(row.tolist()) for row in (x + start).flatten(1)], dtype=torch.float64)
    step = (step_size or 1.25 * eps) * gradient.view(x.shape).sign()
    x_adv = FFGSM(Linf(eps, clip=False), step_size=step_size)(bumpy, x, generator=generator(4))
    torch.testing.assert_close(x_adv, x + (start + step).clamp(-eps, eps), rtol=0, atol=1e-15)


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize(("threat", "eps"), [(Linf, 0.1), (L2, 0.8), (L1, 2.0)])
def test_pgd_equals_a_loop_step_by_step(threat, eps, clip):
    x, fields = images(2, 3, 3, 4, seed=2), {"sparsity": 0.1} if threat is L1 else {}
    threat = threat(eps, clip=clip, **fields)
    visited = []

    def objective(x_adv):
        visited.append(x_adv.detach().clone())
        return bumpy(x_adv)

    attack = PGD(threat, steps=7)
    visited.append(attack(objective, x, generator=generator(3)))
    starts = threat.random(x, generator(3))
    for i, (image, start) in enumerate(zip(x.flatten(1).tolist(), starts.flatten(1).tolist(), strict=True)):
        low = [-a if clip else -math.inf for a in image]
        high = [1 - a if clip else math.inf for a in image]
        iterates = reference.pgd(
            bumpy_gradient, image, start, eps, 7, 2.5 * eps / 7, low, high, NORMS[type(threat)], sparsity=0.1
        )
        assert len(visited) == 1 + len(iterates[:-1])
        for d, x_adv in zip(iterates, visited, strict=True):
            torch.testing.assert_close(
                (x_adv[i] - x[i]).flatten(), torch.tensor(d, dtype=torch.float64), rtol=1e-7, atol=1e-9
            )


@pytest.mark.parametrize("threat", list(NORMS))
@pytest.mark.parametrize("clip", [True, False])
def test_reaches_the_maximum_of_a_linear_function(threat, clip):
    x, w = images(3, 3, 4, 4), torch.randn(3, 3, 4, 4, generator=generator(1), dtype=torch.float64)
    eps = {Linf: 0.2, L2: 1.0, L1: 3.0}[threat]
    low, high = (-x, 1 - x) if clip else (torch.full_like(x, -math.inf), torch.full_like(x, math.inf))
    rows = zip(*(t.flatten(1).tolist() for t in (w, low, high)), strict=True)
    optimum = [reference.linear_optimum(row, eps, lo, hi, NORMS[threat]) for row, lo, hi in rows]
    optimum = torch.tensor(optimum, dtype=torch.float64).view(x.shape)
    best = (w * optimum).flatten(1).sum(1)

    def objective(x_adv):
        return (w * x_adv).flatten(1).sum(1)

    # One step suffices but in L2, where the box bends the way to the optimum.
    if threat is not L2 or not clip:
        torch.testing.assert_close(FGSM(threat(eps, clip=clip))(objective, x), x + optimum, rtol=0, atol=1e-12)
    step_size = eps / 80 if threat is L1 else eps / 10
    reached = objective(PGD(threat(eps, clip=clip), steps=200, step_size=step_size)(objective, x)) - objective(x)
    assert (reached <= best * (1 + 1e-9)).all()
    assert (reached >= best * (0.99 if threat is L1 else 0.9999)).all()


def test_works_on_a_linear_function_that_returns_a_scalar():
    w = torch.randn(3, 4, 4, generator=generator(2))
    x = images(2, 3, 4, 4, dtype=torch.float32)
    x_adv = PGD(Linf(0.1, clip=False))(lambda z: (w * z).sum(), x)
    torch.testing.assert_close(x_adv, x + 0.1 * w.sign().expand_as(x))


@pytest.mark.parametrize("attack", [RFGSM, FFGSM, PGD, RandomNoise])
@pytest.mark.parametrize("threat", list(NORMS))
def test_randomness_comes_from_the_generator_alone(attack, threat):
    x = images(2, 3, 4, 4)

    def run(seed, x=x):
        torch.manual_seed(seed or 17)
        return attack(threat(0.5))(bumpy, x, generator=None if seed is None else generator(seed))

    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))
    assert torch.equal(run(None), run(0))
    assert torch.equal(run(1), run(1, x.contiguous(memory_format=torch.channels_last)))
    shared = generator(1)
    first, second = (attack(threat(0.5))(bumpy, x, generator=shared) for _ in range(2))
    assert torch.equal(first, run(1))
    assert not torch.equal(first, second)


def test_only_attacks_that_say_so_start_at_x():
    x = images(2, 3, 4, 4, dtype=torch.float32)
    for attack in (FGSM, RFGSM, FFGSM, PGD, lambda t: PGD(t, random_start=False), RandomNoise):
        for threat in (Linf(0.1), L2(0.3, space="normalized"), L1(1.0)):
            visited = []

            def objective(x_adv, visited=visited):
                visited.append(x_adv.detach().clone())
                return bumpy(x_adv)

            attack(threat)(objective, x, std=STD)
            assert attack(threat).starts_at_x == bool(visited and torch.equal(visited[0], x))
    assert FGSM(Linf(0.1)).starts_at_x
    assert PGD(Linf(0.1), random_start=False).starts_at_x


@pytest.mark.parametrize("threat", list(NORMS))
def test_a_zero_gradient_moves_nothing(threat):
    x = images(2, 3, 4, 4, dtype=torch.float32)
    for attack in (FGSM(threat(0.5)), PGD(threat(0.5), random_start=False)):
        assert torch.equal(attack(lambda z: (0 * z).sum(), x), x)


def test_a_copy_has_no_gradient_towards_itself_but_a_random_start_has():
    """Facts of CLAE: the cosine of a vector with itself is maximal, so FGSM from x learns nothing from the positive pair."""
    x = torch.nn.functional.one_hot(torch.tensor([1, 5]), 12).double().view(2, 3, 2, 2)

    def away_from_itself(x_adv):
        return -F.cosine_similarity(x_adv.flatten(1), x.flatten(1))

    assert torch.equal(FGSM(Linf(0.1))(away_from_itself, x), x)
    x_adv = RFGSM(Linf(0.1))(away_from_itself, x)
    assert (away_from_itself(x_adv) > away_from_itself(x)).all()


def test_restarts_keep_the_best_end_point_of_each_image():
    x = images(6, 3, 4, 4)
    attack = PGD(Linf(0.5), steps=3, restarts=4)
    x_adv = attack(bumpy, x, generator=generator(5))
    shared = generator(5)
    runs = torch.stack([PGD(Linf(0.5), steps=3)(bumpy, x, generator=shared) for _ in range(4)])
    values = torch.stack([bumpy(run) for run in runs])
    winner = values.argmax(0)
    assert len(set(winner.tolist())) > 1
    assert torch.equal(x_adv, runs[winner, torch.arange(6)])


def test_restarts_need_one_value_per_image():
    with pytest.raises(ValueError, match=r"returned a scalar; it must return one value per image, \[2\], as restarts"):
        PGD(Linf(0.1), restarts=2)(lambda z: z.sum(), images(2, 3, 4, 4))


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
