"""What a method's paper trains it with: the defaults that a configuration leaves open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Settings:
    """Training settings of a method in its paper's CIFAR experiments, from the published code."""

    views: str
    """Augmentation pipeline, a name in `sparring.data`."""
    head: Literal["linear", "mlp", "mlp-bn", "mlp3-bn", "p2", "none"]
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
    encoder: str = "resnet18"
    hidden: int | None = None
    """Width of the head's hidden layer; None is the head's own."""
    adv_momentum: float = 0.01
    """Momentum of the adversarial batch norm's running statistics, where there is one."""
    domain: Literal["clean", "adv"] = "clean"
    """Which batch norm is evaluated, where there are two."""
    features: Literal["h", "z"] = "h"
    """What kNN and logistic regression read: the representation, or the embedding where that is the method's output."""
    logistic_batch_size: int = 256
    others: tuple[tuple[str, Settings], ...] = ()
    """What other encoders are trained with, by the beginning of their names."""

    def of(self, encoder: str | None) -> Settings:
        """The settings for an encoder by its name in the configuration; None is the method's own."""
        return next((other for prefix, other in self.others if (encoder or "").startswith(prefix)), self)


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
    features="z",
    logistic_batch_size=128,
)
"""Plain and UEL share their training (chihhuiho/CLAE, Plain/main.py, UEL/main.py and their eval.py)."""
