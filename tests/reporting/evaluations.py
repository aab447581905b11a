"""A small evaluation of robustness, written by hand: what attacking a classifier leaves behind, without a classifier."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.reporting.runs import CLASSES

PGD = "PGD, Linf, eps 8/255, 20 steps of 2/255, random start, clipped to [0, 1]"


def figure(correct: int, n: int = 40) -> dict[str, Any]:
    return {"accuracy": correct / n, "interval": [0.101, 0.702], "confidence": 0.95, "n": n, "correct": correct}


def check(name: str, colour: str, **figures: Any) -> dict[str, Any]:
    return {
        "name": name,
        "title": f"Title of {name}",
        "colour": colour,
        "sentence": f"Sentence of {name}.",
        "figures": figures,
    }


EVALUATION: dict[str, Any] = {
    "schema": 1,
    "protocol": {"name": "robustness", "version": 1, "eps": 8 / 255, "restarts": 1, "attack": ["pgd", "autoattack"]},
    "label": "robustness v1",
    "subject": {
        "words": "logistic regression on h of <i>clae</i>",
        "classifier": "features",
        "domain": "adv",
        "classes": 3,
        "checkpoint": "epoch-0020",
        "fitted": {"protocol": "logistic v1", "n_train": 60},
    },
    "data": {"name": "folder:pets", "n": 40, "seed": 7, "selection": "a seeded draw of 40 of 1,234 test images"},
    "environment": {"versions": {"torch": "2.13"}, "gpus": ["H200"]},
    "clean": figure(30),
    "attacks": {
        "pgd": figure(12) | {"words": PGD, "seconds": 1234.56},
        "autoattack": figure(9)
        | {
            "words": "AutoAttack, Linf, eps 8/255",
            "seconds": 0.25,
            "members": {"apgd-ce": 17, "apgd-t": 4, "fab-t": 0, "square": 0},
        },
    },
    "worst_case": figure(8),
    "curves": {
        "eps": {
            "words": PGD,
            "norm": "Linf",
            "eps": [0.0, 2 / 255, 8 / 255, 1.0],
            "accuracy": [0.75, 0.5, 0.3, 0.0],
            "interval": [[0.6, 0.85], [0.35, 0.65], [0.2, 0.45], [0.0, 0.09]],
            "noise": [0.75, 0.75, 0.7, 0.35],
            "n": 40,
        },
        "steps": {
            "words": PGD,
            "steps": [1, 5, 50],
            "accuracy": [0.4, 0.3, 0.275],
            "interval": [[0.25, 0.55], [0.2, 0.45], [0.2, 0.4]],
            "n": 32,
        },
    },
    "per_class": {
        "classes": list(CLASSES),
        "n": [20, 20, 0],
        "clean": [0.8, 0.7, None],
        "attacks": {"pgd": [0.4, 0.2, None], "autoattack": [0.35, 0.1, None]},
    },
    "corruptions": {
        "words": "4 corruptions with CIFAR-C's strengths, severities 1, 5, seed 0",
        "severities": [1, 5],
        "missing": ["frost"],
        "n": 40,
        "clean_accuracy": 0.75,
        "accuracy": {"gaussian_noise": [0.7, 0.2], "zoom_blur": [0.6, 0.5], "snow": [0.5, 0.3], "spatter": [0.7, 0.5]},
        "interval": {name: [[0.1, 0.8], [0.1, 0.6]] for name in ("gaussian_noise", "zoom_blur", "snow", "spatter")},
        "mean_accuracy": 0.5,
        "mean_error": 0.5,
        "relative_drop": 1 / 3,
    },
    "representation": {
        "words": "h of 40 images through the adv batch norm, attacked without labels",
        "layer": "h",
        "n": 40,
        "attacks": {
            "feature distance": {
                "words": "PGD on distance",
                "moved": 2.0,
                "between": 8.0,
                "ratio": 0.25,
                "retrieval_error": 0.125,
                "cosine": {"ratio": 0.3},
                "noise": {"ratio": None},
            }
        },
    },
    "checks": [
        check("steps", "green", accuracy=[0.4, 0.25]),
        check("square", "red", broken=31, missed=None),
        check("transfer", "grey"),
        check("logits", "yellow", probabilities=True),
    ],
    "verdict": {"colour": "red", "sentence": "Not to be trusted: <u>Square</u> is stronger."},
    "examples": {
        "attack": "pgd",
        "true": [CLASSES[0], CLASSES[1], "horse"],
        "clean": [CLASSES[0], "horse", "horse"],
        "adversarial": ["horse", "horse", "horse"],
    },
}


def evaluation(**changes: Any) -> dict[str, Any]:
    """A copy of the evaluation with other entries."""
    return copy.deepcopy(EVALUATION) | changes


def without_figures(**changes: Any) -> dict[str, Any]:
    """The same without what is drawn, which takes most of the time of a report."""
    return evaluation(curves={}, per_class=None, corruptions=None) | changes


def write_evaluation(path: Path, entry: dict[str, Any] = EVALUATION) -> Path:
    """robustness.json and robustness.npz."""
    path.mkdir(exist_ok=True)
    (path / "robustness.json").write_text(json.dumps(entry))
    original = np.random.default_rng(0).random((3, 3, 4, 4), dtype=np.float32)
    adversarial = original + np.float32(8 / 255) * np.where(original > 0.5, -1, 1).astype(np.float32)
    np.savez(path / "robustness.npz", original=original, adversarial=adversarial, index=np.arange(40))
    return path
