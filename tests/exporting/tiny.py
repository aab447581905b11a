"""Run folders as a training leaves them, of tiny encoders that have seen no image."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import nn

from sparring.config import DataConfig, EncoderConfig, EvaluationConfig, MethodConfig, RunConfig, TrainingConfig
from sparring.training import checkpoints, new_encoder, resolve, run_folder

SIDE = 16


def lived_in(encoder: nn.Module) -> nn.Module:
    """Weights and statistics of every batch norm differ, those of two domains too."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for part in encoder.modules():
            if isinstance(part, nn.BatchNorm2d | nn.BatchNorm1d):
                part.weight.uniform_(0.5, 1.5, generator=generator)
                part.bias.uniform_(-0.2, 0.2, generator=generator)
                part.running_mean.uniform_(-0.2, 0.2, generator=generator)
                part.running_var.uniform_(0.5, 1.5, generator=generator)
    return encoder


def make_run(folder: Path, method: str = "simclr", encoder: str = "wrn-10-1", epochs: int = 2, **more) -> Path:
    """A run of two epochs; `epochs` of them are done. Images are 16 x 16 textures."""
    config = resolve(
        RunConfig(
            method=MethodConfig(name=method),
            data=DataConfig(name="synthetic", image_size=SIDE, train_images=60, test_images=40),
            encoder=EncoderConfig(name=encoder),
            training=TrainingConfig(epochs=2, batch_size=16, probe_every=0, progress=False, seed=3),
            evaluation=EvaluationConfig(knn_k=10, logistic_epochs=2, **more),
        )
    )
    folder.mkdir(parents=True)
    run_folder.create(config, folder)
    network = lived_in(new_encoder(config, 3, 4))
    checkpoints.save(folder, network, checkpoints.State(epochs, 0, {}))
    return folder


def write_figures(run: Path, domain: str = "clean") -> None:
    """results.json and robustness.json of the newest checkpoint, with figures that no other place has."""
    of = {"checkpoint": "epoch-0002", "domain": domain, "data": "synthetic", "confidence": 0.95}
    results = {
        "knn": of | {"protocol": "knn v1", "accuracy": 0.4321, "interval": [0.31, 0.55], "n_train": 60, "n_test": 41}
    }
    run_folder.write_json(run / "results.json", results)
    measured = {"interval": [0.01, 0.22], "confidence": 0.95, "n": 37}
    attack = measured | {"words": "PGD, Linf, eps 8/255, 20 steps", "accuracy": 0.0987}
    robust = {
        "schema": 1,
        "protocol": {"name": "robustness", "version": 2},
        "label": "robustness v2",
        "subject": {"words": "logistic v1 on h", "checkpoint": "epoch-0002", "domain": domain},
        "data": {"name": "synthetic", "selection": "a seeded draw of 37 of 40 test images"},
        "clean": measured | {"accuracy": 0.4567},
        "attacks": {"pgd": attack, "fgsm": {"left_out": "no gradient"}},
        "checks": [
            {"name": "a", "title": "More steps never help", "colour": "red", "sentence": "They do.", "figures": {}}
        ],
        "verdict": {"colour": "red", "sentence": "The numbers cannot be believed."},
    }
    (run / "robustness.json").write_text(json.dumps(robust))
