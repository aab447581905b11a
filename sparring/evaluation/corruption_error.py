"""Figures drawn from accuracies under corruption: corruption errors, relative drop, slope between two models.

All are functions of numbers; none runs a model. Errors are fractions, 1 - accuracy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ALEXNET_ERROR: dict[str, tuple[float, ...]] = {
    "gaussian_noise": (0.69528, 0.82542, 0.93554, 0.98138, 0.99452),
    "shot_noise": (0.71224, 0.85108, 0.93574, 0.98182, 0.99146),
    "impulse_noise": (0.78374, 0.89808, 0.94870, 0.98720, 0.99548),
    "defocus_blur": (0.65624, 0.73202, 0.85036, 0.91364, 0.94714),
    "glass_blur": (0.64308, 0.75054, 0.88806, 0.91622, 0.93344),
    "motion_blur": (0.58430, 0.70048, 0.82108, 0.89750, 0.92638),
    "zoom_blur": (0.70008, 0.76992, 0.80784, 0.84198, 0.87198),
    "snow": (0.71726, 0.88392, 0.86468, 0.91870, 0.94952),
    "frost": (0.61390, 0.79734, 0.88790, 0.89942, 0.93430),
    "fog": (0.67474, 0.76050, 0.84378, 0.87260, 0.94500),
    "brightness": (0.45140, 0.48502, 0.54048, 0.62166, 0.72440),
    "contrast": (0.64548, 0.76150, 0.88874, 0.97760, 0.99270),
    "elastic_transform": (0.52596, 0.70116, 0.55686, 0.64076, 0.80554),
    "pixelate": (0.52218, 0.54620, 0.73728, 0.87092, 0.91262),
    "jpeg_compression": (0.51002, 0.54718, 0.57294, 0.65458, 0.74778),
}
"""AlexNet's top-1 error on ImageNet-C at severities 1 to 5, the baseline of the published mCE. Severities as in timm's
table; their means over severities are the 15 figures that hendrycks/robustness publishes."""
ALEXNET_CLEAN_ERROR = 0.43478
"""AlexNet's top-1 error on ImageNet's validation images: 43.5 % in the paper, 56.522 % right in torchvision's table."""


def mean_corruption_error(
    error: Mapping[str, Sequence[float | int]],
    baseline: Mapping[str, Sequence[float | int]] = ALEXNET_ERROR,
    *,
    severities: Sequence[int] = (1, 2, 3, 4, 5),
) -> float:
    """mCE of Hendrycks & Dietterich (2019, section 4): the mean over corruptions c of

        CE_c = sum_s E_{s,c} / sum_s E^baseline_{s,c}

    `error[c]` are top-1 errors in [0, 1], one for each of `severities`; `baseline[c]` the baseline's at severities 1 to
    5. It is a fraction (the paper prints percent). It is the published mCE only over all 15 corruptions at all five
    severities of ImageNet-C with the AlexNet baseline.

    Raises ValueError for an unknown corruption, a missing severity, or an error outside [0, 1].
    """
    return math.fsum(corruption_errors(error, baseline, severities=severities).values()) / len(error)


def corruption_errors(
    error: Mapping[str, Sequence[float | int]],
    baseline: Mapping[str, Sequence[float | int]] = ALEXNET_ERROR,
    *,
    severities: Sequence[int] = (1, 2, 3, 4, 5),
) -> dict[str, float]:
    """CE_c of every corruption, see `mean_corruption_error`."""
    return _ratios(error, 0.0, baseline, 0.0, severities)


def relative_mean_corruption_error(
    error: Mapping[str, Sequence[float | int]],
    clean_error: float | int,
    baseline: Mapping[str, Sequence[float | int]] = ALEXNET_ERROR,
    baseline_clean_error: float | int = ALEXNET_CLEAN_ERROR,
    *,
    severities: Sequence[int] = (1, 2, 3, 4, 5),
) -> float:
    """Relative mCE of Hendrycks & Dietterich (2019, section 4): what corruption adds to the clean error, the mean of

        Relative CE_c = sum_s (E_{s,c} - E_clean) / sum_s (E^baseline_{s,c} - E^baseline_clean)

    with arguments as in `mean_corruption_error`.
    """
    ratios = _ratios(error, clean_error, baseline, baseline_clean_error, severities)
    return math.fsum(ratios.values()) / len(ratios)


