"""A whole experiment: train, then measure, which can be repeated: evaluate a checkpoint, analyse it, write the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from sparring.config import MethodConfig, RunConfig
from sparring.data import ImageSet, load_images
from sparring.evaluation import evaluate
from sparring.evaluation.robust import Progress
from sparring.reporting import collect, write_report
from sparring.training import build_attack, build_method, checkpoints, new_encoder, run_folder, train
from sparring.training.build import classifies, has_attack
from sparring.training.check import check_images, device_of
from sparring.training.launch import is_first
from sparring.training.removal import without_removal
from sparring.training.resume import run_and_checkpoint

RESULTS = "results.json"


def run(config: RunConfig) -> Path:
    """Train, evaluate the last epoch, analyse and report; the path of the run folder.

    Beside what `sparring.training.train` leaves, the folder holds results.json, analysis.json, analysis.npz and
    report.html. Raises what `train` and `measure` raise. With several processes the first one measures.
    """
    folder = train(config)
    if is_first():
        measure(folder, run_folder.load_config(folder))
    return folder


SHOWN = 512
"""Test images on which the report's figures are computed."""


def measure(
    place: str | Path,
    config: RunConfig,
    *,
    protocols: Sequence[str] | None = None,
    version: Literal["default", "paper"] = "default",
    report: bool = True,
    progress: Progress | None = None,
) -> dict[str, dict[str, Any]]:
    """Evaluate the checkpoint that `place` names and write results.json, analysis.json and report.html into its run.

    Without `report` neither of the last two is written.

    `config` is the run's, resolved, with whatever its `evaluation` should change. The figures of an earlier evaluation are
    kept as results-1.json, results-2.json and so on. `protocols` None is kNN, logistic regression and, where the method
    trains one, its own classifier. Raises ValueError for what cannot be measured, before any is written.
    """
    if protocols and "own" in protocols and not classifies(config):
        raise ValueError(f"protocol own measures a method's own classifier, but {config.method.name} trains none")
    run, checkpoint = run_and_checkpoint(place, field="RUN")
    checkpoints.verify(checkpoint)
    train_images, test_images = load_images(config.data, seed=config.training.seed)
    check_images(config, train_images, needs_labels=False)
    device = device_of(config)
    encoder = new_encoder(
        config, train_images.channels, len(train_images.classes), weights=checkpoint / checkpoints.WEIGHTS
    ).to(device)
    evaluation, classifiers = config.evaluation, dict[str, nn.Module]()
    results = evaluate(
        encoder,
        train_images,
        test_images,
        evaluation,
        device=device,
        names=protocols or (["own"] if classifies(config) else []) + ["knn", "logistic"],
        version=version,
        seed=config.training.seed,
        classifiers=classifiers,
        progress=progress,
    )
    run_folder.keep_earlier(run, "results")
    which = {"checkpoint": checkpoint.name, "epochs_trained": checkpoints.position(checkpoint)[0]}
    run_folder.write_json(run / RESULTS, {name: entry | which for name, entry in results.items()})
    if not report:
        return results
    shown = _some(test_images, config.training.seed)
    method = build_method(without_removal(config))
    collect(
        run,
        encoder,
        method,
        method.attack if has_attack(config) else build_attack(another(config)),
        images=shown.images if isinstance(shown.images, Tensor) else torch.cat(list(shown.images)),
        labels=shown.labels,
        classes=shown.classes,
        data=shown.name,
        eps=evaluation.attack_eps,
        classifier=classifiers.get("logistic"),
        layer=evaluation.logistic_features or "h",
        domain=evaluation.domain or "clean",
        batch_size=min(config.training.batch_size or SHOWN, SHOWN),
        seed=config.training.seed,
        device=device,
    )
    write_report(run)
    return results


def another(config: RunConfig) -> RunConfig:
    """Whose adversary a method without one is shown: CLAE's, or that of adversarial training."""
    return RunConfig(method=MethodConfig(name="adversarial_training" if classifies(config) else "clae"))


def _some(images: ImageSet, seed: int) -> ImageSet:
    return images.select(torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[:SHOWN])
