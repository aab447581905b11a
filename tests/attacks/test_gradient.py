"""The attacks: each equals its formula, stays in ball and box, and reaches the optimum where it is known."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from sparring.attacks import FFGSM, FGSM, L1, L2, PGD, RFGSM, Linf, RandomNoise
from tests.attacks.objectives import bumpy, bumpy_gradient, generator, images
from tests.reference import attacks as reference

NORMS = {Linf: math.inf, L2: 2, L1: 1}
ATTACKS = [FGSM, RFGSM, FFGSM, PGD, RandomNoise]
STD = (0.2, 0.25, 0.5)


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


@pytest.mark.parametrize("threat", list(NORMS))
def test_a_normal_start_has_its_deviation_and_is_projected(threat):
    x = torch.full((2, 3, 20, 20), 0.5, dtype=torch.float64)

    def first(std, eps):
        visited = []

        def objective(x_adv):
            visited.append(x_adv.detach().clone())
            return bumpy(x_adv)

        PGD(threat(eps), start_std=std)(objective, x, generator=generator(1))
        return visited[0] - x

    start = 0.001 * torch.randn(x.shape, generator=generator(1), dtype=x.dtype)
    torch.testing.assert_close(first(0.001, 3.0), start, rtol=1e-6, atol=1e-15)
    far = first(0.1, 0.01)
    assert (far.flatten(1).norm({Linf: math.inf, L2: 2, L1: 1}[threat], dim=1) <= 0.01 * (1 + 1e-9)).all()
    with pytest.raises(ValueError, match=r"PGD: start_std is 0\.0; it must be a positive finite number"):
        PGD(threat(0.1), start_std=0.0)
    with pytest.raises(ValueError, match=r"PGD: start_std is 0\.1 without random_start"):
        PGD(threat(0.1), start_std=0.1, random_start=False)


@pytest.mark.parametrize("threat", list(NORMS))
@pytest.mark.parametrize("attack", [RFGSM, FFGSM, PGD])
def test_a_start_that_is_not_clipped_leaves_the_box_but_not_the_ball(attack, threat):
    x = images(2, 3, 4, 4).round()
    eps = {Linf: 0.1, L2: 1.0, L1: 4.0}[threat]
    visited = []

    def objective(x_adv):
        visited.append(x_adv.detach().clone())
        return bumpy(x_adv)

    x_adv = attack(threat(eps), clip_start=False)(objective, x, generator=generator(1))
    norm = {Linf: math.inf, L2: 2, L1: 1}[threat]
    assert visited[0].min() < 0 and visited[0].max() > 1
    for later in (*visited[1:], x_adv):
        assert later.min() >= 0 and later.max() <= 1
    for image in (*visited, x_adv):
        assert ((image - x).flatten(1).norm(norm, dim=1) <= eps * (1 + 1e-6)).all()
    unbounded = [
        attack(threat(eps, clip=False), clip_start=clipped)(bumpy, x, generator=generator(1))
        for clipped in (True, False)
    ]
    assert torch.equal(*unbounded)


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
