"""A robust evaluation of any classifier: attacks, corruptions, and whether the figures can be believed.

    result = measure_robustness(model, images, labels, RobustnessConfig(attack=["pgd", "autoattack"]))
    result.save("runs/theirs")

Everything that a figure depends on stands beside it in the entry that is saved: the protocol with its version and all
settings, which images, the attack in words, n, the 95 % Wilson interval over the test images.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped, UInt8
from torch import Tensor

from sparring.attacks import AutoAttack, beyond_box
from sparring.attacks.classifier import Model
from sparring.data.corrupted import CorruptedSet, open_corrupted
from sparring.evaluation.check import check_fit, check_robustness, only_representation
from sparring.evaluation.classifier import OnFeatures, SoftKNN, check_classifier, check_labels
from sparring.evaluation.corrupted import corruption_accuracy
from sparring.evaluation.entry import (
    attack_figure,
    draw,
    examples_of,
    figure,
    per_class,
    pixels,
    selection,
    subject_of,
    worst_case,
)
from sparring.evaluation.features import Layer
from sparring.evaluation.named import NORMS
from sparring.evaluation.representation import movement
from sparring.evaluation.robust import Attacked, Progress, attacked, predictions
from sparring.evaluation.trust import Trust, trust_each
from sparring.measuring import RobustnessConfig
from sparring.types import Domain, Encoder

VERSION = 2
"""Rises whenever the same settings would give other figures. 1 seeded the random starts of batch b with seed + b."""


@dataclass(frozen=True)
class Robustness:
    """The figures as they are written (`entry`), and what is known of each image (`arrays`)."""

    entry: dict[str, Any]
    arrays: dict[str, np.ndarray]

    @property
    def verdict(self) -> str:
        """Whether the figures can be believed, in a sentence; empty without trust checks."""
        return self.entry["verdict"]["sentence"] if self.entry["verdict"] else ""

    def save(self, folder: str | Path, **more: Any) -> Path:
        """Write robustness.json (with `more` entries, such as the environment) and robustness.npz; an earlier one of the
        folder becomes robustness-1.json, robustness-2.json and so on. The path of the first."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "robustness.json"
        if path.exists():
            number = 1
            while (folder / f"robustness-{number}.json").exists():
                number += 1
            for file in (path, path.with_suffix(".npz")):
                if file.exists():
                    file.rename(folder / f"robustness-{number}{file.suffix}")
        np.savez_compressed(path.with_suffix(".npz"), **self.arrays)  # pyright: ignore[reportArgumentType]
        path.write_text(json.dumps(self.entry | more, indent=1) + "\n")
        return path


def measure_robustness(
    model: Model,
    images: Shaped[Tensor, "n C H W"],
    labels: Int[Tensor, " labels"],
    config: RobustnessConfig,
    *,
    classes: Sequence[str] | None = None,
    data: str = "images",
    subject: str | None = None,
    train_images: UInt8[Tensor, "m C H W"] | None = None,
    surrogate: Model | None = None,
    state: Path | None = None,
    progress: Progress | None = None,
) -> Robustness:
    """Clean and robust accuracy of a model that maps images in [0, 1] to logits, under everything that `config` names.

    `images` are uint8, or float in [0, 1]; `config.images` of them are drawn, of every class as many (seeded), for the
    attacks and the corruptions alike. A radius as large as the box is warned of. `train_images` (or a ready `surrogate`)
    serve the transfer check. `state` is a folder in which AutoAttack keeps what it has done, so that it can be killed and
    continued.

    Raises ValueError, before any attack, for: images outside [0, 1], a model that returns probabilities, a tuple, NaN or
    another number of classes, labels outside the classes, no images, and settings that name nothing.
    """
    attacks = check_robustness(config, len(classes) if classes else None)
    official = (
        None
        if config.corrupted_root is None
        else open_corrupted(config.corrupted_root, classes=classes, image_size=images.shape[-1])
    )
    if config.representation and not isinstance(model, OnFeatures | SoftKNN):
        raise ValueError(
            f"representation needs an encoder under its classifier, as OnFeatures(encoder, classifier), not a "
            f"{type(model).__name__}"
        )
    if not isinstance(images, Tensor) or not isinstance(labels, Tensor):
        raise ValueError(f"images and labels must be tensors, not {type(images).__name__} and {type(labels).__name__}")
    check_labels(labels, len(images))
    for attack in attacks.values():
        if sentence := beyond_box(attack.threat, tuple(images.shape[1:])):
            warnings.warn(sentence, stacklevel=2)
    index = draw(labels, config.images, config.seed)
    x, y = pixels(images[index]), labels[index].cpu().long()
    count = check_classifier(model, x, y, len(classes) if classes else None, batch_size=config.batch_size)
    check_fit(config, attacks, x, count)
    names = [str(name) for name in classes or range(count)]
    predicted = predictions(model, x, batch_size=config.batch_size, seed=config.seed)
    correct = predicted == y

    kept: dict[str, Path] = {}
    for name, attack in attacks.items():
        if state is not None and isinstance(attack, AutoAttack):
            kept[name] = state / name
            attack.check(model, x, y, state=kept[name])
    outcomes: dict[str, Attacked] = {}
    for name, attack in attacks.items():
        outcomes[name] = attacked(
            model,
            x,
            y,
            attack,
            correct=correct,
            batch_size=config.batch_size,
            seed=config.seed,
            state=kept.get(name),
            progress=progress,
        )
    # eps 0 leaves every image as it is: robust accuracy is clean accuracy
    survived = {name: outcomes[name].correct if name in outcomes else correct for name in config.attack}

    trust: Trust | None = None
    if config.trust and attacks:
        trust = trust_each(
            model,
            x,
            y,
            attacks=attacks,
            outcomes=outcomes,
            correct=correct,
            surrogate=surrogate,
            train_images=train_images,
            seed=config.seed,
            images=config.trust_images,
            square_queries=config.square_queries,
            batch_size=config.batch_size,
            progress=progress,
        )
    examples, pictures = examples_of(x, y, predicted, names, outcomes)
    entry = {
        "schema": 1,
        "protocol": {"name": "robustness", "version": VERSION, **asdict(config)},
        "label": f"robustness v{VERSION}",
        "subject": subject_of(model, subject, count),
        "data": {"name": data, "n": len(y), "seed": config.seed, "selection": selection(len(y), len(labels))},
        "clean": figure(correct),
        "attacks": {name: attack_figure(survived[name], outcomes.get(name), attacks.get(name)) for name in survived},
        "worst_case": worst_case(correct, survived, attacks),
        "curves": trust.curves if trust else {},
        "per_class": {
            "classes": names,
            "n": torch.bincount(y, minlength=count).tolist(),
            "clean": per_class(correct, y, count),
            "attacks": {name: per_class(value, y, count) for name, value in survived.items()},
        },
        "corruptions": _corruptions(
            model, images, labels, index, correct.double().mean().item(), official, config, progress
        ),
        "representation": _representation(model, x, config)
        if config.representation and isinstance(model, OnFeatures | SoftKNN)
        else None,
        "checks": [asdict(check) for check in trust.checks] if trust else [],
        "verdict": trust.verdict if trust else None,
        "examples": examples,
    }
    arrays = {"index": index.numpy(), "labels": y.numpy(), "correct_clean": correct.numpy()}
    arrays |= {f"correct_{name}": value.numpy() for name, value in survived.items()}
    return Robustness(entry, arrays | pictures)


