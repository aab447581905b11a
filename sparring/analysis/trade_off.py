"""Clean against robust accuracy over the training radius: who lies above whom at the same clean accuracy (002, Fig. 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

Accuracies = Sequence[float | int] | np.ndarray


@dataclass(frozen=True)
class TradeOff:
    """The best exchange of clean for robust accuracy among several models."""

    front: Int[np.ndarray, " f"]
    """Indices of the models on the Pareto front, by rising clean (and so falling robust) accuracy."""
    clean: Float[np.ndarray, " f"]
    robust: Float[np.ndarray, " f"]
    area: float
    """Share of the unit square [0, 1] x [0, 1] that lies below and left of a model: 1 is perfect in both."""


@dataclass(frozen=True)
class Gap:
    """How far one front lies above another, in fractions, over the clean accuracies that both reach."""

    mean: float
    low: float
    high: float
    clean: tuple[float, float]
    """The clean accuracies over which the mean, the lowest and the highest difference are taken."""


def trade_off(clean: Accuracies, robust: Accuracies) -> TradeOff:
    """The Pareto front of models (one a training radius) and the area that it dominates.

        on the front: no other model is as good in both accuracies and better in one (of equal models, the first)
        area = integral_0^1 max{ robust_i : clean_i >= c } dc

    `clean` and `robust` are fractions `[n]`. Raises ValueError for no models, different lengths, and accuracies
    outside [0, 1].

    Paper: Bui et al. 2021 (ASCL), Fig. 3. Differs from: the paper draws all points; the area is ours.
    """
    clean, robust = _accuracies("clean", clean), _accuracies("robust", robust)
    if clean.shape != robust.shape:
        raise ValueError(f"clean has {len(clean)} accuracies, robust {len(robust)}: one each a model is needed")
    best, front = -1.0, []
    # from the highest clean accuracy down; among equals the more robust one first
    for index in np.lexsort((-robust, -clean)):
        if robust[index] > best:
            best = robust[index]
            front.append(index)
    front = np.array(front[::-1])
    widths = np.diff(clean[front], prepend=0.0)
    return TradeOff(front, clean[front], robust[front], area=float((widths * robust[front]).sum()))


def gap(ours: TradeOff, other: TradeOff) -> Gap:
    """Robust accuracy of `ours` minus that of `other` at the same clean accuracy, along the fronts drawn as lines.

    Between two models of a front the line is straight (a coin that picks one of the two reaches it in expectation);
    beyond its ends a front says nothing, and the mean is taken uniformly over the clean accuracies that both span.
    ASCL reports "around 5%" for Leaked against the baseline in Fig. 3. Test images and training seeds make the fronts
    uncertain; this is a difference, not an interval.

    Raises ValueError where the two fronts have no clean accuracy in common.

    Paper: Bui et al. 2021 (ASCL), section 4.2, Fig. 3 ("with the same level of natural accuracy"). Differs from: the
    paper reads the figure off by eye.
    """
    low = max(ours.clean[0], other.clean[0])
    high = min(ours.clean[-1], other.clean[-1])
    if low > high:
        spans = [f"{front.clean[0]:.3f} to {front.clean[-1]:.3f}" for front in (ours, other)]
        raise ValueError(f"the fronts share no clean accuracy: {spans[0]} and {spans[1]}")
    knots = np.union1d(ours.clean, other.clean)
    knots = np.union1d(knots[(knots > low) & (knots < high)], [low, high])
    # both are straight between knots, so the trapezoids and the extremes at the knots are exact
    above = np.interp(knots, ours.clean, ours.robust) - np.interp(knots, other.clean, other.robust)
    trapezoids = np.diff(knots) * (above[1:] + above[:-1]) / 2
    mean = trapezoids.sum() / (high - low) if high > low else above[0]
    return Gap(float(mean), float(above.min()), float(above.max()), (float(low), float(high)))


def _accuracies(name: str, values: Accuracies) -> Float[np.ndarray, " n"]:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"{name} must be one accuracy a model, not an array of shape {values.shape}")
    wrong = values[~((values >= 0) & (values <= 1))]
    if len(wrong):
        raise ValueError(f"{name} holds {wrong[0]:g}, but accuracies are fractions in [0, 1]")
    return values
