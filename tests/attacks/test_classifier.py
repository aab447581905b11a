"""Attacks on classifiers: each equals its loop image by image, attacks nobody twice, and refuses what is no classifier."""

import math
import subprocess
import sys

import pytest
import torch
from torch import nn

from sparring.attacks import FGSM, L1, L2, PGD, Linf, MultiTargeted, RandomNoise, Untargeted
from sparring.attacks.classifier import ClassifierAttack, wrong_classes
from sparring.attacks.objectives import margin
from tests.attacks.objectives import generator, images
from tests.reference import classifiers_under_attack as reference
from tests.reference import objectives as loops

NORMS = {Linf: math.inf, L2: 2, L1: 1}
W = torch.randn(6, 12, generator=generator(1), dtype=torch.float64)
V = torch.randn(5, 6, generator=generator(2), dtype=torch.float64)


def model(x):
    """Five classes of images [3, 2, 2], no nn.Module."""
    return torch.tanh(x.flatten(1) @ W.T) @ V.T


def batch(n=12, seed=3):
    """Images and labels, some of which are wrong from the start."""
    x = images(n, 3, 2, 2, seed=seed)
    y = model(x).argmax(1)
    y[::4] = (y[::4] + 1) % 5
    return x, y


class Counting:
    """A model that remembers how many images each call had."""

    def __init__(self, model=model):
        self.model, self.calls = model, []

    def __call__(self, x):
        self.calls.append(len(x))
        return self.model(x)


@pytest.mark.parametrize("objective", ["cross_entropy", "margin", "dlr"])
@pytest.mark.parametrize(("threat", "eps"), [(Linf, 0.05), (L2, 0.15), (L1, 0.4)])
def test_equals_the_loops_image_by_image(threat, eps, objective):
    x, y = batch()
    budget = {"radius": eps, "steps": 5, "step_size": eps / 2, "p": NORMS[threat]}
    ball = threat(eps, sparsity=0.1) if threat is L1 else threat(eps)
    pgd = PGD(ball, steps=5, step_size=eps / 2, random_start=False)
    rows = list(zip(x.flatten(1).tolist(), y.tolist(), strict=True))
    w, v = W.tolist(), V.tolist()

    expected = [reference.untargeted(w, v, *row, getattr(loops, objective), **budget) for row in rows]
    x_adv = Untargeted(pgd, objective)(model, x, y)
    torch.testing.assert_close(x_adv.flatten(1), torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-9)

    for targets in (1, 3, None):
        loop = getattr(loops, f"targeted_{objective}")
        expected = [reference.multi_targeted(w, v, *row, loop, targets, **budget) for row in rows]
        x_adv = MultiTargeted(pgd, objective, targets)(model, x, y)
        torch.testing.assert_close(x_adv.flatten(1), torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-9)
    broken = model(x_adv).argmax(1) != y
    assert (broken & (model(x).argmax(1) == y)).any()
    assert not broken.all()


def test_an_image_that_is_wrong_is_not_attacked_again():
    x, y = batch(160)
    weak, start = PGD(Linf(0.06), steps=1, step_size=0.002), generator(7)
    right = (model(x).argmax(1) == y).nonzero().flatten()
    expected, largest, calls = x.clone(), torch.full((160,), -math.inf, dtype=torch.float64), [160]
    for _ in range(4):
        end = weak(lambda z, r=right: nn.functional.cross_entropy(model(z), y[r]), x[right], generator=start)
        calls += [len(right)] * 2
        values = margin(model(end), y[right])
        better = values >= largest[right]
        expected[right[better]], largest[right[better]] = end[better], values[better]
        right = right[model(end).argmax(1) == y[right]]
    counting = Counting()
    x_adv = Untargeted(weak, restarts=4)(counting, x, y, generator=generator(7))
    assert counting.calls == calls
    assert len(set(calls)) > 3
    assert torch.equal(x_adv, expected)
    assert torch.equal(largest[right], margin(model(x_adv), y)[right])
    assert (model(x_adv[right]).argmax(1) == y[right]).all()