def measure_representation(
    encoder: Encoder,
    images: Shaped[Tensor, "n C H W"],
    config: RobustnessConfig,
    *,
    layer: Layer = "h",
    domain: Domain = "clean",
    data: str = "images",
    words: str | None = None,
) -> Robustness:
    """How far attacks move an encoder's representations, without labels and without a classifier; nothing is "clean".

    `config.images` of the images are drawn, seeded. Raises ValueError as `check_robustness` and `movement` do.
    """
    check_robustness(config)
    if not only_representation(config):
        raise ValueError("attacks on a classifier and corruptions need labels; ask for robustness.representation alone")
    index = draw(torch.zeros(len(images), dtype=torch.long), config.images, config.seed)
    entry = {
        "schema": 1,
        "protocol": {"name": "robustness", "version": VERSION, **asdict(config)},
        "label": f"robustness v{VERSION}",
        "subject": {"words": words or type(encoder).__name__, "classifier": None, "domain": domain, "classes": None},
        "data": {
            "name": data,
            "n": len(index),
            "seed": config.seed,
            "selection": selection(len(index), len(images)).removesuffix(", balanced over the classes"),
        },
        "clean": None,
        "attacks": {},
        "representation": movement(
            encoder, pixels(images[index]), NORMS[config.norm](config.eps), layer=layer, domain=domain
        ),
        "verdict": None,
    }
    return Robustness(entry, {"index": index.numpy()})


def _corruptions(
    model: Model,
    images: Shaped[Tensor, "n C H W"],
    labels: Int[Tensor, " n"],
    index: Int[Tensor, " m"],
    clean: float,
    official: CorruptedSet | None,
    config: RobustnessConfig,
    progress: Progress | None,
) -> dict[str, Any] | None:
    clean_accuracy = None
    if official is not None:
        # an official folder holds the whole test set in its order: then the very images that are attacked
        if torch.equal(official.labels, labels.cpu().long()):
            source, truth, clean_accuracy = official.select(index), None, clean
        else:
            source, truth = official.subset(min(config.images or len(official), len(official)), config.seed), None
    elif config.corruptions:
        drawn = images[index]
        source = (drawn if drawn.dtype == torch.uint8 else (255 * drawn).round().to(torch.uint8)).cpu()
        truth = labels[index].cpu().long()
    else:
        return None
    return corruption_accuracy(
        model,
        source,
        truth,
        severities=config.severities,
        table=config.corruption_table,
        seed=config.seed,
        batch_size=config.batch_size,
        clean_accuracy=clean_accuracy,
        progress=progress,
    )


def _representation(
    model: OnFeatures | SoftKNN, x: Float[Tensor, "n C H W"], config: RobustnessConfig
) -> dict[str, Any]:
    encoder = model.encoder if isinstance(model, OnFeatures) else model.features.encoder
    threat = NORMS[config.norm](config.eps)
    return movement(encoder, x, threat, layer=model.layer, domain=model.domain)
