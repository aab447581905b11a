"""The judgements of the trust checks on figures given by hand: which colour, on both sides of every threshold."""

from __future__ import annotations

import math

import pytest

from sparring.evaluation.trust import Against, Check, judge_attacks, judge_model, verdict
from sparring.evaluation.trust.check import FAULTS, TITLES, not_run


def against(only_first, only_second, both=10, n=200):
    return Against(n, both + only_first, both + only_second, only_first, only_second)


EVEN = against(0, 0)


@pytest.mark.parametrize(("only_first", "only_second", "z"), [(0, 0, 0), (4, 0, 2), (5, 4, 1 / 3), (0, 9, -3)])
def test_mcnemars_z(only_first, only_second, z):
    assert against(only_first, only_second).z == pytest.approx(z)


@pytest.mark.parametrize(
    ("last", "rise", "colour"),
    # chance is 20 of 200, one standard error sqrt(0.1 * 0.9 / 200) * 200 = 4.24 images
    [
        (0, EVEN, "green"),
        (28, EVEN, "green"),
        (29, EVEN, "red"),
        (0, against(9, 0), "green"),
        (0, against(10, 0), "yellow"),
    ],
)
def test_eps_to_chance(last, rise, colour):
    check = judge_attacks.eps_to_chance([0.1, 0.5], [150, last], 200, 0.1, rise)
    assert check.colour == colour
    assert check.figures["chance"] == 0.1 and check.figures["accuracy"] == last / 200
    assert "eps 0.5" in check.sentence


@pytest.mark.parametrize(("rise", "colour"), [(EVEN, "green"), (against(14, 2), "green"), (against(15, 2), "red")])
def test_more_steps(rise, colour):
    check = judge_attacks.more_steps((1, 5, 20), [120, 100, 111], 200, rise, (5, 20))
    assert check.colour == colour
    if colour == "red":
        assert check.sentence.startswith("20 steps leave 15 images right that 5 had broken, and newly break only 2")
    else:
        assert "From 1 to 20 steps accuracy goes from 60.0 % to 55.5 % of 200 images" in check.sentence


@pytest.mark.parametrize("name", ["beats_noise", "beats_square", "transfer"])
@pytest.mark.parametrize(
    ("only_weak", "only_strong", "n", "colour"),
    [
        (0, 50, 200, "green"),
        (4, 0, 200, "green"),
        (5, 0, 200, "red"),
        (4, 9, 100, "green"),
        (5, 9, 100, "yellow"),
        (8, 90, 400, "green"),
        (9, 90, 400, "yellow"),
        (30, 15, 200, "red"),
    ],
)
def test_weaker_than_gradients(name, only_weak, only_strong, n, colour):
    check = judge_attacks.weaker_than_gradients(name, "Square", against(only_weak, only_strong, n=n), queries=7)
    assert (check.name, check.colour) == (name, colour)
    assert check.figures["queries"] == 7 and check.figures["missed_by_gradients"] == only_weak
    assert check.sentence.startswith(
        f"Square breaks {10 + only_weak} of {n} right images, gradient attacks {10 + only_strong}"
    )
    assert ("stronger attacks exist" in check.sentence) == (colour == "red")


@pytest.mark.parametrize(
    ("zero", "zero_margin", "not_finite", "colour", "says"),
    [
        (0, 0, 0, "green", "on 100 of 100"),
        (1, 1, 0, "green", "on 99 of 100"),
        (2, 0, 0, "yellow", "softmax is saturated"),
        (10, 0, 0, "yellow", "softmax is saturated"),
        (11, 0, 0, "red", "On 11 of 100"),
        (11, 11, 0, "red", "even the margin"),
        (0, 0, 2, "yellow", "infinite or NaN"),
        (0, 0, 11, "red", "infinite or NaN"),
    ],
)
def test_nonzero_gradients(zero, zero_margin, not_finite, colour, says):
    check = judge_model.nonzero_gradients(100, zero, zero_margin, not_finite)
    assert check.colour == colour and says in check.sentence


@pytest.mark.parametrize(
    ("difference", "changed", "colour"),
    [(0.0, 0, "green"), (9e-5, 0, "green"), (2e-4, 0, "red"), (0.0, 1, "red"), (math.nan, 0, "red")],
)
def test_deterministic(difference, changed, colour):
    check = judge_model.deterministic(50, difference, 10.0, changed)
    assert check.colour == colour
    assert judge_model.deterministic(50, 0.0, 0.0, 0).colour == "green"


@pytest.mark.parametrize(
    ("probabilities", "median", "high", "colour"),
    [(False, 20, 86, "green"), (False, 20, 88, "yellow"), (False, 88, 90, "red"), (True, 0.5, 0.9, "red")],
)
def test_logits(probabilities, median, high, colour):
    assert judge_model.logits(50, probabilities, float(median), float(high)).colour == colour


