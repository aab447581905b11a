"""Honest models pass every check; each deliberately broken one fails exactly the checks that are about its fault."""

from __future__ import annotations

import copy
import inspect
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from sparring.attacks import L1, L2, PGD, Linf, RandomNoise, Untargeted
from sparring.evaluation.intervals import wilson
from sparring.evaluation.robust import Attacked, attacked
from sparring.evaluation.trust import Against, trust_checks
from sparring.evaluation.trust.measure import radii_of, worst_rise
from sparring.evaluation.trust.substitute import fit_substitute
from sparring.norms import convert, use_domain

LINF = Linf(0.2)
CHEAP = {"images": 25, "square_queries": 10, "steps": (1, 2)}
FAST = {"images": 70, "square_queries": 60, "steps": (1, 3, 10)}


def fitted(net, x, y, *, eps=0.0, epochs=6, batch=50):
    """`net` after a few epochs of Adam, on the images or on adversarial ones; in evaluation mode."""
    torch.manual_seed(0)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(batch):
            images = x[rows]
            if eps:
                net.eval()
                images = PGD(Linf(eps), 3)(lambda v, t=y[rows]: functional.cross_entropy(net(v), t), images)
                net.train()
            optimizer.zero_grad()
            functional.cross_entropy(net(images), y[rows]).backward()
            optimizer.step()
    for parameter in net.parameters():
        parameter.grad = None
    return net.eval()


def small():
    return nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.Conv2d(12, 24, 3, padding=1, stride=2),
        nn.BatchNorm2d(24),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(384, 10),
    )


class Around(nn.Module):
    """A model with something in front of it and something behind it."""

    def __init__(self, net, before=lambda x: x, after=lambda z: z):
        super().__init__()
        self.net, self.before, self.after = net, before, after

    def forward(self, x):
        return self.after(self.net(self.before(x)))


@pytest.fixture(scope="module")
def digits():
    """Real handwritten digits, 8 x 8: training images and labels, test images and labels."""
    from sklearn.datasets import load_digits

    data = load_digits()
    order = torch.randperm(1797, generator=torch.Generator().manual_seed(0))
    x = torch.tensor(data.images / 16, dtype=torch.float32)[:, None][order]
    y = torch.tensor(data.target)[order]
    return x[:1300], y[:1300], x[1300:], y[1300:]


@pytest.fixture(scope="module")
def natural(digits):
    torch.manual_seed(0)
    return fitted(small(), *digits[:2])


@pytest.fixture(scope="module")
def hardened(digits):
    torch.manual_seed(0)
    return fitted(small(), *digits[:2], eps=0.15)


@pytest.fixture(scope="module")
def rival(digits):
    """Another network of the same data, for transfer: quicker than fitting a substitute each time."""
    torch.manual_seed(1)
    return fitted(small(), *digits[:2], epochs=2)


@pytest.fixture
def ask(digits, rival):
    """The checks of a model on the test digits, and their names by colour."""

    def ask(model, threat=LINF, **changes):
        trust = trust_checks(model, *digits[2:], threat=threat, **({"surrogate": rival} | FAST | changes))
        return trust, {c: {k.name for k in trust.checks if k.colour == c} for c in ("red", "yellow", "grey")}

    return ask


def said(trust, name):
    """One check of a trust."""
    return next(check for check in trust.checks if check.name == name)


NOTHING = {"red": set(), "yellow": set(), "grey": set()}


@pytest.mark.parametrize(
    ("which", "threat"), [("natural", LINF), ("hardened", LINF), ("natural", L1(5.0)), ("hardened", L2(1.0))]
)
def test_honest_models_are_green_in_every_check(ask, request, which, threat):
    trust, by_colour = ask(request.getfixturevalue(which), threat)
    assert by_colour == NOTHING, [c.sentence for c in trust.checks]
    assert len({check.name for check in trust.checks}) == 12
    assert trust.verdict == {
        "colour": "green",
        "sentence": "The numbers can be trusted: all 12 checks for broken attacks passed.",
    }
    right = said(trust, "beats_square").figures["right_images"]
    assert said(trust, "beats_square").figures["broken_by_gradients"] > 0.3 * right


