"""Judgements on the model under attack, from measured figures alone: does it hide its gradient, does it stand still?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sparring.evaluation.trust.check import Against, Check, Colour, answer, percent, some
from sparring.evaluation.trust.judge_attacks import STANDARD_ERRORS

BLIND_YELLOW, BLIND_RED = 0.01, 0.1
"""Share of images without a gradient: robust accuracy may be overstated by as much."""
UNDERFLOW = 87.0
"""exp(-87) is the smallest normal float32: behind a larger gap between two logits, softmax and cross-entropy are blind."""
REPEATABLE = 1e-5
"""Two forwards of the same batch, relative to the largest logit: float32 holds 7 digits, and some kernels add in any order."""
SEPARATE = 1e-3
"""The same for forwards that should agree but may take other kernels, such as an image among other neighbours."""
OTHER_DOMAIN = 0.1
"""How much more accurate on clean images the other batch norm may be before one wonders whether the right one is used."""


def nonzero_gradients(n: int, zero: int, zero_margin: int, not_finite: int) -> Check:
    """Of n right images: without a gradient of cross-entropy, of the margin, of either; with one that is not finite."""
    share = max(zero, zero_margin, not_finite) / n
    figures = {"right_images": n, "zero_cross_entropy": zero, "zero_margin": zero_margin, "not_finite": not_finite}
    colour: Colour = "red" if share > BLIND_RED else "yellow" if share > BLIND_YELLOW else "green"
    if colour == "green":
        fine = n - max(zero, zero_margin, not_finite)
        sentence = (
            f"Cross-entropy and margin have a finite gradient, not zero everywhere, on {fine} of {n} right images."
        )
    elif not_finite / n > BLIND_YELLOW:
        sentence = f"On {not_finite} of {n} right images the gradient is infinite or NaN, so attacks cannot follow it."
    elif zero_margin / n > BLIND_YELLOW:
        sentence = (
            f"On {zero_margin} of {n} right images even the margin of the logits has gradient 0 in every pixel: the model "
            "hides its gradient (rounding, thresholds), and attacks that need one are blind."
        )
    else:
        sentence = (
            f"On {zero} of {n} right images cross-entropy has gradient 0 in every pixel, but the margin of the logits has "
            "not: softmax is saturated, so believe attacks on margin or DLR, not those on cross-entropy."
        )
    return answer("nonzero_gradients", colour, sentence, figures)


def no_gradient(reason: str) -> Check:
    """The model cannot be differentiated at all."""
    sentence = (
        f"The model cannot be differentiated with respect to the pixels, so no gradient attack says anything: {reason}"
    )
    return answer("nonzero_gradients", "red", sentence.rstrip(".") + ".", {})


def deterministic(n: int, difference: float, scale: float, changed: int) -> Check:
    """Two forwards of the same batches: the largest difference of a logit, the largest logit, and changed predictions."""
    relative = difference / scale if scale > 0 else 0.0
    figures = {"difference": difference, "relative_difference": relative, "changed_predictions": changed, "images": n}
    if changed or not relative <= REPEATABLE:
        sentence = (
            f"Two forwards of the same {n} images differ by up to {difference:.3g} in a logit (the largest is {scale:.3g}) "
            f"and in {changed} predictions: a randomised model needs attacks on the expectation over its randomness."
        )
        return answer("deterministic", "red", sentence, figures)
    sentence = f"Two forwards of the same {n} images agree: logits differ by at most {difference:.2g}, and no prediction changes."
    return answer("deterministic", "green", sentence, figures)


def logits(n: int, probabilities: bool, median_gap: float, high_gap: float) -> Check:
    """Whether every output row is non-negative and sums to 1; median and 90th percentile of the gap between the top two."""
    figures = {"probabilities": probabilities, "median_gap": median_gap, "gap_of_a_tenth": high_gap}
    if probabilities:
        sentence = (
            f"The outputs of all {n} images are at least 0 and sum to 1: they are probabilities, and another softmax on top "
            "flattens every gradient; hand over the model without its last softmax."
        )
        return answer("logits", "red", sentence, figures)
    if high_gap > UNDERFLOW:
        most = median_gap > UNDERFLOW
        sentence = (
            f"The two highest logits lie {median_gap if most else high_gap:.3g} apart or more on "
            f"{'half' if most else 'a tenth'} of the images; beyond {UNDERFLOW:.0f} softmax is exactly 0 and 1 in float32, and "
            "cross-entropy has no gradient."
        )
        return answer("logits", "red" if most else "yellow", sentence, figures)
    sentence = (
        f"The outputs are no probabilities, and the two highest lie {median_gap:.3g} apart in the median of {n} images."
    )
    return answer("logits", "green", sentence, figures)


def evaluation_mode(
    *,
    training: Sequence[str],
    mode_matters: float | None,
    untrained: Sequence[str],
    neighbours: float | None,
    domain: str | None,
    n: int,
    clean: int,
    other: tuple[str, Against] | None,
) -> Check:
    """The state in which the model was handed over.

    `training`: parts that ran in training mode; `mode_matters`: by how much that changes the logits, relative to the largest.
    `neighbours`: by how much the other images of a batch change an image's logits, likewise. Both are None if the model is
    randomised, which hides it. `untrained`: batch norms in use that never saw a batch. `domain`: which of two batch norms is
    in use, with `clean` of n images right; `other`: the other one, and images right there (first) against here (second).
    """
    figures: dict[str, Any] = {
        "parts_in_training_mode": len(training), "change_by_mode": mode_matters, "change_by_neighbours": neighbours,
        "untrained_batch_norms": len(untrained),
    }  # fmt: skip
    said, lead = "", 0.0
    if domain is not None and other is not None:
        figures |= {"domain": domain, "clean_accuracy": clean / n, "clean_accuracy_of_the_other": other[1].first / n}
        lead = (other[1].first - other[1].second) / n if other[1].z > STANDARD_ERRORS else 0.0
        said = (
            f" The batch norms are those of domain {domain}, with {percent(clean / n)} of {n} images right "
            f"({percent(other[1].first / n)} with those of domain {other[0]})."
        )
    faults = []
    if training and (mode_matters is None or mode_matters > SEPARATE):
        faults.append(f"{some(training)} ran in training mode, which changes the outputs; call model.eval()")
    if neighbours is not None and neighbours > SEPARATE:
        faults.append(f"the other images of its batch change an image's logits by {percent(neighbours)} of the largest")
    if untrained:
        faults.append(f"the batch norm in use never saw a batch of its own ({some(untrained)})")
    if faults:
        return answer("evaluation_mode", "red", _sentence("; ".join(faults)) + said, figures)
    if training:
        sentence = f"{some(training)} ran in training mode; it changes nothing here, but call model.eval()"
        return answer("evaluation_mode", "yellow", _sentence(sentence) + said, figures)
    if lead > OTHER_DOMAIN:
        return answer("evaluation_mode", "yellow", f"{said.strip()} Is it the domain that you mean?", figures)
    alone = "" if neighbours is None else ", and the other images of its batch do not change an image's logits"
    return answer("evaluation_mode", "green", f"Every part ran in evaluation mode{alone}.{said}", figures)


def _sentence(clause: str) -> str:
    return f"{clause[0].upper()}{clause[1:]}."