def _ratios(
    error: Mapping[str, Sequence[float | int]],
    clean: float | int,
    baseline: Mapping[str, Sequence[float | int]],
    baseline_clean: float | int,
    severities: Sequence[int],
) -> dict[str, float]:
    if not error:
        raise ValueError("error: it names no corruption")
    ratios = {}
    for name, values in error.items():
        if name not in baseline:
            raise ValueError(f"error: the baseline has no corruption {name!r}, only {', '.join(baseline)}")
        if len(values) != len(severities):
            raise ValueError(f"error: {name} has {len(values)} values for the {len(severities)} severities")
        if not set(severities) <= set(range(1, 1 + len(baseline[name]))):
            raise ValueError(f"severities: {list(severities)}, but the baseline has 1 to {len(baseline[name])}")
        if not all(0 <= value <= 1 for value in (*values, clean)):
            raise ValueError(f"error: {name} has {list(values)}, clean {clean}; errors are fractions in [0, 1]")
        added = math.fsum(baseline[name][s - 1] - baseline_clean for s in severities)
        if added <= 0:
            raise ValueError(f"baseline: its error under {name} is no larger than without it, so there is no ratio")
        ratios[name] = math.fsum(value - clean for value in values) / added
    return ratios


def relative_drop(clean: float | int, corrupted: float | int) -> float:
    """(clean - corrupted) / clean: the accuracy lost, as a fraction of the clean accuracy (003, Tables 1-4, Fig. 2).

    Negative if corrupted images are classified better. ValueError if nothing is right on clean images.
    """
    if not 0 < clean <= 1 or not 0 <= corrupted <= 1:
        raise ValueError(f"accuracies are fractions in [0, 1], the clean one above 0, not clean={clean}, {corrupted}")
    return (clean - corrupted) / clean


@dataclass(frozen=True)
class Slope:
    """A line through the origin, y = slope x, fitted to one point a corruption and severity."""

    slope: float
    standard_error: float
    """Of the slope, from the residuals, with points - 1 degrees of freedom; nan with a single point."""
    r_squared: float
    """1 - sum (y - slope x)^2 / sum (y - mean y)^2, about the mean although the line goes through the origin: it may be
    negative, where a constant would fit better. nan if all y are equal."""
    points: int


def corruption_slope(entry: Mapping[str, Any], reference: Mapping[str, Any], severities: Sequence[int] = (1,)) -> Slope:
    """How much more a model loses to corruptions than a reference: the best-fit slope of Gupta et al. (003), Fig. 2.

    The paper plots, for each of the 15 corruptions at severity 1, the relative drop of a self-supervised model (y)
    against the supervised model's (x), and fits "Self-Supervised Drop = slope * Supervised Drop": least squares through
    the origin, slope = sum x y / sum x^2. Above 1 the model is the more sensitive one.

    `entry` and `reference` are entries of `corruption_accuracy` of the model and the reference with the same
    corruptions, strengths and number of images.
    """
    if not severities:
        raise ValueError("severities: there are none to compare at")
    for field in ("table", "seed", "n"):
        if entry[field] != reference[field]:
            raise ValueError(f"{field} differs between the two models: {entry[field]!r} and {reference[field]!r}")
    if set(entry["accuracy"]) != set(reference["accuracy"]):
        different = sorted(set(entry["accuracy"]) ^ set(reference["accuracy"]))
        raise ValueError(f"corruptions differ between the two models: only one has {different[0]}")
    return fit_through_origin(
        [drop for name in entry["accuracy"] for drop in _drops(reference, name, severities)],
        [drop for name in entry["accuracy"] for drop in _drops(entry, name, severities)],
    )


def fit_through_origin(x: Sequence[float | int], y: Sequence[float | int]) -> Slope:
    """Least squares of y = slope x: slope = sum x y / sum x^2, its variance sum (y - slope x)^2 / (n - 1) / sum x^2."""
    if len(x) != len(y) or not len(x):
        raise ValueError(f"x and y must have as many points, one at least, not {len(x)} and {len(y)}")
    square = math.fsum(a * a for a in x)
    if square == 0:
        raise ValueError("x: the reference drops by nothing anywhere, so there is no slope")
    slope = math.fsum(a * b for a, b in zip(x, y, strict=True)) / square
    residual = math.fsum((b - slope * a) ** 2 for a, b in zip(x, y, strict=True))
    mean = math.fsum(y) / len(y)
    total = math.fsum((b - mean) ** 2 for b in y)
    return Slope(
        slope=slope,
        standard_error=math.sqrt(residual / (len(x) - 1) / square) if len(x) > 1 else math.nan,
        r_squared=1 - residual / total if total > 0 else math.nan,
        points=len(x),
    )


def _drops(entry: Mapping[str, Any], name: str, severities: Sequence[int]) -> list[float]:
    if entry["clean_accuracy"] is None:
        raise ValueError("clean_accuracy: it is not known, so there is no relative drop")
    for severity in severities:
        if severity not in entry["severities"]:
            raise ValueError(f"severities: {severity} was not measured, only {entry['severities']}")
    values = entry["accuracy"][name]
    return [relative_drop(entry["clean_accuracy"], values[entry["severities"].index(s)]) for s in severities]