@pytest.mark.parametrize("scale", [1e4, 1e6])
def test_a_saturated_softmax(ask, natural, scale):
    trust, by_colour = ask(Around(natural, after=lambda z: scale * z), **CHEAP)
    assert by_colour == NOTHING | {"red": {"nonzero_gradients", "logits", "objectives"}}
    assert "believe attacks on margin or DLR" in said(trust, "nonzero_gradients").sentence
    assert trust.verdict["colour"] == "red" and "NOT to be trusted" in trust.verdict["sentence"]


def test_rounded_pixels(ask, natural, digits):
    def rounded(x):
        return (5 * x).round() / 5

    trust, by_colour = ask(Around(natural, rounded))
    masked = {"eps_to_chance", "beats_noise", "beats_square", "nonzero_gradients", "transfer"}
    assert by_colour == NOTHING | {"red": masked}, [c.sentence for c in trust.checks]
    assert "even the margin" in said(trust, "nonzero_gradients").sentence
    assert "gradient attacks do worse than random noise" in trust.verdict["sentence"]


def test_a_randomised_model(ask, natural):
    def noisy(x):
        return x + 0.15 * torch.randn_like(x)

    trust, by_colour = ask(Around(natural, noisy))
    assert by_colour == NOTHING | {"red": {"deterministic"}}
    assert said(trust, "deterministic").figures["changed_predictions"] > 0
    once, twice = (ask(Around(natural, noisy), **CHEAP)[0] for _ in range(2))
    assert once == twice


def test_probabilities_are_no_logits(ask, natural):
    _, by_colour = ask(Around(natural, after=lambda z: z.softmax(dim=1)))
    assert by_colour["red"] == {"logits"}
    assert by_colour["grey"] <= {"beats_square"}


def test_log_probabilities_attack_like_logits(ask, natural):
    assert ask(Around(natural, after=lambda z: z.log_softmax(dim=1)))[1] == NOTHING


def test_training_mode(ask, natural):
    model = copy.deepcopy(natural).train()
    trust, by_colour = ask(model, **CHEAP)
    assert by_colour == NOTHING | {"red": {"evaluation_mode"}}
    check = said(trust, "evaluation_mode")
    assert check.sentence.startswith("BatchNorm2d 1 and 7 more ran in training mode")
    assert "the other images of its batch change" in check.sentence
    assert all(part.training for part in model.modules())
    assert all(torch.equal(v, natural.state_dict()[k]) for k, v in model.state_dict().items())


def test_training_mode_that_changes_nothing_is_a_remark(ask, natural):
    model = Around(natural, before=nn.ReLU())
    model.before.train()
    assert ask(model, **CHEAP)[1] == NOTHING | {"yellow": {"evaluation_mode"}}


def test_images_that_see_each_other(ask, natural):
    trust, by_colour = ask(lambda x: natural(x - 0.5 * (x - 0.3).mean(dim=0)), **CHEAP)
    assert "evaluation_mode" in by_colour["red"]
    assert "he other images of its batch change" in said(trust, "evaluation_mode").sentence


def test_images_that_share_the_extremes_of_their_batch(ask, natural):
    _, by_colour = ask(Around(natural, before=lambda x: x / x.max().clamp(min=0.1)))
    assert "evaluation_mode" in by_colour["red"]


