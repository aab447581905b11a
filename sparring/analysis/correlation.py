"""Whether one measure goes with another over models: R-DIV against robust accuracy (002, Figs. 2, 5, 6)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np


@dataclass(frozen=True)
class Correlation:
    """Pearson's r (straight-line relation) and Spearman's rho (any monotone relation), with their intervals."""

    pearson: float
    pearson_interval: tuple[float, float]
    spearman: float
    spearman_interval: tuple[float, float]
    confidence: float
    n: int


def correlation(
    x: Sequence[float | int] | np.ndarray, y: Sequence[float | int] | np.ndarray, *, confidence: float = 0.95
) -> Correlation:
    """Correlation of two measures over n models, epochs or attack strengths, such as R-DIV and robust accuracy.

        r = sum (x - x~)(y - y~) / sqrt( sum (x - x~)^2 sum (y - y~)^2 ),   rho = r of the ranks, ties averaged
        interval of r:    tanh( atanh r   +- q / sqrt(n - 3) )                    (Fisher 1921)
        interval of rho:  tanh( atanh rho +- q sqrt((1 + rho^2 / 2) / (n - 3)) )  (Bonett & Wright 2000)

    `x` and `y` are `[n]`; ASCL's claim O1 ("robustness varies inversely with R-DIV") is a negative rho. A perfect
    order of few points proves little: within the interval's formula |rho| is at most 1 - 6 / (n^3 - n), half a step
    of the ranks from 1. With n = 3 nothing is known, and the intervals are (-1, 1). Both intervals take the points as
    independent, which the epochs of one run and the radii of one attack are not: there they are too narrow.

    Raises ValueError for arrays of different lengths, fewer than 3 points, values that are not finite, a measure that
    is the same at every point, and a confidence outside (0, 1).

    Paper: Bui et al. 2021 (ASCL), section 2 (O1), section 4.4. Differs from: the paper draws, and gives no figure.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie strictly between 0 and 1, not {confidence}")
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"x and y must be two arrays of one length, not of shapes {x.shape} and {y.shape}")
    n = len(x)
    if n < 3:
        raise ValueError(f"x and y have {n} point{'s' * (n != 1)}: a correlation needs at least 3")
    for name, values in (("x", x), ("y", y)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name} has values that are not finite: {values[~np.isfinite(values)][0]}")
        if np.ptp(values) == 0:
            raise ValueError(f"{name} is {values[0]:g} at every point: what does not vary has no correlation")
    from scipy.stats import rankdata

    pearson = _pearson(x, y)
    spearman = _pearson(rankdata(x), rankdata(y))
    half = NormalDist().inv_cdf(0.5 + confidence / 2)
    limit = 1 - 6 / (n**3 - n)
    inside = min(max(spearman, -limit), limit)
    low, high = _fisher(inside, half * math.sqrt(1 + inside * inside / 2), n)
    return Correlation(
        pearson=pearson,
        pearson_interval=_fisher(pearson, half, n),
        spearman=spearman,
        spearman_interval=(min(low, spearman), max(high, spearman)),
        confidence=confidence,
        n=n,
    )


def _pearson(x: np.ndarray, y: np.ndarray) -> float:
    x, y = (x - x.mean()) / np.ptp(x), (y - y.mean()) / np.ptp(y)
    r = float((x * y).sum() / math.sqrt((x * x).sum() * (y * y).sum()))
    return min(max(r, -1.0), 1.0)


def _fisher(r: float, half: float, n: int) -> tuple[float, float]:
    if n == 3:
        return -1.0, 1.0
    if abs(r) == 1:
        return r, r
    z, half = math.atanh(r), half / math.sqrt(n - 3)
    return math.tanh(z - half), math.tanh(z + half)
