"""A whole run: check everything, train, evaluate, report."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from sparring.config import RunConfig
from sparring.data import ImageSet, load_images
from sparring.evaluation import evaluate
from sparring.reporting import collect, write_report
from sparring.training.build import build_attack, build_method, has_attack
from sparring.training.check import check_images, device_of
from sparring.training.checkpoints import WEIGHTS, latest, load_state
from sparring.training.fit import fit, new_encoder, weights_of
from sparring.training.launch import is_first, launch, launched_by_others
from sparring.training.resolve import needs_labels, resolve
from sparring.training.resume import run_and_checkpoint
from sparring.training.run_folder import create, save_config, write_json

SHOWN = 512
"""Test images that the report's figures are computed on."""


def train(config: RunConfig) -> Path:
    """Train, evaluate and report; the path of the run folder.

    The folder holds config.yaml (complete, rerunnable), environment.json, metrics.jsonl (one line an epoch), log.txt,
    tensorboard/, checkpoints/, weights.safetensors (the last epoch's), results.json and report.html.
    Raises ValueError with one sentence for whatever can be known to be wrong beforehand, before anything is written;
    see `sparring.training.fit` for what can go wrong while training.
    """
    config = resolve(config)
    train_images, test_images = load_images(config.data, seed=config.training.seed)
    check_images(config, train_images, needs_labels(config))
    channels = train_images.channels
    run, checkpoint, state, weights = Path(config.out or ""), None, None, None
    if config.resume is not None:
        run, checkpoint = run_and_checkpoint(config.resume)
        state, weights = load_state(checkpoint), checkpoint / WEIGHTS
    elif config.init_from is not None:
        weights = weights_of(config.init_from)
    encoder = new_encoder(config, channels, weights=weights)
    if is_first() and config.resume is None:
        run = create(config)
    elif is_first():
        save_config(config, run / "config.yaml")
    if config.training.processes > 1 and not launched_by_others():
        launch(run, config.training.processes, checkpoint)
    else:
        fit(run, config, encoder, train_images, state)
    if is_first():
        finish(run, config, train_images, test_images)
    return run


def finish(run: Path, config: RunConfig, train_images: ImageSet, test_images: ImageSet) -> None:
    """Evaluate the last checkpoint and write weights.safetensors, results.json and the report."""
    device = device_of(config)
    checkpoint = latest(run)
    encoder = new_encoder(config, train_images.channels, weights=checkpoint / WEIGHTS)
    (run / WEIGHTS).write_bytes((checkpoint / WEIGHTS).read_bytes())
    classifiers: dict[str, nn.Linear] = {}
    results = evaluate(
        encoder.to(device),
        train_images,
        test_images,
        config.evaluation,
        device=device,
        seed=config.training.seed,
        classifiers=classifiers,
    )
    write_json(run / "results.json", results)
    shown = test_images.select(torch.arange(min(len(test_images), SHOWN)))
    collect(
        run,
        encoder,
        build_method(config),
        # A method without an adversary is shown CLAE's own.
        build_attack(config if has_attack(config) else RunConfig()),
        images=shown.images if isinstance(shown.images, Tensor) else torch.cat(list(shown.images)),
        labels=shown.labels,
        classes=shown.classes,
        data=shown.name,
        eps=config.evaluation.attack_eps,
        classifier=classifiers.get("logistic"),
        layer=config.evaluation.logistic_features,
        domain=config.evaluation.domain,
        batch_size=min(config.training.batch_size or SHOWN, SHOWN),
        seed=config.training.seed,
        device=device,
    )
    write_report(run)
