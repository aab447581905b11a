"""Figures drawn from accuracies under corruption: mean corruption errors.

All are functions of numbers; none runs a model. Errors are fractions, 1 - accuracy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

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