def test_a_single_run_calls_the_model_once_a_step_and_once_before():
    x, y = batch(12)
    for attack in (Untargeted(PGD(Linf(0.1), steps=5)), MultiTargeted(PGD(Linf(0.1), steps=5), targets=1)):
        counting = Counting()
        attack(counting, x, y)
        assert counting.calls == [12] + [9] * 5


def test_more_restarts_never_help_the_defender():
    x, y = batch(60)

    def robust(restarts):
        attack = Untargeted(PGD(Linf(0.06), steps=1, step_size=0.002), restarts=restarts)
        return model(attack(model, x, y, generator=generator(1))).argmax(1) == y

    one, many = robust(1), robust(8)
    assert not (many & ~one).any()
    assert many.sum() < one.sum()


def corner(x):
    """Class 1 is second but cannot be reached; class 2 is last but wins where the first pixel is bright; class 0 else."""
    first, last = x.flatten(1)[:, :1], x.flatten(1)[:, -1:]
    return torch.cat([0 * first, -0.01 + 0 * first, 4 * first - 3, 0.001 * last - 1], dim=1)


def test_an_image_is_robust_only_if_every_wrong_class_fails():
    x = torch.full((2, 3, 2, 2), 0.5)
    x[1] = 0.1
    y = torch.zeros(2, dtype=torch.int64)
    pgd = PGD(Linf(0.3), steps=3, random_start=False)
    assert torch.equal(wrong_classes(corner(x), y), torch.tensor([[1, 3, 2], [1, 3, 2]]))
    for targets, broken in ((1, False), (2, False), (3, True), (None, True)):
        x_adv = MultiTargeted(pgd, targets=targets)(corner, x, y)
        assert corner(x_adv).argmax(1).tolist() == [2 * broken, 0]
    counting = Counting(corner)
    MultiTargeted(pgd)(counting, x, y)
    assert counting.calls == [2, *[2] * 4 * 3]
    counting = Counting(corner)
    MultiTargeted(pgd)(counting, x.repeat(2, 1, 1, 1)[1:], torch.tensor([0, 0, 3]))
    assert counting.calls == [3, *[2] * 4 * 3]


def test_images_broken_by_one_class_are_spared_the_others():
    x, y = batch(40)
    counting = Counting()
    x_adv = MultiTargeted(PGD(Linf(0.05), steps=3, random_start=False))(counting, x, y)
    groups = counting.calls[1::4]
    assert counting.calls == [40] + [n for n in groups for _ in range(4)]
    assert len(groups) == 4
    assert groups[0] == 30
    assert groups == sorted(groups, reverse=True)
    assert groups[-1] < groups[0]
    assert (model(x_adv).argmax(1) == y).sum() <= groups[-1]


def test_the_wrong_classes_in_the_order_of_their_scores_the_lower_first_where_they_tie():
    logits = torch.tensor([[0.0, 2.0, 2.0, 1.0, 2.0], [5.0, 5.0, 5.0, 5.0, 5.0], [4.0, 3.0, 2.0, 1.0, 0.0]])
    y = torch.tensor([1, 2, 4])
    assert wrong_classes(logits, y).tolist() == [[2, 4, 3, 0], [0, 1, 3, 4], [0, 1, 2, 3]]


@pytest.mark.parametrize("attack", [Untargeted(PGD(Linf(0.1))), MultiTargeted(PGD(Linf(0.1), random_start=False))])
def test_fits_the_protocol_and_works_on_any_classifier(attack):
    assert isinstance(attack, ClassifierAttack)
    assert attack.threat == Linf(0.1)
    x = images(6, 3, 2, 2)
    for classes in (2, 3, 10):
        w = torch.randn(12, classes, generator=generator(classes), dtype=torch.float64)
        y = (x.flatten(1) @ w).argmax(1)
        x_adv = attack(lambda z, w=w: z.flatten(1) @ w, x, y)
        assert (margin(x_adv.flatten(1) @ w, y) > margin(x.flatten(1) @ w, y)).all()
    assert torch.equal(attack(model, x[:0], y[:0]), x[:0])
    assert torch.equal(attack(model, x, (model(x).argmax(1) + 1) % 5), x)
    y = model(x).argmax(1)
    assert torch.equal(attack(model, x, y), attack(model, x, y.int()))
    assert torch.equal(attack(model, x, y), attack(model, x, y, generator=generator(0)))