def test_chance_is_that_of_the_largest_class(digits):
    """A model that has a large bias for the class of most images is right on grey ones, and honest."""
    x, labels = digits[2], digits[3]
    few = torch.cat([(labels == 3).nonzero().flatten()[:40], (labels == 5).nonzero().flatten()[:8]])
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).requires_grad_(False)
    net[1].weight *= 0.01
    net[1].bias[3] = 50.0
    trust = trust_checks(net.eval(), x[few], labels[few], threat=LINF, surrogate=net, **FAST)
    check = said(trust, "eps_to_chance")
    assert check.colour == "green" and check.figures["chance"] == 40 / 48


def test_an_attack_that_is_too_weak_casts_doubt(natural, digits, rival):
    x, y = digits[2][:40], digits[3][:40]
    noise = {"noise": attacked(natural, x, y, Untargeted(RandomNoise(LINF)))}
    pgd = {"pgd": attacked(natural, x, y, Untargeted(PGD(LINF, 50), "margin"))}
    for runs, colour in ((noise, "red"), (noise | pgd, "green")):
        trust = trust_checks(natural, x, y, threat=LINF, surrogate=rival, attacks=runs, **FAST)
        assert said(trust, "strong_enough").colour == colour


class InDomain(nn.Module):
    """A dual encoder's classifier that chooses its domain inside its forward."""

    def __init__(self, net, domain):
        super().__init__()
        self.net, self.domain = net, domain

    def forward(self, x):
        with use_domain(self.net, self.domain):
            return self.net(x)


def test_domains_are_named_and_an_untrained_one_is_red(ask, natural, digits):
    dual = convert(copy.deepcopy(natural)).eval()
    trust, by_colour = ask(InDomain(dual, "adv"), **CHEAP)
    assert by_colour["red"] == {"evaluation_mode"}
    check = said(trust, "evaluation_mode")
    assert check.figures["domain"] == "adv" and check.figures["untrained_batch_norms"] == 2
    assert "(net.1.adv and 1 more)" in check.sentence
    assert {part.domain for part in dual.modules() if hasattr(part, "domain")} == {"clean"}
    dual[1].adv.reset_running_stats()
    dual[4].adv.running_mean += 0.01
    check = said(ask(InDomain(dual, "adv"), **CHEAP)[0], "evaluation_mode")
    assert (check.colour, check.figures["untrained_batch_norms"]) == ("red", 1)
    assert "domain adv" in check.sentence


def test_the_other_domain_may_be_the_one_that_is_meant(natural, rival, digits):
    x, y = (test[:100] for test in digits[2:])
    dual = convert(copy.deepcopy(natural)).eval()
    for layer in (dual[1], dual[4]):
        layer.adv.running_mean += 0.6 * torch.randn(layer.adv.running_mean.shape)
    right = {}
    for domain in ("clean", "adv"):
        with use_domain(dual, domain), torch.no_grad():
            right[domain] = (dual(x).argmax(dim=1) == y).float().mean().item()
    assert right["clean"] > right["adv"] + 0.15
    settings = CHEAP | {"threat": LINF, "surrogate": rival, "images": 100}
    check = said(trust_checks(InDomain(dual, "adv"), x, y, **settings), "evaluation_mode")
    assert check.colour == "yellow" and check.sentence.endswith("Is it the domain that you mean?")
    assert check.figures["clean_accuracy_of_the_other"] == pytest.approx(right["clean"])
    assert check.figures["clean_accuracy"] == pytest.approx(right["adv"])
    check = said(trust_checks(InDomain(dual, "clean"), x, y, **settings), "evaluation_mode")
    assert check.colour == "green" and "domain clean" in check.sentence


def test_a_model_that_withstands_only_one_step(ask, natural):
    def turned(x):
        """The pixels, with the gradient turned round exactly at the images themselves, whose grey levels are 16ths."""
        own = ((16 * x).round() / 16 == x).flatten(1).all(dim=1).view(-1, 1, 1, 1)
        return torch.where(own, 2 * x.detach() - x, x)

    trust, by_colour = ask(Around(natural, turned))
    assert by_colour == NOTHING | {"red": {"one_step"}}, [c.sentence for c in trust.checks]
    assert "catastrophic overfitting" in trust.verdict["sentence"]


