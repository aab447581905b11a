"""What follows training, and can be repeated: evaluate a checkpoint, analyse it, write the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from sparring.config import RunConfig
from sparring.data import ImageSet, load_images
from sparring.evaluation import evaluate
from sparring.reporting import collect, write_report
from sparring.training import build_attack, build_method, checkpoints, new_encoder, run_folder
from sparring.training.build import has_attack
from sparring.training.check import check_images, device_of

RESULTS = "results.json"
SHOWN = 512
"""Test images on which the report's figures are computed."""


def run_and_checkpoint(place: str | Path) -> tuple[Path, Path]:
    """The run folder and the checkpoint that `place` names: a run folder (its newest) or one of its checkpoints.

    Raises ValueError if there is no such run, or if the checkpoint is absent or damaged.
    """
    path = Path(place)
    inside = path.parent.name == checkpoints.FOLDER
    run = path.parent.parent if inside else path
    if not run.is_dir():
        raise ValueError(f"there is no run folder {run}")
    run_folder.load_config(run)
    checkpoint = path if inside else checkpoints.latest(run)
    if not checkpoint.is_dir():
        found = ", ".join(each.name for each in checkpoints.checkpoints(run)) or "none"
        raise ValueError(f"there is no checkpoint {path.name} in {run}; there are: {found}")
    checkpoints.verify(checkpoint)
    return run, checkpoint


def measure(
    place: str | Path,
    config: RunConfig,
    *,
    protocols: Sequence[str] = ("knn", "logistic"),
    version: Literal["default", "paper"] = "default",
) -> dict[str, dict[str, Any]]:
    """Evaluate the checkpoint that `place` names and write results.json, analysis.json and report.html into its run.

    `config` is the run's, resolved, with whatever its `evaluation` should change. The figures of an earlier evaluation are
    kept as results-1.json, results-2.json and so on. Raises ValueError for what cannot be measured, before any is written.
    """
    run, checkpoint = run_and_checkpoint(place)
    train_images, test_images = load_images(config.data, seed=config.training.seed)
    check_images(config, train_images, needs_labels=False)
    device = device_of(config)
    encoder = new_encoder(config, train_images.channels, weights=checkpoint / checkpoints.WEIGHTS).to(device)
    evaluation, classifiers = config.evaluation, dict[str, nn.Linear]()
    results = evaluate(
        encoder,
        train_images,
        test_images,
        evaluation,
        device=device,
        names=protocols,
        version=version,
        seed=config.training.seed,
        classifiers=classifiers,
    )
    keep_earlier(run)
    run_folder.write_json(
        run / RESULTS, {name: entry | {"checkpoint": checkpoint.name} for name, entry in results.items()}
    )
    shown = _some(test_images, config.training.seed)
    collect(
        run,
        encoder,
        build_method(config),
        # A method without an adversary is shown CLAE's.
        build_attack(config if has_attack(config) else RunConfig()),
        images=shown.images if isinstance(shown.images, Tensor) else torch.cat(list(shown.images)),
        labels=shown.labels,
        classes=shown.classes,
        data=shown.name,
        eps=evaluation.attack_eps,
        classifier=classifiers.get("logistic"),
        layer=evaluation.logistic_features,
        domain=evaluation.domain,
        batch_size=min(config.training.batch_size or SHOWN, SHOWN),
        seed=config.training.seed,
        device=device,
    )
    write_report(run)
    return results


def keep_earlier(run: Path) -> None:
    """Give an earlier results.json the next free name, results-1.json, results-2.json and so on."""
    if (run / RESULTS).exists():
        number = 1
        while (run / f"results-{number}.json").exists():
            number += 1
        (run / RESULTS).rename(run / f"results-{number}.json")


def _some(images: ImageSet, seed: int) -> ImageSet:
    return images.select(torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[:SHOWN])
