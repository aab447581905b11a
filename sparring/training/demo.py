"""What `sparring train clae` runs when nothing else is said: embedded digits, about two minutes on a CPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Demo:
    """Settings that take the place of the paper's on data set `digits`; every one can be overruled."""

    encoder: str = "resnet20"
    views: str = "digits"
    epochs: int = 30
    batch_size: int = 128
    optimizer: Literal["sgd", "adam", "lars"] = "adam"
    lr: float = 1e-3
    logistic_epochs: int = 200


DIGITS = Demo()
