"""Judgements on attacks, from measured figures alone: is an attack that fails broken, or is the model robust?

Carlini et al. 2019, "On Evaluating Adversarial Robustness", sections 3 and 4; Athalye et al. 2018, section 3.1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from sparring.evaluation.robust import ROUNDING
from sparring.evaluation.trust.check import Against, Check, answer, percent

STANDARD_ERRORS = 2.0
"""How far a difference must exceed chance. Honest comparisons lean the other way, so they exceed it far less often than
the one in 44 of two equal attacks; with fewer than 5 images it cannot be exceeded."""
WORST_OF_MANY = 3.0
"""The same for the worst of all pairs of a curve: six points have 15."""
STRAY = 0.02
"""A weaker attack may break this share of the images that the stronger one missed; every attack misses a few."""
ONE_STEP_YELLOW, ONE_STEP_RED = 0.35, 0.5
"""FGSM minus PGD accuracy, over clean accuracy. Naturally trained ResNets reach 0.31 (Madry et al. 2018, Fig. 4: 27.5 to
32.7 % against 0.8 to 3.5 %); after catastrophic overfitting it is nearly 1 (Wong et al. 2020)."""
OBJECTIVE_YELLOW, OBJECTIVE_RED = 0.3, 0.5
"""Share of what the margin breaks that cross-entropy may miss: 0.1 to 0.15 is usual on honest adversarially trained models."""


def eps_to_chance(eps: Sequence[float], correct: Sequence[int], n: int, chance: float, rise: Against) -> Check:
    """`correct` of n images survive at each radius; at the last one any image may become plain grey.

    On images that are all alike no classifier beats `chance`, the share of the largest class (1/K at least). `rise`
    compares the radius that helps the defender most (as second) with a smaller one (as first).
    """
    limit = chance + STANDARD_ERRORS * math.sqrt(chance * (1 - chance) / n)
    last = correct[-1] / n
    where = f"at eps {eps[-1]:.3g}, where every image may become plain grey"
    figures = {"accuracy": last, "chance": chance, "limit": limit, "eps": eps[-1], "rise_standard_errors": rise.z}
    if last > limit:
        sentence = (
            f"{percent(last)} of {n} images stay right {where}; an attack that worked would leave chance, "
            f"{percent(chance)}."
        )
        return answer("eps_to_chance", "red", sentence, figures)
    if rise.z > WORST_OF_MANY:
        sentence = (
            f"Accuracy falls to {percent(last)} {where}, but on the way a larger radius left {rise.only_first} images "
            f"right that a smaller one had broken, and broke only {rise.only_second} more."
        )
        return answer("eps_to_chance", "yellow", sentence, figures)
    sentence = f"Accuracy falls to {percent(last)} of {n} images {where}; chance is {percent(chance)}."
    return answer("eps_to_chance", "green", sentence, figures)


def more_steps(steps: Sequence[int], correct: Sequence[int], n: int, rise: Against, at: tuple[int, int]) -> Check:
    """`rise`: the number of steps that helps the defender most, at[1] (second), against a smaller one, at[0] (first)."""
    figures = {
        "steps": list(steps),
        "accuracy": [c / n for c in correct],
        "right_again": rise.only_first,
        "newly_broken": rise.only_second,
        "standard_errors": rise.z,
    }
    if rise.z > WORST_OF_MANY:
        sentence = (
            f"{at[1]} steps leave {rise.only_first} images right that {at[0]} had broken, and newly break only "
            f"{rise.only_second}: the attack does not climb its objective."
        )
        return answer("more_steps", "red", sentence, figures)
    sentence = (
        f"From {steps[0]} to {steps[-1]} steps accuracy goes from {percent(correct[0] / n)} to {percent(correct[-1] / n)} "
        f"of {n} images, and no number of steps leaves notably more right than a smaller one."
    )
    return answer("more_steps", "green", sentence, figures)


def weaker_than_gradients(
    name: Literal["beats_noise", "beats_square", "transfer"], weak: str, result: Against, **figures: float | int
) -> Check:
    """Is an attack that does not see the gradients (first, called `weak`) at most as strong as those that do (second)?

    Red if it breaks more, beyond chance. Yellow if more than a few images (2 %, at least 5) were broken by it alone.
    """
    figures |= {
        "right_images": result.n,
        "broken": result.first,
        "broken_by_gradients": result.second,
        "missed_by_gradients": result.only_first,
        "standard_errors": result.z,
    }
    both = f"{weak} breaks {result.first} of {result.n} right images, gradient attacks {result.second}"
    missed = f"; {result.only_first} fell to it that withstood every gradient attack" if result.only_first else ""
    if result.z > STANDARD_ERRORS:
        return answer(name, "red", f"{both}{missed}, so the gradients mislead and stronger attacks exist.", figures)
    if result.only_first > max(4, STRAY * result.n):
        return answer(name, "yellow", f"{both}{missed}, more than should have escaped them.", figures)
    return answer(name, "green", f"{both}{missed}.", figures)


def strong_enough(result: Against) -> Check:
    """The checks' gradient attacks (first) and all attacks whose figures are in question (second), on the right images."""
    figures = {
        "right_images": result.n,
        "broken_by_checks": result.first,
        "broken_by_attacks": result.second,
        "missed_by_attacks": result.only_first,
        "standard_errors": result.z,
    }
    both = f"The checks' own PGD breaks {result.first} of {result.n} right images, the attacks asked for {result.second} of them"
    if result.z > STANDARD_ERRORS:
        sentence = f"{both}: robust accuracy is lower than they say; ask for a stronger attack, such as autoattack."
        return answer("strong_enough", "red" if 2 * result.second < result.first else "yellow", sentence, figures)
    return answer("strong_enough", "green", f"{both}.", figures)