def test_images_of_a_batch_do_not_influence_each_other():
    x, y = batch()
    for attack in (Untargeted(FGSM(Linf(0.05))), MultiTargeted(PGD(L2(0.2), steps=3, random_start=False))):
        together = attack(model, x, y)
        alone = torch.cat([attack(model, x[i : i + 1], y[i : i + 1]) for i in range(len(x))])
        torch.testing.assert_close(together, alone, rtol=0, atol=1e-12)


def test_leaves_the_model_and_the_random_state_as_they_were():
    net = nn.Sequential(nn.Conv2d(3, 4, 2), nn.BatchNorm2d(4), nn.Dropout(0.3), nn.Flatten(), nn.Linear(36, 3))
    x, y = images(8, 3, 4, 4, dtype=torch.float32), torch.arange(8) % 3
    before = {name: value.clone() for name, value in net.state_dict().items()}
    state = torch.get_rng_state()
    for attack in (Untargeted(PGD(Linf(0.1), steps=2), restarts=2), MultiTargeted(PGD(Linf(0.1), steps=2))):
        with torch.no_grad():
            x_adv = attack(net, x, y)
        assert not x_adv.requires_grad
        assert torch.equal(torch.get_rng_state(), state)
        assert net.training
        assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
        assert all(p.grad is None for p in net.parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_keeps_dtype_layout_ball_and_box(dtype):
    x, y = batch(20)
    x = x.to(dtype).contiguous(memory_format=torch.channels_last)
    for attack in (
        Untargeted(PGD(Linf(8 / 255), steps=3), "dlr", restarts=2),
        MultiTargeted(PGD(Linf(8 / 255), steps=3), "dlr", targets=2),
        Untargeted(RandomNoise(Linf(8 / 255)), restarts=2),
    ):
        x_adv = attack(lambda z: model(z.double()), x, y)
        assert x_adv.dtype == dtype
        assert x_adv.is_contiguous(memory_format=torch.channels_last)
        assert (x_adv.double() - x.double()).abs().max() <= 8 / 255 + 1e-7
        assert x_adv.min() >= 0
        assert x_adv.max() <= 1
    assert (Untargeted(PGD(Linf(0.1)))(lambda z: model(z.double()).to(dtype), x, y) != x).any()


def test_normalised_units_need_std():
    x, y = batch()
    attack = Untargeted(FGSM(Linf(0.1, space="normalized", clip=False)))
    with pytest.raises(ValueError, match="call the attack with std="):
        attack(model, x, y)
    moved = (attack(model, x, y, std=(0.2, 0.25, 0.5)) - x).abs().amax(dim=(2, 3))
    right = model(x).argmax(1) == y
    torch.testing.assert_close(
        moved[right], torch.tensor([0.02, 0.025, 0.05], dtype=torch.float64).expand(int(right.sum()), 3)
    )


BAD_INPUT = """
import torch
from sparring.attacks import *

x, y = torch.rand(4, 3, 2, 2), torch.tensor([0, 1, 2, 1])
w = torch.randn(12, 3)
model = lambda z: z.flatten(1) @ w
pgd = PGD(Linf(0.1))
many = Untargeted(pgd)
elsewhere = type("Generator", (), {"device": torch.device("meta")})()
sick = lambda z: model(z).index_fill(0, torch.tensor([2]), float("nan"))
for sentence, make in {
    "Untargeted: attack is Linf(eps=0.1": lambda: Untargeted(Linf(0.1)),
    "MultiTargeted: attack is FGSM(": lambda: MultiTargeted(FGSM(Linf(0.1))),
    "Untargeted: restarts is 0; it must be a whole number": lambda: Untargeted(pgd, restarts=0),
    "Untargeted: restarts is True": lambda: Untargeted(pgd, restarts=True),
    "Untargeted: 3 restarts need a random start; FGSM": lambda: Untargeted(FGSM(Linf(0.1)), restarts=3),
    "Untargeted: attack has 2 restarts of its own": lambda: Untargeted(PGD(Linf(0.1), restarts=2)),
    "MultiTargeted: attack has 2 restarts of its own": lambda: MultiTargeted(PGD(Linf(0.1), restarts=2)),
    "objective is 'Margin '; it must be one of cross_entropy, margin, dlr; did you mean margin?":
        lambda: Untargeted(pgd, "Margin "),
    "objective is 'ce'; it must be one of cross_entropy, margin, dlr": lambda: MultiTargeted(pgd, "ce"),
    "objective is None": lambda: MultiTargeted(pgd, None),
    "MultiTargeted: targets is 0; it must be a whole number": lambda: MultiTargeted(pgd, targets=0),
    "targets is 9, but the model has 2 wrong classes; targets must be from 1 to 2, or None":
        lambda: MultiTargeted(pgd, targets=9)(model, x, y),
    "y has class 3, but the model has classes 0 to 2": lambda: many(model, x, y + 1),
    "y has class -1, but": lambda: many(model, x, y - 1),
    "y has shape (3,) for 4 images; it must be [4]": lambda: many(model, x, y[:3]),
    "y has shape (4, 1) for 4 images": lambda: many(model, x, y[:, None]),
    "y is torch.float32; it must be a tensor of whole numbers": lambda: many(model, x, y.float()),
    "y is torch.bool": lambda: many(model, x, y > 0),
    "y is list": lambda: many(model, x, [0, 1, 2, 1]),
    "y is on meta but x on cpu": lambda: many(model, x, y.to("meta")),
    "x lies in [": lambda: many(model, 255 * x, y),
    "x is torch.uint8": lambda: many(model, (255 * x).byte(), y),
    "generator is on meta but x on cpu": lambda: many(model, x, model(x).argmax(1), generator=elsewhere),
    "the model returned a tuple; an attack needs logits [B, K] alone": lambda: many(lambda z: (model(z), z), x, y),
    "the model returned torch.float32 of shape (4, 3, 2, 2) for 4 images; an attack needs floating":
        lambda: many(lambda z: z, x, y),
    "the model returned torch.int64 of shape (4, 3)": lambda: many(lambda z: model(z).long(), x, y),
    "the model returned one logit per image": lambda: many(lambda z: model(z)[:, :1], x, y),
    "the model returned NaN logits for 1 of 4 images": lambda: many(sick, x, y),
    "dlr, but the model has 2 classes; it needs 3": lambda: Untargeted(pgd, "dlr")(lambda z: model(z)[:, :2], x, y % 2),
    "targeted dlr, but the model has 3 classes; it needs 4": lambda: MultiTargeted(pgd, "dlr")(model, x, y),
    "preset is 'ascl-mpdg', which is none of the papers' attacks; did you mean ascl-mpgd?": lambda: preset("ascl-mpdg"),
    "preset is 'x', which is none of the papers' attacks; it must be one of ascl-pgd, ": lambda: preset("x"),
}.items():
    try:
        make()
    except ValueError as error:
        assert sentence in str(error) and "\\n" not in str(error), (sentence, error)
    else:
        raise AssertionError(sentence)
"""


def test_bad_input_gets_one_clear_sentence():
    """In a process of its own: in this one, jaxtyping's checks of the test run would speak first."""
    run = subprocess.run([sys.executable, "-c", BAD_INPUT], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