def test_a_model_without_a_gradient(ask, natural):
    def detached(x):
        return natural(x.detach())

    trust, by_colour = ask(detached)
    assert by_colour["red"] == {"nonzero_gradients"}
    assert by_colour["grey"] >= {"eps_to_chance", "more_steps", "one_step", "objectives", "beats_noise"}
    assert "no gradient of its outputs reaches the pixels" in said(trust, "more_steps").sentence
    assert set(trust.curves) == set()


def test_a_model_through_numpy(ask, natural):
    def through_numpy(x):
        return natural(torch.from_numpy(np.asarray(x)))

    trust, _ = ask(through_numpy)
    assert "its forward fails when a gradient is asked for" in said(trust, "nonzero_gradients").sentence


def test_a_gradient_that_is_not_finite(ask, natural):
    trust, by_colour = ask(Around(natural, lambda x: x + (x - x.detach()).abs().sqrt()))
    assert by_colour["red"] == {"nonzero_gradients"}
    assert "infinite or NaN" in said(trust, "nonzero_gradients").sentence
    assert "not finite at step 1" in said(trust, "objectives").sentence


def test_an_attack_that_left_its_ball(ask, natural, digits):
    theirs = Attacked(
        x_adv=digits[2],
        predicted=digits[3],
        correct=torch.zeros(len(digits[3]), dtype=torch.bool),
        distance=1.2,
        outside=0.0,
        seconds=1.0,
        words="PGD",
    )
    trust, by_colour = ask(natural, attacks={"theirs": theirs, "none": None}, **CHEAP)
    assert by_colour == NOTHING | {"red": {"within_threat"}}
    assert said(trust, "within_threat").sentence == (
        "theirs moved an image by 1.2 eps: its figures belong to a larger radius."
    )


def test_a_model_that_knows_nothing_cannot_be_judged(ask, digits):
    torch.manual_seed(0)
    _, by_colour = ask(small().eval(), correct=torch.arange(len(digits[2])) < 9)
    assert by_colour["red"] == {"evaluation_mode"}
    assert len(by_colour["grey"]) == 9


def test_nothing_is_left_changed(ask, natural, digits):
    model = copy.deepcopy(natural)
    before = torch.get_rng_state()
    state = np.random.get_state()[1].copy()  # noqa: NPY002  (the global state is what is looked at)
    hooks = {name: len(part._forward_pre_hooks) for name, part in model.named_modules()}
    ask(model, surrogate=None, train_images=(255 * digits[0]).byte(), **CHEAP)
    assert torch.equal(torch.get_rng_state(), before)
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002
    assert hooks == {name: len(part._forward_pre_hooks) for name, part in model.named_modules()}
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(v, natural.state_dict()[k]) for k, v in model.state_dict().items())


def test_curves_are_those_of_robustness_json(ask, natural):
    import json

    told = []
    trust, _ = ask(natural, progress=lambda *news: told.append(news))
    assert len(told) == 12 and told[0][1:3] == (0, 12)
    curves = json.loads(json.dumps(trust.curves))
    eps, steps = curves["eps"], curves["steps"]
    assert eps["eps"] == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.5])
    assert (eps["norm"], eps["n"], steps["steps"]) == ("Linf", 70, [1, 3, 10])
    for curve in (eps, steps):
        for accuracy, interval in zip(curve["accuracy"], curve["interval"], strict=True):
            assert interval == pytest.approx(wilson(round(70 * accuracy), 70))
    assert eps["accuracy"] == sorted(eps["accuracy"], reverse=True) and eps["accuracy"][-1] == 0
    assert all(noise >= accuracy for noise, accuracy in zip(eps["noise"], eps["accuracy"], strict=True))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": (5, 1)}, r"steps is \(5, 1\)"),
        ({"steps": ()}, "steps is"),
        ({"images": 0}, "images must be at least 1, not 0"),
        ({"square_queries": 0}, "square_queries must be at least 1"),
        ({"correct": torch.ones(3, dtype=torch.bool)}, "correct has 3 entries"),
        ({"train_images": torch.zeros(60, 3, 8, 8)}, "they must be alike"),
        ({"train_images": torch.full((60, 1, 8, 8), 7.0)}, r"x lies in \[7, 7\]"),
    ],
)
def test_bad_settings_are_one_sentence(digits, natural, changes, message):
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(trust_checks)(natural, *digits[2:], threat=Linf(0.1), **changes)