def within_threat(runs: Mapping[str, tuple[float, float]]) -> Check:
    """By attack: the largest ||x_adv - x|| / eps, and how far a pixel lies outside [0, 1], measured in float32."""
    farthest, outside = (max(runs, key=lambda name: _number(runs[name][end])) for end in (0, 1))
    distance, excess = runs[farthest][0], runs[outside][1]
    figures = {"attacks": len(runs), "largest_distance": distance, "largest_excess": excess}
    if not distance <= 1 + ROUNDING:
        sentence = f"{farthest} moved an image by {distance:.4g} eps: its figures belong to a larger radius."
        return answer("within_threat", "red", sentence, figures)
    if not excess <= ROUNDING:
        sentence = f"{outside} left [0, 1] by {excess:.3g}: such images do not exist."
        return answer("within_threat", "red", sentence, figures)
    sentence = (
        f"Measured again in float32, the images of all {len(runs)} attacks moved by at most {distance:.5f} eps and stay "
        "in [0, 1]."
    )
    return answer("within_threat", "green", sentence, figures)


def one_step(n: int, clean: int, fgsm: int, pgd: int, steps: int) -> Check:
    """Of n images: right before any attack, after FGSM, after PGD."""
    gap = (fgsm - pgd) / max(clean, 1)
    figures = {"fgsm_accuracy": fgsm / n, "pgd_accuracy": pgd / n, "gap_over_clean_accuracy": gap}
    both = (
        f"Accuracy is {percent(clean / n)} on the images themselves, {percent(fgsm / n)} after FGSM and "
        f"{percent(pgd / n)} after {steps} steps of PGD"
    )
    if gap > ONE_STEP_YELLOW:
        sentence = (
            f"{both}: the model withstands the one step, not the threat (catastrophic overfitting); disregard FGSM."
        )
        return answer("one_step", "red" if gap > ONE_STEP_RED else "yellow", sentence, figures)
    return answer("one_step", "green", f"{both}: no sign of catastrophic overfitting.", figures)


def objectives(result: Against) -> Check:
    """PGD of equal budget on the margin (first) and on cross-entropy (second), on the right images."""
    missed = (result.first - result.second) / max(result.first, 1)
    figures = {
        "right_images": result.n,
        "broken_by_margin": result.first,
        "broken_by_cross_entropy": result.second,
        "missed_by_cross_entropy": missed,
        "standard_errors": result.z,
    }
    both = f"PGD on the margin breaks {result.first} of {result.n} right images, on cross-entropy {result.second}"
    if result.z > STANDARD_ERRORS and missed > OBJECTIVE_YELLOW:
        sentence = (
            f"{both}: cross-entropy is masked, as by a softmax that is saturated or nearly flat; report the stronger of "
            "the two."
        )
        return answer("objectives", "red" if missed > OBJECTIVE_RED else "yellow", sentence, figures)
    return answer("objectives", "green", f"{both}: neither is masked.", figures)


def _number(value: float) -> float:
    """NaN counts as infinite, else it would hide behind any other value."""
    return math.inf if math.isnan(value) else value
