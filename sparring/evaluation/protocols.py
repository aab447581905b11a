"""Protocols: everything that a figure on frozen features depends on, as frozen values with a name and a version.

A protocol's version rises whenever the same settings would give another figure. `selection` says which epoch is
reported: "last epoch" looks at no test image before the end; "best test epoch" mimics CLAE's published code, whose
figures are therefore optimistic, and is named in every figure made so.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal

from jaxtyping import Float, Int
from torch import Tensor, nn

from sparring.evaluation.features import Layer
from sparring.evaluation.intervals import wilson
from sparring.evaluation.knn import knn
from sparring.evaluation.linear import fit_linear
from sparring.evaluation.logistic import accuracy, fit_logistic
from sparring.types import Domain

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Split:
    """Features of one set of images with their labels."""

    features: Float[Tensor, "n D"]
    labels: Int[Tensor, " n"]


@dataclass(frozen=True)
class KNN:
    """Weighted k nearest neighbours, see `sparring.evaluation.knn`."""

    temperature: float
    k: int = 200
    layer: Layer = "h"
    domain: Domain = "clean"
    paper: bool = False
    """Whether the figure is meant to stand beside CLAE's: on z. The published code also keeps the training epoch of the best
    test kNN (Plain and UEL); the epoch is not chosen here."""
    version: int = field(default=1, init=False)
    name: ClassVar[str] = "knn"

    def measure(self, train: Split, test: Split, classes: int, classifiers: dict[str, nn.Module]) -> dict[str, Any]:
        """Accuracy with its interval and this protocol's settings; there is no classifier to keep."""
        fraction = knn(
            train.features,
            train.labels,
            test.features,
            test.labels,
            k=self.k,
            temperature=self.temperature,
            classes=classes,
        )
        return _entry(self, fraction, train, test, classes)


@dataclass(frozen=True)
class Logistic:
    """Logistic regression with Adam, see `sparring.evaluation.logistic`."""

    epochs: int = 1000
    lr: float = 3e-4
    batch_size: int = 256
    seed: int = 0
    layer: Layer = "h"
    domain: Domain = "clean"
    selection: Literal["last epoch", "best test epoch"] = "last epoch"
    version: int = field(default=1, init=False)
    name: ClassVar[str] = "logistic"

    def measure(self, train: Split, test: Split, classes: int, classifiers: dict[str, nn.Module]) -> dict[str, Any]:
        """Accuracy with its interval and this protocol's settings; the layer of the last epoch is kept."""
        curve: list[float] = []

        def test_accuracy(epoch: int, layer: nn.Linear) -> None:
            curve.append(accuracy(layer, test.features, test.labels))

        layer = fit_logistic(
            train.features,
            train.labels,
            epochs=self.epochs,
            lr=self.lr,
            batch_size=self.batch_size,
            classes=classes,
            seed=self.seed,
            after_epoch=test_accuracy if self.selection == "best test epoch" else None,
        )
        classifiers[self.name] = layer
        last = accuracy(layer, test.features, test.labels)
        if self.selection == "last epoch":
            return _entry(self, last, train, test, classes)
        chosen = {"best_epoch": 1 + curve.index(max(curve)), "last_epoch_accuracy": last}
        return _entry(self, max(curve), train, test, classes) | chosen


@dataclass(frozen=True)
class Linear:
    """Linear probe with SGD, see `sparring.evaluation.linear`."""

    epochs: int = 150
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch_size: int = 1024
    milestones: tuple[int, ...] = (30, 50, 100)
    seed: int = 0
    layer: Layer = "h"
    domain: Domain = "clean"
    selection: Literal["last epoch"] = "last epoch"
    version: int = field(default=1, init=False)
    name: ClassVar[str] = "linear"

    def measure(self, train: Split, test: Split, classes: int, classifiers: dict[str, nn.Module]) -> dict[str, Any]:
        """Accuracy with its interval and this protocol's settings; the layer of the last epoch is kept."""
        classifiers[self.name] = fit_linear(
            train.features,
            train.labels,
            epochs=self.epochs,
            lr=self.lr,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            batch_size=self.batch_size,
            milestones=self.milestones,
            classes=classes,
            seed=self.seed,
        )
        fraction = accuracy(classifiers[self.name], test.features, test.labels)
        return _entry(self, fraction, train, test, classes)


@dataclass(frozen=True)
class Own:
    """The classifier that a method trained on the representation: nothing is fitted, `classifiers["own"]` must hold it."""

    layer: Layer = field(default="h", init=False)
    domain: Domain = "clean"
    version: int = field(default=1, init=False)
    name: ClassVar[str] = "own"

    def measure(self, train: Split, test: Split, classes: int, classifiers: dict[str, nn.Module]) -> dict[str, Any]:
        """Accuracy with its interval; the number of training images is that of the encoder's training."""
        return _entry(self, accuracy(classifiers[self.name], test.features, test.labels), train, test, classes)


def _entry(protocol: KNN | Logistic | Linear | Own, fraction: float, train: Split, test: Split, classes: int) -> dict:
    """What results.json says of one figure: the figure, its interval, and all that it depends on."""
    n = len(test.labels)
    selection = getattr(protocol, "selection", "last epoch")
    label = f"{protocol.name} v{protocol.version}" + ("" if selection == "last epoch" else f", paper ({selection})")
    label += ", paper (on z, last training epoch)" if getattr(protocol, "paper", False) else ""
    settings = {key: value for key, value in asdict(protocol).items() if key not in ("version", "paper")}
    return {
        "protocol": label,
        "accuracy": fraction,
        "interval": list(wilson(round(fraction * n), n, CONFIDENCE)),
        "confidence": CONFIDENCE,
        "n_train": len(train.labels),
        "n_test": n,
        "classes": classes,
        **{key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()},
    }
