"""Robust accuracy image by image: closed forms on linear models, and a verdict that does not trust the attack."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from sparring.attacks import FGSM, L2, PGD, AutoAttack, Linf, RandomNoise, Untargeted
from sparring.evaluation import attacked, predictions
from sparring.evaluation.robust import excess


class Linear(nn.Module):
    """Logits w_k . x + b, counting the images that it sees."""

    def __init__(self, classes: int = 2, pixels: int = 3 * 4 * 4):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(classes, pixels, dtype=torch.float32))
        self.seen = 0

    def forward(self, x):
        self.seen += len(x)
        return x.flatten(1) @ self.weight.T - 0.5 * self.weight.sum(dim=1)


@pytest.fixture
def images():
    # far enough from the box that no step is clipped
    return 0.3 + 0.4 * torch.rand(40, 3, 4, 4)


def margins(model: Linear, x, y):
    logits = model(x)
    return logits.gather(1, y[:, None])[:, 0] - logits.gather(1, 1 - y[:, None])[:, 0]


@pytest.mark.parametrize("attack", [FGSM(Linf(0.02)), PGD(Linf(0.02), steps=10, step_size=0.01)])
def test_linf_on_two_linear_classes_breaks_exactly_what_the_dual_norm_says(images, attack):
    model, y = Linear(), torch.randint(2, (40,))
    reach = 0.02 * (model.weight[0] - model.weight[1]).abs().sum()
    expected = margins(model, images, y) > reach
    outcome = attacked(model, images, y, Untargeted(attack))
    assert torch.equal(outcome.correct, expected)
    assert 0 < expected.sum() < (margins(model, images, y) > 0).sum()
    assert outcome.robust_accuracy == expected.double().mean()


def test_l2_on_two_linear_classes_breaks_exactly_what_the_dual_norm_says(images):
    model, y = Linear(), torch.randint(2, (40,))
    reach = 0.08 * (model.weight[0] - model.weight[1]).norm()
    outcome = attacked(model, images, y, Untargeted(PGD(L2(0.08), steps=10, step_size=0.04)))
    assert torch.equal(outcome.correct, margins(model, images, y) > reach)


def test_only_images_that_are_right_are_attacked(images):
    model, y = Linear(), torch.randint(2, (40,))
    right = int((predictions(model, images) == y).sum())
    model.seen = 0
    outcome = attacked(model, images, y, Untargeted(FGSM(Linf(0.1))), correct=predictions(model, images) == y)
    wrong = predictions(model, images) != y
    assert torch.equal(outcome.x_adv[wrong], images[wrong])
    assert not outcome.correct[wrong].any()
    # twice all images by the test, once all at the end, and the attack: at most a check and a gradient of the right ones
    assert model.seen <= 4 * 40 + 3 * right - 40 + 40


def test_verdicts_do_not_depend_on_the_batch_size_where_the_attack_draws_nothing(images):
    model, y = Linear(5), torch.randint(5, (40,))
    attack = Untargeted(PGD(Linf(0.05), steps=5, random_start=False))
    one, many = (attacked(model, images, y, attack, batch_size=size) for size in (7, 100))
    assert torch.equal(one.x_adv, many.x_adv)
    assert torch.equal(one.correct, many.correct)


@dataclass(frozen=True)
class TooFar:
    """An attack that cheats: twice as far as its threat allows."""

    threat: Linf

    def __call__(self, model, x, y, *, std=None, generator=None):
        return Untargeted(FGSM(Linf(2 * self.threat.eps)))(model, x, y)


def test_an_image_that_left_the_ball_convinces_nobody(images):
    model, y = Linear(), torch.randint(2, (40,))
    with pytest.warns(UserWarning, match="left its ball"):
        outcome = attacked(model, images, y, TooFar(Linf(0.01)))
    assert outcome.distance == pytest.approx(2, rel=1e-4)
    assert torch.equal(outcome.correct, predictions(model, images) == y)
    assert (outcome.predicted != y).sum() > (~outcome.correct).sum()  # the attack itself claims more


def test_excess_is_the_norm_over_eps_image_by_image():
    x = torch.full((3, 1, 2, 2), 0.5)
    delta = torch.zeros_like(x)
    delta[0, 0, 0, 0], delta[1], delta[2, 0, 1, 1] = 0.1, 0.2, 0.7
    distance, outside = excess(Linf(0.1), x, x + delta)
    assert distance == pytest.approx(torch.tensor([1.0, 2.0, 7.0]).double(), rel=1e-5)
    assert outside == pytest.approx(torch.tensor([0.0, 0.0, 0.2]).double(), abs=1e-6)
    assert excess(L2(0.4), x, x + delta)[0][1].item() == pytest.approx(1.0, rel=1e-5)
    normalised = Linf(0.5, space="normalized", clip=False)
    assert excess(normalised, x, x + delta, std=(0.2,))[0][1].item() == pytest.approx(2.0, rel=1e-5)


def test_the_model_is_measured_in_evaluation_mode_and_left_in_its_own(images):
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout(0.9), nn.Flatten(), nn.Linear(48, 2))
    model[1].eval()
    y = torch.randint(2, (40,))
    before = [part.training for part in model.modules()], model[0].running_mean.clone()
    first = attacked(model, images, y, Untargeted(FGSM(Linf(0.02))))
    again = attacked(model, images, y, Untargeted(FGSM(Linf(0.02))))
    assert torch.equal(first.x_adv, again.x_adv)
    assert [part.training for part in model.modules()] == before[0]
    assert torch.equal(model[0].running_mean, before[1])
    assert all(parameter.grad is None for parameter in model.parameters())


def test_autoattack_and_noise_answer_in_the_same_words(images):
    model, y = Linear(4), torch.randint(4, (40,))
    told = []
    attack = AutoAttack(Linf(0.05), iterations=5, queries=10)
    outcome = attacked(model, images, y, attack, progress=lambda *words: told.append(words))
    noise = attacked(model, images, y, Untargeted(RandomNoise(Linf(0.05))))
    assert set(outcome.broken_by) == set(attack.members)
    right = predictions(model, images) == y
    assert sum(outcome.broken_by.values()) == int(right.sum() - outcome.correct.sum())
    assert outcome.distance <= 1 + 1e-5 and outcome.outside == 0
    assert noise.robust_accuracy >= outcome.robust_accuracy
    assert told and all(0 <= done <= total for _, done, total, _ in told)


def test_random_starts_follow_the_seed(images):
    model, y = Linear(3), torch.randint(3, (40,))
    attack = Untargeted(PGD(Linf(0.05), steps=1))
    one, same, other = (attacked(model, images, y, attack, seed=seed).x_adv for seed in (0, 0, 1))
    assert torch.equal(one, same) and not torch.equal(one, other)


@pytest.mark.parametrize(
    "attack", [Untargeted(PGD(Linf(0.1), steps=5)), AutoAttack(Linf(0.1), members=("apgd-ce",), iterations=5)]
)
def test_pixels_a_rounding_outside_the_box_change_no_verdict(attack):
    model, y = Linear(3), torch.randint(3, (40,))
    exact = torch.rand(40, 3, 4, 4).round()
    rounded = exact + 5e-5 * (2 * exact - 1)
    one, other = (attacked(model, x, y, attack) for x in (exact, rounded))
    assert torch.equal(one.correct, other.correct) and other.distance <= 1 + 1e-5


class Randomised(Linear):
    """Noise on the logits, from the global random state."""

    def forward(self, x):
        return super().forward(x) + torch.randn(len(x), len(self.weight))


def test_figures_of_a_randomised_model_follow_the_seed_and_leave_the_random_state_alone(images):
    model, y = Randomised(3), torch.randint(3, (40,))
    outcomes = []
    for state in (0, 1):
        torch.manual_seed(state)
        before = torch.get_rng_state()
        outcomes.append(attacked(model, images, y, Untargeted(PGD(Linf(0.05), steps=2)), seed=7))
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(outcomes[0].x_adv, outcomes[1].x_adv) and torch.equal(outcomes[0].correct, outcomes[1].correct)
