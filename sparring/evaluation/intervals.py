"""Confidence intervals: of an accuracy over its test images, of the mean of classes' accuracies, of a mean and of a
difference over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, stdev

BOOTSTRAP_COVERAGE = {2: 0.50, 3: 0.75, 4: 0.80, 5: 0.84}
"""By the number of seeds, how often the 95 % `bootstrap_interval` of normal values covers their mean: of two and three, whose
range it is, 1 - 2^(1 - n) exactly; of four and five simulated."""


def wilson(correct: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927), as fractions.

    ( p + q^2/2n +- q sqrt( p(1-p)/n + q^2/4n^2 ) ) / (1 + q^2/n),  p = correct/n, q the normal quantile.
    It holds only the test images' sampling; spread over training seeds is not in it.
    """
    if n < 1 or not 0 <= correct <= n:
        raise ValueError(f"correct must lie in 0..n with n at least 1, not correct={correct}, n={n}")
    _check(confidence)
    q = NormalDist().inv_cdf(0.5 + confidence / 2)
    p = correct / n
    centre = p + q * q / (2 * n)
    half = q * math.sqrt(p * (1 - p) / n + q * q / (4 * n * n))
    scale = 1 + q * q / n
    # at 0 and n the exact bound is 0 or 1, which rounding may miss
    low = 0.0 if correct == 0 else (centre - half) / scale
    high = 1.0 if correct == n else (centre + half) / scale
    return low, high


def mean_per_class(correct: Sequence[int], n: Sequence[int], confidence: float = 0.95) -> tuple[float, float]:
    """Interval of the mean of K classes' accuracies, mean of correct_k / n_k, as fractions.

    mean +- q sqrt( sum_k p_k (1 - p_k) / n_k ) / K,  p_k = (correct_k + 1) / (n_k + 2), q the normal quantile, cut to [0, 1].
    Images are drawn class by class; p_k (Laplace) keeps the width from collapsing at classes that are all right or all wrong.
    """
    if (
        not n
        or len(correct) != len(n)
        or any(m < 1 or not 0 <= right <= m for right, m in zip(correct, n, strict=True))
    ):
        raise ValueError(f"correct must lie in 0..n with n at least 1 in every class, not {list(correct)} of {list(n)}")
    _check(confidence)
    q, mean = NormalDist().inv_cdf(0.5 + confidence / 2), fmean(c / m for c, m in zip(correct, n, strict=True))
    smooth = [((c + 1) / (m + 2), m) for c, m in zip(correct, n, strict=True)]
    half = q * math.sqrt(sum(p * (1 - p) / m for p, m in smooth)) / len(n)
    return max(0.0, mean - half), min(1.0, mean + half)


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float, float]:
    """Mean over seeds and its Student t interval, mean +- t_{n-1} s / sqrt(n): (mean, low, high).

    With one value nothing is known of the spread: low and high are nan.
    """
    if not values:
        raise ValueError("values: there are none to average")
    _check(confidence)
    mean = fmean(values)
    if len(values) == 1:
        return mean, math.nan, math.nan
    from scipy.special import stdtrit

    half = float(stdtrit(len(values) - 1, 0.5 + confidence / 2)) * stdev(values) / math.sqrt(len(values))
    return mean, mean - half, mean + half


def mean_correlation(
    values: Sequence[float], most: float = 1 - 1e-6, confidence: float = 0.95
) -> tuple[float, float, float]:
    """Mean over seeds of a correlation coefficient and its t interval by Fisher's z: (mean, low, high), within [-1, 1].

    tanh of the mean and the interval of atanh r (Fisher 1921); a plain t interval would leave [-1, 1]. Where |r| is above
    `most`, the z of `most` stands in for the infinite one of 1: for Spearman's rho over k rows, of which the value next to 1 is
    1 - 12 / (k (k^2 - 1)), halfway to it (`largest_rho`). With one value low and high are nan; equal ones are the interval.
    """
    if len(set(values)) == 1:
        end = math.nan if len(values) == 1 else values[0]
        return values[0], end, end
    mean, low, high = mean_interval([math.atanh(max(-most, min(r, most))) for r in values], confidence)
    return math.tanh(mean), math.tanh(low), math.tanh(high)


def largest_rho(rows: int) -> float:
    """Halfway from the largest Spearman's rho below 1 over so many rows without ties to 1: what a rho of 1 counts as."""
    return 1 - 6 / (rows * (rows**2 - 1))


def bootstrap_interval(
    values: Sequence[float], confidence: float = 0.95, *, resamples: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Percentile interval of the mean over seeds, from `resamples` seeded draws with replacement (Efron 1979): (low, high).

    It never leaves the range of the values; of two or three it is that range. It is narrower than its name with so few: of
    normal values it covers the mean as often as `BOOTSTRAP_COVERAGE` says, the t interval 95 % of the time. With one value low
    and high are nan.
    """
    if not values:
        raise ValueError("values: there are none to resample")
    _check(confidence)
    if len(values) == 1:
        return math.nan, math.nan
    import numpy as np

    drawn = np.random.default_rng(seed).choice(np.asarray(values, dtype=float), (resamples, len(values))).mean(axis=1)
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def paired_difference(
    row: dict[int, float], other: dict[int, float], confidence: float = 0.95
) -> tuple[float, float, float]:
    """Mean of row - other over the seeds that both have, with its paired t interval: (difference, low, high)."""
    shared = sorted(row.keys() & other.keys())
    if not shared:
        raise ValueError(f"the rows share no seed: {sorted(row)} and {sorted(other)}")
    return mean_interval([row[seed] - other[seed] for seed in shared], confidence)


def paired_images(only_row: int, only_other: int, n: int, confidence: float = 0.95) -> tuple[float, float, float]:
    """Difference of two accuracies on the same n images, with the interval of Bonett and Price (2012): (difference, low,
    high), as fractions.

    `only_row` images are right in the row alone, `only_other` in the other alone: difference = (only_row - only_other) / n.
    The interval is d +- q sqrt( (p + r - d^2) / (n + 2) ) with p = (only_row + 1) / (n + 2), r = (only_other + 1) / (n + 2),
    d = p - r, q the normal quantile. It holds the sampling of test images only; training seeds are not in it.
    """
    if n < 1 or min(only_row, only_other) < 0 or only_row + only_other > n:
        raise ValueError(
            f"only_row and only_other must be counts of together at most n, not {only_row} and {only_other} of {n}"
        )
    _check(confidence)
    q = NormalDist().inv_cdf(0.5 + confidence / 2)
    p, r = (only_row + 1) / (n + 2), (only_other + 1) / (n + 2)
    half = q * math.sqrt((p + r - (p - r) ** 2) / (n + 2))
    return (only_row - only_other) / n, max(-1.0, p - r - half), min(1.0, p - r + half)


def _check(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie strictly between 0 and 1, not {confidence}")
