"""A question that a robust evaluation asks of itself, its answer in one sentence, and the verdict on all answers.

An attack that fails proves nothing: the model may be robust, or the attack may be broken. Each check rules out one known
way of being broken (Carlini et al. 2019, "On Evaluating Adversarial Robustness"; Athalye et al. 2018, "Obfuscated
Gradients"; Croce & Hein 2020, AutoAttack). Two attacks on the same images are compared image by image: of the m images
that only one of them breaks, an equally strong pair would share m / 2 each, with standard error sqrt(m) / 2 (McNemar 1947).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Colour = Literal["green", "yellow", "red", "grey"]

TITLES = {
    "eps_to_chance": "Accuracy falls to chance as eps grows",
    "more_steps": "More steps never help the defender",
    "beats_noise": "Gradients break more than random noise",
    "beats_square": "Gradients break more than Square, which has none",
    "nonzero_gradients": "Gradients are there and finite",
    "deterministic": "The same image gets the same output twice",
    "logits": "Outputs are logits of a reasonable scale",
    "transfer": "White-box attacks break more than transferred ones",
    "evaluation_mode": "Evaluation mode, and batch norms that were trained",
    "within_threat": "Every attack stayed in its ball and in [0, 1]",
    "one_step": "One step is not far weaker than many",
    "objectives": "Cross-entropy and margin agree",
    "strong_enough": "The attacks asked for are as strong as the checks' own",
}
FAULTS = {
    "eps_to_chance": "the attack fails even where it may replace the image by any other",
    "more_steps": "more steps help the defender",
    "beats_noise": "gradient attacks do worse than random noise",
    "beats_square": "gradient attacks do worse than Square, which sees no gradient",
    "nonzero_gradients": "gradients are zero or not finite",
    "deterministic": "the model is randomised, so single attacks and single forwards say little",
    "logits": "the outputs hide their gradients",
    "transfer": "attacks transferred from another model do better than white-box ones",
    "evaluation_mode": "the model was not in the state in which it is meant to be used",
    "within_threat": "an attack left its ball or the box",
    "one_step": "FGSM accuracy says nothing of stronger attacks (catastrophic overfitting)",
    "objectives": "cross-entropy misses much that margin finds",
    "strong_enough": "the attacks asked for break far less than plain PGD does",
}


@dataclass(frozen=True)
class Check:
    """One question about an evaluation and its answer."""

    name: str
    title: str
    colour: Colour
    """Grey: it could not be asked, and the sentence says why."""
    sentence: str
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Against:
    """Two attacks on the same n images: how many each broke, and how many it alone broke."""

    n: int
    first: int
    second: int
    only_first: int
    only_second: int

    @property
    def z(self) -> float:
        """By how many standard errors the first is ahead; 0 without a difference."""
        return (self.only_first - self.only_second) / math.sqrt(max(self.only_first + self.only_second, 1))


def not_run(name: str, reason: str) -> Check:
    """A check that could not be made."""
    return Check(name, TITLES[name], "grey", f"Not checked: {reason}.")


def verdict(checks: Sequence[Check]) -> dict[str, str]:
    """Colour and one sentence: red if a check is, else yellow if one is yellow or could not be made, else green."""
    red, yellow, grey = ([c for c in checks if c.colour == colour] for colour in ("red", "yellow", "grey"))
    if red:
        return {
            "colour": "red",
            "sentence": f"The numbers are NOT to be trusted: {'; '.join(FAULTS[c.name] for c in red)}.",
        }
    if 2 * len(grey) >= len(checks):
        sentence = f"The numbers could not be judged: {len(grey)} of {len(checks)} checks could not be made."
        return {"colour": "yellow", "sentence": sentence}
    if yellow or grey:
        reasons = [f"look at '{c.title}'" for c in yellow]
        reasons += [f"{len(grey)} of {len(checks)} checks could not be made"] if grey else []
        return {"colour": "yellow", "sentence": f"The numbers can be trusted with care: {'; '.join(reasons)}."}
    return {
        "colour": "green",
        "sentence": f"The numbers can be trusted: all {len(checks)} checks for broken attacks passed.",
    }


def answer(name: str, colour: Colour, sentence: str, figures: dict[str, Any]) -> Check:
    """The check of that name with its answer."""
    return Check(name, TITLES[name], colour, sentence, figures)


def percent(fraction: float) -> str:
    """As "12.5 %"."""
    return f"{100 * fraction:.1f} %"


def some(names: Sequence[str]) -> str:
    """The first of several names, and how many more there are."""
    return names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")