HANDED_OVER = {
    "training": [], "mode_matters": 0.0, "untrained": [], "neighbours": 0.0, "domain": None, "n": 100, "clean": 80, "other": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "colour"),
    [
        ({}, "green"),
        ({"training": ["BatchNorm2d a"]}, "yellow"),
        ({"training": ["BatchNorm2d a"], "mode_matters": 0.1}, "red"),
        ({"training": ["Dropout a"], "mode_matters": None, "neighbours": None}, "red"),
        ({"neighbours": 9e-4}, "green"),
        ({"neighbours": 2e-3}, "red"),
        ({"mode_matters": None, "neighbours": None}, "green"),
        ({"untrained": ["a", "b"]}, "red"),
        ({"domain": "adv", "other": ("clean", against(11, 0, both=80, n=100))}, "yellow"),
        ({"domain": "adv", "other": ("clean", against(10, 0, both=80, n=100))}, "green"),
        ({"domain": "adv", "other": ("clean", against(30, 19, both=50, n=100))}, "green"),
        ({"domain": "adv", "other": ("clean", against(0, 50, n=100))}, "green"),
    ],
)
def test_evaluation_mode(changes, colour):
    check = judge_model.evaluation_mode(**(HANDED_OVER | changes))
    assert check.colour == colour
    assert ("domain adv" in check.sentence) == ("domain" in changes)
    if "neighbours" in changes and changes["neighbours"] is None:
        assert "other images of its batch" not in check.sentence


@pytest.mark.parametrize(
    ("runs", "colour", "says"),
    [
        ({"a": (1.00009, 0.0), "b": (0.5, 9e-5)}, "green", "all 2 attacks moved by at most 1.00009 eps"),
        ({"a": (1.0, 0.0), "b": (1.001, 0.0)}, "red", "b moved an image by 1.001 eps"),
        ({"a": (1.0, 0.1), "b": (1.0, 0.0)}, "red", "a left [0, 1] by 0.1"),
        ({"a": (1.0, 0.0), "b": (math.nan, 0.0)}, "red", "b moved an image by nan eps"),
    ],
)
def test_within_threat(runs, colour, says):
    check = judge_attacks.within_threat(runs)
    assert check.colour == colour and says in check.sentence


@pytest.mark.parametrize(
    ("fgsm", "colour"), [(20, "green"), (56, "green"), (57, "yellow"), (68, "yellow"), (69, "red")]
)
def test_one_step(fgsm, colour):
    # 80 right images: the gap to 28 is 0.35 of them at 56, and 0.5 at 68
    assert judge_attacks.one_step(100, 80, fgsm, 28, 20).colour == colour


@pytest.mark.parametrize(
    ("only_margin", "both", "colour"),
    [
        (0, 10, "green"),
        (4, 0, "green"),
        (5, 0, "red"),
        (5, 11, "yellow"),
        (5, 12, "green"),
        (50, 49, "red"),
        (50, 50, "yellow"),
    ],
)
def test_objectives(only_margin, both, colour):
    assert judge_attacks.objectives(against(only_margin, 0, both=both)).colour == colour


def check(name, colour):
    return Check(name, TITLES[name], colour, "A sentence.")


def test_the_verdict():
    green = [check(name, "green") for name in TITLES]
    assert verdict(green)["colour"] == "green"
    assert verdict([*green[:-1], check("objectives", "yellow")]) == {
        "colour": "yellow",
        "sentence": "The numbers can be trusted with care: look at 'Cross-entropy and margin agree'.",
    }
    grey = not_run("transfer", "there is nothing to transfer")
    assert grey.sentence == "Not checked: there is nothing to transfer."
    assert verdict([*green[:-1], grey]) == {
        "colour": "yellow",
        "sentence": "The numbers can be trusted with care: 1 of 13 checks could not be made.",
    }
    assert verdict([grey, check("objectives", "yellow"), check("beats_noise", "red"), check("logits", "red")]) == {
        "colour": "red",
        "sentence": f"The numbers are NOT to be trusted: {FAULTS['beats_noise']}; {FAULTS['logits']}.",
    }
    assert FAULTS.keys() == TITLES.keys()
    assert verdict([grey] * 6 + green[:6]) == {
        "colour": "yellow",
        "sentence": "The numbers could not be judged: 6 of 12 checks could not be made.",
    }


@pytest.mark.parametrize(
    ("only_checks", "both", "colour"),
    [(4, 20, "green"), (5, 20, "yellow"), (19, 20, "yellow"), (21, 20, "red"), (30, 0, "red")],
)
def test_strong_enough(only_checks, both, colour):
    assert judge_attacks.strong_enough(against(only_checks, 0, both=both)).colour == colour
