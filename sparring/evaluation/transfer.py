"""Transfer by linear evaluation: logistic regression on frozen features, its penalty chosen on validation images.

Paper: Chen et al. 2020 (SimCLR), appendix B.8, after Kornblith et al. 2019: no augmentation; images resized to 224 pixels along
       the shorter side (bicubic), centre cropped; L-BFGS; the l2 penalty from 45 values, logarithmically spaced from 1e-6 to
       1e5, chosen on the validation split; refitted on training and validation images; test accuracy, or its mean over
       classes, as is usual of each data set (`measuring.TRANSFER`).
Where the paper is silent, ours are: the penalty counts against the sum over images (scikit-learn's C = 1/l2); no penalty on
       the bias; features as the encoder gives them, not standardised; of equally good penalties the largest; a seeded tenth
       of every class held out where a data set has no validation split.
Differs from: encoders trained on smaller images than 224 see images of their own size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Int
from torch import Tensor, nn

from sparring.evaluation.features import Layer
from sparring.evaluation.intervals import mean_per_class, wilson
from sparring.evaluation.lbfgs import Fit, fit_l2
from sparring.evaluation.protocols import CONFIDENCE, Split
from sparring.types import Domain

Metric = Literal["top-1", "mean per class"]


@dataclass(frozen=True)
class Transfer:
    """The protocol: everything that a figure depends on beside images and encoder."""

    smallest: float = 1e-6
    largest: float = 1e5
    count: int = 45
    """Penalties that are tried, logarithmically spaced from the smallest to the largest."""
    max_iterations: int = 500
    layer: Layer = "h"
    domain: Domain = "clean"
    version: int = field(default=1, init=False)
    name: ClassVar[str] = "transfer"

    def __post_init__(self) -> None:
        if not 0 < self.smallest <= self.largest or self.count < 1 or self.max_iterations < 1:
            raise ValueError(
                "transfer needs 0 < smallest <= largest, count and max_iterations of at least 1, not "
                f"{self.smallest:g}, {self.largest:g}, {self.count}, {self.max_iterations}"
            )

    @property
    def label(self) -> str:
        """Name and version, and what differs from the paper's settings."""
        other = [f"{key} {value}" for key, value in asdict(self).items() if value != getattr(Transfer(), key)]
        return f"transfer v{self.version}" + (f" ({', '.join(other)})" if other else "")

    @property
    def settings(self) -> dict[str, Any]:
        """For the JSON."""
        return {"name": self.name, **asdict(self)}

    @property
    def penalties(self) -> list[float]:
        """The values of l2, from the largest to the smallest."""
        grid = torch.linspace(0, 1, self.count, dtype=torch.float64)
        return (self.largest * (self.smallest / self.largest) ** grid).tolist()

    def measure(
        self,
        train: Split,
        val: Split,
        test: Split,
        classes: int,
        metric: Metric,
        *,
        classifiers: dict[str, nn.Module] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> dict[str, Any]:
        """Accuracy on the test images with its interval, and the penalty with how it was chosen.

        The test images are looked at once, after the refit. `classifiers` receives the layer as "transfer"; `progress` is
        called with (penalties tried, all). Raises ValueError for a class without a test image where the metric is a mean
        over classes, and what `fit_l2` raises.
        """
        if metric == "mean per class" and len(test.labels.unique()) < classes:
            missing = sorted(set(range(classes)) - set(test.labels.tolist()))
            raise ValueError(f"class {missing[0]} has no test image, so there is no accuracy to take the mean with")
        best: tuple[float, float, Fit] | None = None
        fit, failed = None, 0
        for done, l2 in enumerate(self.penalties, start=1):
            fit = fit_l2(
                train.features, train.labels, l2, classes=classes, start=fit, max_iterations=self.max_iterations
            )
            failed += not fit.converged
            score = accuracy(fit.predict(val.features), val.labels, metric)
            if best is None or score > best[0]:
                best = score, l2, fit
            if progress is not None:
                progress(done, self.count)
        assert best is not None
        score, l2, fit = best
        both = torch.cat([train.features, val.features]), torch.cat([train.labels, val.labels])
        final = fit_l2(*both, l2, classes=classes, start=fit, max_iterations=self.max_iterations)
        if classifiers is not None:
            classifiers[self.name] = final.layer
        predicted = final.predict(test.features)
        return {
            "protocol": self.label,
            "metric": metric,
            "accuracy": accuracy(predicted, test.labels, metric),
            "interval": list(interval(predicted, test.labels, metric)),
            "confidence": CONFIDENCE,
            "top1": accuracy(predicted, test.labels, "top-1"),
            "n_train": len(train.labels),
            "n_val": len(val.labels),
            "n_test": len(test.labels),
            "classes": classes,
            "l2": l2,
            "l2_at_edge": self.count > 1 and l2 in (self.penalties[0], self.penalties[-1]),
            "validation_accuracy": score,
            "converged": final.converged,
            "not_converged_on_the_grid": failed,
            "layer": self.layer,
            "domain": self.domain,
        }


def accuracy(predicted: Int[Tensor, " n"], labels: Int[Tensor, " n"], metric: Metric) -> float:
    """The fraction of images that are right, or the mean of that fraction over the classes that there are."""
    right = (predicted.cpu() == labels.cpu()).double()
    if metric == "top-1":
        return right.mean().item()
    correct, n = _of_classes(right, labels.cpu())
    return (correct / n).mean().item()


def interval(predicted: Int[Tensor, " n"], labels: Int[Tensor, " n"], metric: Metric) -> tuple[float, float]:
    """Wilson's, or that of a mean over classes."""
    right = (predicted.cpu() == labels.cpu()).double()
    if metric == "top-1":
        return wilson(int(right.sum()), len(right), CONFIDENCE)
    correct, n = _of_classes(right, labels.cpu())
    return mean_per_class(correct.long().tolist(), n.long().tolist(), CONFIDENCE)


def _of_classes(right: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Right images and all images of each class that there is."""
    n = torch.bincount(labels)
    return torch.bincount(labels, weights=right)[n > 0], n[n > 0].double()