def test_bad_models_and_labels_are_one_sentence(digits, natural):
    _, _, x, y = digits
    with pytest.raises(ValueError, match=r"labels y lie in 1\.\.10"):
        trust_checks(natural, x, y + 1, threat=Linf(0.1))
    with pytest.raises(ValueError, match="the surrogate has 2 classes, but the model 10"):
        trust_checks(natural, x, y, threat=LINF, surrogate=lambda x: natural(x)[:, :2])
    with pytest.raises(ValueError, match="the model returned tuple"):
        trust_checks(lambda x: (natural(x), x), x, y, threat=LINF)
    with pytest.raises(ValueError, match="NaN or infinite for 200 of 200 images"):
        trust_checks(lambda x: natural(x) * math.nan, x, y, threat=Linf(0.1))


def test_too_few_images_for_a_substitute(ask, natural, digits):
    trust, by_colour = ask(natural, surrogate=None, train_images=digits[0][:49], **CHEAP)
    assert by_colour == NOTHING | {"grey": {"transfer"}}
    assert said(trust, "transfer").sentence.startswith("Not checked: 49 images are too few")
    assert trust.verdict["colour"] == "yellow"


def test_a_substitute_imitates_the_model(digits, natural):
    x, _, unseen, _ = digits
    with torch.no_grad():
        labels, wanted = natural(x).argmax(dim=1), natural(unseen).argmax(dim=1)
        substitute = fit_substitute(x, labels, 10, seed=3)
        agreement = (substitute(unseen).argmax(dim=1) == wanted).float().mean()
    assert agreement > 0.9 and not any(part.training for part in substitute.modules())
    assert not any(parameter.requires_grad for parameter in substitute.parameters())


def test_larger_images_are_averaged_for_the_substitute():
    x = torch.rand(4, 3, 64, 40)
    substitute = fit_substitute(x, torch.arange(4), 4)
    twice = functional.avg_pool2d(x, (2, 1))
    assert substitute(x).shape == (4, 4)
    torch.testing.assert_close(substitute(x), substitute(functional.adaptive_avg_pool2d(twice, 32)), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("threat", "grey"), [(Linf(0.1), 0.5), (L2(1.0), 0.5 * 48**0.5), (L1(2.0), 24.0)])
def test_the_last_radius_reaches_plain_grey(threat, grey):
    x = torch.zeros(2, 3, 4, 4)
    radii = radii_of(threat, x)
    assert radii[-1] == pytest.approx(grey) and radii == sorted(radii) and threat.eps in radii
    std = (0.5, 0.25, 0.2)
    normalised = radii_of(type(threat)(0.1, space="normalized", clip=False), x, std)
    assert normalised[-1] == pytest.approx({"Linf": 2.5, "L2": 4 * (1 + 4 + 6.25) ** 0.5, "L1": 16 * 5.5}[threat.norm])


def test_the_worst_rise_of_a_curve():
    curve = [torch.tensor([c == "1" for c in text]) for text in ("11110000", "10000000", "01110000", "00000000")]
    rise, places = worst_rise(curve)
    assert (rise, places) == (Against(8, 3, 1, 3, 1), (1, 2))
    assert rise.z == 1.0
    assert worst_rise(curve[:1]) == (Against(8, 4, 4, 0, 0), (0, 0))
