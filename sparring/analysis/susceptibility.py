"""How much of its accuracy a model loses under attack, against a supervised twin (003, Tables 1 to 4 and 6 to 8).

    relative drop   d = 1 - acc_attacked / acc_clean
    gap closed      (d_base - d_method) / (d_base - d_twin)

Accuracies of models that differ on clean images are compared by d, the share of the clean accuracy that is lost.
The twin is the supervised counterpart with the same images, views and backbone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from jaxtyping import Float

Accuracies = float | int | Sequence[float | int] | np.ndarray


@dataclass(frozen=True)
class Susceptibility:
    """A model's relative drops beside its twin's, one value an attack."""

    drop: Float[np.ndarray, " n"]
    twin: Float[np.ndarray, " n"]
    difference: Float[np.ndarray, " n"]
    """drop - twin: above 0 the model loses a larger share of its accuracy than its twin."""
    interval: Float[np.ndarray, "n 2"] | None
    """Of the difference, over the test images alone; None if their number is not known."""
    confidence: float


def relative_drop(clean: Accuracies, attacked: Accuracies) -> Float[np.ndarray, "*n"]:
    """d = 1 - attacked / clean, elementwise (one clean accuracy may stand for all): 0 is robust, 1 is broken.

    Negative where a model is better than on clean images. Accuracies are fractions. Raises ValueError for accuracies
    outside [0, 1], shapes that do not fit, and a clean accuracy of 0, of which there is no share to lose.

    Paper: Gupta et al. 2022, Tables 1 to 4 and 6 to 8 (the percentages in red).
    """
    clean, attacked = _accuracies("clean", clean), _accuracies("attacked", attacked)
    if (clean == 0).any():
        raise ValueError("clean holds 0: a model that is never right has no accuracy to lose")
    try:
        return np.asarray(1 - attacked / clean)
    except ValueError:
        raise ValueError(
            f"clean and attacked do not fit: their shapes are {clean.shape} and {attacked.shape}"
        ) from None


def against_twin(
    clean: float | int,
    attacked: Accuracies,
    twin_clean: float | int,
    twin_attacked: Accuracies,
    *,
    images: int | None = None,
    confidence: float = 0.95,
) -> Susceptibility:
    """Relative drops of a model and of its supervised twin under the same attacks, and their difference.

        interval of d - d_twin: Newcombe's (1998, method 10) from Wilson's intervals of r = acc_attacked / acc_clean,
        a proportion of the images that were right before the attack, each attack attacking only those

    `clean` and `twin_clean` are one fraction each, the attacked accuracies `[n]`, one an attack. `images` is the number of
    test images behind every accuracy; without it there are no intervals. The two models are taken as independent, and as
    they see the same images the interval is, if anything, too wide. Spread over training seeds is not in it.

    Raises ValueError as `relative_drop` does; for arrays of different lengths; for `images` below 1, or with accuracies
    above the clean one, which are no proportion of it; and for a confidence outside (0, 1).

    Paper: Gupta et al. 2022, Tables 1 to 3. Differs from: the paper gives no intervals.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie strictly between 0 and 1, not {confidence}")
    if images is not None and images < 1:
        raise ValueError(f"images must be at least 1, not {images}")
    drop = np.atleast_1d(relative_drop(clean, attacked))
    twin = np.atleast_1d(relative_drop(twin_clean, twin_attacked))
    if drop.ndim != 1 or drop.shape != twin.shape:
        raise ValueError(f"model and twin need one accuracy each an attack, not {drop.shape} and {twin.shape}")
    interval = None
    if images is not None:
        if min(drop.min(), twin.min()) < 0:
            raise ValueError("an attacked accuracy lies above the clean one: it is no share of it, and has no interval")
        right, right_twin = images * float(clean), images * float(twin_clean)
        interval = np.array(
            [_newcombe(d, right, t, right_twin, confidence) for d, t in zip(drop, twin, strict=True)]
        ).reshape(-1, 2)
    return Susceptibility(drop, twin, drop - twin, interval, confidence)


def gap_closed(base: Accuracies, method: Accuracies, twin: Accuracies) -> Float[np.ndarray, "*n"]:
    """The share of the gap between a base (SimCLR) and its supervised twin (SupCon) that a method closes.

        (d_base - d_method) / (d_base - d_twin):  0 is the base, 1 the twin; below 0 and above 1 are possible

    Each argument holds relative drops (`relative_drop`, or a paper's printed percentages divided by 100), all of one
    shape or one value. A gap of few points makes it a ratio of noise; `against_twin` says whether there is one.

    Raises ValueError for drops that are not finite or above 1, shapes that do not fit, and where the base loses
    no more than its twin.

    Paper: Gupta et al. 2022, Table 4 (in green); the formula is not printed there. With the drops as printed, in whole
    percent, it gives 12 of the 16 cells to within 2 points; "up to 68 %" is 64.6 % of the accuracies themselves.
    """
    ours, better, best = (_drops(n, d) for n, d in (("base", base), ("method", method), ("twin", twin)))
    try:
        ours, better, best = np.broadcast_arrays(ours, better, best)
    except ValueError:
        raise ValueError(f"base, method and twin do not fit: {ours.shape}, {better.shape} and {best.shape}") from None
    if (ours <= best).any():
        raise ValueError("the base loses no larger share of its accuracy than its twin: there is no gap to close")
    return np.asarray((ours - better) / (ours - best))


def _drops(name: str, values: Accuracies) -> Float[np.ndarray, "*n"]:
    values = np.asarray(values, dtype=np.float64)
    wrong = values[~(np.isfinite(values) & (values <= 1))]
    if wrong.size:
        raise ValueError(f"{name} holds {wrong.flat[0]:g}, but a relative drop is at most 1 (71 % is 0.71)")
    return values


def _accuracies(name: str, values: Accuracies) -> Float[np.ndarray, "*n"]:
    values = np.asarray(values, dtype=np.float64)
    wrong = values[~((values >= 0) & (values <= 1))]
    if wrong.size or not values.size:
        found = f"{wrong.flat[0]:g}" if wrong.size else "nothing"
        raise ValueError(f"{name} holds {found}, but accuracies are fractions in [0, 1]")
    return values


def _newcombe(drop: float, right: float, twin: float, right_twin: float, confidence: float) -> tuple[float, float]:
    (low, high), (low_twin, high_twin) = _wilson(drop, right, confidence), _wilson(twin, right_twin, confidence)
    difference = drop - twin
    return (
        difference - math.hypot(drop - low, high_twin - twin),
        difference + math.hypot(high - drop, twin - low_twin),
    )


def _wilson(p: float, n: float, confidence: float) -> tuple[float, float]:
    q = NormalDist().inv_cdf(0.5 + confidence / 2)
    centre, half = p + q * q / (2 * n), q * math.sqrt(p * (1 - p) / n + q * q / (4 * n * n))
    return (centre - half) / (1 + q * q / n), (centre + half) / (1 + q * q / n)
