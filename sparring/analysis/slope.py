"""One model's drops against another's over many corruptions, and the line through 0 that fits them (003, Fig. 2)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class Slope:
    """drop = slope * drop of the supervised model; above 1 the model is the more sensitive one."""

    slope: float
    interval: tuple[float, float]
    """Student's t with n - 1 degrees of freedom; nan with one point, of whose spread nothing is known."""
    confidence: float
    n: int
    residual: float
    """Standard deviation of the drops around the line, in fractions of the clean accuracy; nan with one point."""


def slope_through_zero(
    supervised: Sequence[float | int] | np.ndarray,
    drop: Sequence[float | int] | np.ndarray,
    *,
    confidence: float = 0.95,
) -> Slope:
    """The least-squares line through the origin of one model's relative drops over a supervised model's.

        slope = sum x y / sum x^2
        interval: slope +- t_{n-1} s / sqrt(sum x^2),   s^2 = sum (y - slope x)^2 / (n - 1)

    `supervised` (x) and `drop` (y) are relative drops `[n]` (`relative_drop`), one a corruption. The interval takes the
    corruptions as independent draws with equal noise; blurs resemble each other, so it is rather too narrow. That x is
    measured too, on the same images, is not in it.

    Raises ValueError for arrays of different lengths or none, values that are not finite, x that is 0 everywhere, and a
    confidence outside (0, 1).

    Paper: Gupta et al. 2022, section 4.1, Fig. 2 ("Self-Supervised Drop = slope * Supervised Drop"); from Table 6 it is
    1.33 for SimCLR and 1.13 for SwAV. Differs from: the paper gives no interval.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie strictly between 0 and 1, not {confidence}")
    x, y = _drops("supervised", supervised), _drops("drop", drop)
    if x.shape != y.shape:
        raise ValueError(f"supervised has {len(x)} drops, drop {len(y)}: one each a corruption is needed")
    squares = float(x @ x)
    if squares == 0:
        raise ValueError("supervised is 0 everywhere: a line through 0 has no slope there")
    slope, n = float(x @ y) / squares, len(x)
    if n == 1:
        return Slope(slope, (math.nan, math.nan), confidence, n, math.nan)
    from scipy.special import stdtrit

    residual = math.sqrt(float(np.square(y - slope * x).sum()) / (n - 1))
    half = float(stdtrit(n - 1, 0.5 + confidence / 2)) * residual / math.sqrt(squares)
    return Slope(slope, (slope - half, slope + half), confidence, n, residual)


def _drops(name: str, values: Sequence[float | int] | np.ndarray) -> Float[np.ndarray, " n"]:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"{name} must be one drop a corruption, not an array of shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"{name} has values that are not finite: {values[~np.isfinite(values)][0]}")
    return values
