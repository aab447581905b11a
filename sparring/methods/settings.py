"""What a method's paper trains it with: the defaults that a configuration leaves open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Settings:
    """Training settings of a method in its paper's CIFAR experiments, from the published code."""

    views: str
    """Augmentation pipeline, a name in `sparring.data`."""
    head: Literal["linear", "mlp", "none"]
    dim: int
    optimizer: Literal["sgd", "adam", "lars"]
    lr: float
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: Literal["constant", "step", "cosine"] = "constant"
    milestones: tuple[int, ...] = ()
    factors: tuple[float, ...] = ()
    warmup_epochs: int = 0
    batch_size: int = 256
    epochs: int = 100
    knn_temperature: float = 0.1
    encoder: str = "resnet18"


PLAIN_AND_UEL = Settings(
    views="uel",
    head="linear",
    dim=128,
    optimizer="sgd",
    lr=0.03,
    weight_decay=5e-4,
    schedule="step",
    milestones=(120, 160, 200),
    factors=(0.1, 0.05, 0.01),
    batch_size=128,
    epochs=301,
    knn_temperature=0.1,
)
"""Plain and UEL share their training (facts of chihhuiho/CLAE, Plain/main.py and UEL/main.py)."""
