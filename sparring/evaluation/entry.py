"""The pieces of robustness.json: which images, figures with their intervals, what was attacked, examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from sparring.attacks import MultiTargeted, Untargeted
from sparring.attacks.classifier import ClassifierAttack, Model
from sparring.data.images import balanced
from sparring.evaluation.classifier import OnFeatures, SoftKNN
from sparring.evaluation.intervals import wilson
from sparring.evaluation.robust import Attacked
from sparring.norms import domain_of, has_domains

CONFIDENCE = 0.95
EXAMPLES = 8


def draw(labels: Int[Tensor, " n"], count: int | None, seed: int) -> Int[Tensor, " m"]:
    """Ascending indices of `count` images, of every class as many; of all if `count` is None or more than there are."""
    if not len(labels):
        raise ValueError("images: there are none; at least one is needed")
    labels = labels.cpu().long()
    if count is None or count >= len(labels) or labels.min() < 0:
        return torch.arange(len(labels))
    return balanced(labels, count, seed, "robustness")


def pixels(images: Shaped[Tensor, "n C H W"]) -> Float[Tensor, "n C H W"]:
    """Float images in float32, where they are; uint8 divided by 255."""
    return images.float() / 255 if images.dtype == torch.uint8 else images.float()


def figure(correct: Bool[Tensor, " n"]) -> dict[str, Any]:
    """An accuracy with its interval."""
    right, n = int(correct.sum()), len(correct)
    return {
        "accuracy": right / n,
        "interval": list(wilson(right, n, CONFIDENCE)),
        "confidence": CONFIDENCE,
        "n": n,
        "correct": right,
    }


def attack_figure(
    correct: Bool[Tensor, " n"], outcome: Attacked | None, attack: ClassifierAttack | None
) -> dict[str, Any]:
    """A robust accuracy with the attack in words and in numbers; None is eps 0."""
    if outcome is None or attack is None:
        return {"words": "eps 0: the images themselves", "seconds": 0.0} | figure(correct)
    threat = attack.threat
    numbers: dict[str, Any] = {"norm": threat.norm, "eps": threat.eps}
    if isinstance(attack, Untargeted | MultiTargeted) and attack.attack.step_lengths:
        lengths = attack.attack.step_lengths
        numbers |= {"steps": len(lengths), "step_size": lengths[0]}
    entry = {"words": outcome.words, **numbers, "seconds": outcome.seconds} | figure(correct)
    entry |= {"largest_distance_over_eps": outcome.distance, "largest_distance_from_box": outcome.outside}
    return entry | ({"members": outcome.broken_by} if outcome.broken_by else {})


def worst_case(
    correct: Bool[Tensor, " n"], survived: dict[str, Tensor], attacks: dict[str, ClassifierAttack]
) -> dict[str, Any] | None:
    """Right before and after every attack; None without attacks, and where they go by different threats."""
    if not survived or len({attack.threat for attack in attacks.values()}) > 1:
        return None
    return figure(torch.stack([correct, *survived.values()]).all(dim=0))


def per_class(correct: Bool[Tensor, " n"], y: Int[Tensor, " n"], classes: int) -> list[float | None]:
    """Accuracy of each class; None where there is no image of it."""
    n, right = (torch.bincount(rows, minlength=classes).tolist() for rows in (y, y[correct]))
    return [r / m if m else None for r, m in zip(right, n, strict=True)]


def subject_of(model: Model, words: str | None, classes: int) -> dict[str, Any]:
    """What was attacked, with the batch norm that it used: of an encoder with two it must be known."""
    kind = {OnFeatures: "features", SoftKNN: "knn"}.get(type(model), "module")
    domain = model.domain if isinstance(model, OnFeatures | SoftKNN) else None
    if domain is None and isinstance(model, nn.Module) and has_domains(model):
        domain = domain_of(model)
    return {"words": words or type(model).__name__, "classifier": kind, "domain": domain, "classes": classes}


def selection(n: int, total: int) -> str:
    """How `draw` chose n of so many images."""
    if n == total:
        return f"all {n:,} test images"
    return f"a seeded draw of {n:,} of {total:,} test images, balanced over the classes"


def examples_of(
    x: Float[Tensor, "n C H W"],
    y: Int[Tensor, " n"],
    predicted: Int[Tensor, " n"],
    names: Sequence[str],
    outcomes: dict[str, Attacked],
) -> tuple[dict[str, Any] | None, dict[str, np.ndarray]]:
    """Some images that were right, of different classes, under the attack that broke most of them."""
    if not outcomes:
        return None, {}
    attack, outcome = min(outcomes.items(), key=lambda item: item[1].robust_accuracy)
    right = (predicted == y).nonzero().flatten().tolist()
    first = list({int(y[i]): i for i in reversed(right)}.values())
    chosen = sorted(first + [i for i in right if i not in first][: max(0, EXAMPLES - len(first))])[:EXAMPLES]
    entry = {
        "attack": attack,
        "true": [names[int(y[i])] for i in chosen],
        "clean": [names[int(predicted[i])] for i in chosen],
        "adversarial": [names[int(outcome.predicted[i])] for i in chosen],
    }
    return entry, {"original": x[chosen].numpy(), "adversarial": outcome.x_adv[chosen].numpy()}
