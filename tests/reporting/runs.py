"""A small run folder, written by hand: what training leaves behind, without training."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
import yaml
from torch import nn
from torch.nn import functional

from sparring.config import DataConfig, EncoderConfig, EvaluationConfig, MethodConfig, RunConfig, TrainingConfig

CLASSES = ("<b>cat</b>", "dog & co", "horse")


class Dual(nn.Module):
    """Two batch norms, as `sparring.norms` leaves them: the attribute names are all that analysis looks at."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.clean, self.adv = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        self.domain = "clean"

    def forward(self, x):
        return getattr(self, self.domain)(x)


class SmallEncoder(nn.Module):
    std = (0.5, 0.25, 0.5)

    def __init__(self, dual: bool = True) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(4)
            self.norm = Dual(6) if dual else nn.BatchNorm2d(6)
            self.trunk = nn.Sequential(nn.Conv2d(3, 6, 3), self.norm, nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
            self.head = nn.Linear(24, 5)

    def represent(self, x, domain="clean"):
        if isinstance(self.norm, Dual):
            self.norm.domain = domain
        return self.trunk((x - 0.5) / torch.tensor(self.std).view(3, 1, 1))

    def forward(self, x, domain="clean"):
        return functional.normalize(self.head(self.represent(x, domain)), dim=1)


def images(n: int = 24):
    generator = torch.Generator().manual_seed(9)
    return torch.randint(0, 256, (n, 3, 6, 6), dtype=torch.uint8, generator=generator), torch.arange(n) % 3


CONFIG = RunConfig(
    method=MethodConfig(name="clae", base="simclr", alpha=1.0, temperature=0.5),
    data=DataConfig(name="folder", train_images=60),
    encoder=EncoderConfig(name="resnet20", adv_momentum=0.01),
    training=TrainingConfig(epochs=4, batch_size=12, seed=3),
    evaluation=EvaluationConfig(knn_k=5, knn_temperature=0.5),
)


def write_run(path: Path, config: RunConfig = CONFIG) -> Path:
    """config.yaml, environment.json, metrics.jsonl and results.json."""
    path.mkdir()
    (path / "config.yaml").write_text(yaml.safe_dump(asdict(config), sort_keys=False))
    (path / "environment.json").write_text(json.dumps({"versions": {"torch": "2.11"}, "cpu_count": 2, "gpus": []}))
    records = [
        {"epoch": e, "step": 5 * e, "loss": 6 - e, "clean": 3.5 - e, "adversarial": 2.5, "lr": 0.1, "seconds": 1.0}
        for e in range(4)
    ]
    records[3]["probe_knn_accuracy"] = 0.625
    (path / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    entry = {"data": "folder:pets", "accuracy": 0.625, "interval": [0.4, 0.8], "confidence": 0.95, "n_train": 60}
    entry |= {"n_test": 24, "classes": 3, "layer": "h", "domain": "clean"}
    results = {
        "knn": entry | {"protocol": "knn v1", "k": 5, "temperature": 0.5},
        "logistic": entry | {"protocol": "logistic v1", "epochs": 7, "selection": "last epoch", "accuracy": 0.5},
    }
    (path / "results.json").write_text(json.dumps(results))
    return path
