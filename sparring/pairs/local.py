"""Local selection (ASCL): the classifier's own predictions say which rows matter to an anchor.

With rows [clean; adversarial], labels y, each row's own prediction p, and anchor i:

| selector | positives of i | negatives of i |
|---|---|---|
| same_label ("global") | y_j = y_i | y_j != y_i |
| hard | y_j = y_i | y_j != y_i, p_j = y_i |
| soft | y_j = y_i | y_j != y_i, p_j = p_i |
| leaked | y_j = y_i, p_j = p_i, and always its own counterpart | y_j != y_i, p_j = p_i |
| leaked_official | y_j = y_i, p_j = p_i | y_j != y_i, p_j = p_i |

The anchor itself is in neither; its own counterpart is the other row (or rows) of the same image; A(i) is the positives
and the negatives together. Both masks are `[N, N]`, on the device of the labels.

All raise ValueError if `rows.labels` or `rows.prediction` is None or not one a row.

Paper: Bui et al. 2021, "Understanding and Achieving Efficient Robustness with Adversarial Supervised Contrastive
Learning", Table 1, whose sets leave both rows of image i out; eq. 1 and 2 then add the counterpart to the positives.
Code: tuananhbui89/ASCL, contrastive_losses_v2.py (`hard`, `soft`, `leaking`).
Differs from: Table 1 writes p_i, the clean image's prediction, for the adversarial anchor (eq. 2) as well; an adversarial
anchor has its own prediction here, as in the published code.
"""

from __future__ import annotations

from jaxtyping import Bool, Int
from torch import Tensor

from sparring.pairs.same_label import same_label
from sparring.types import Pairs, Rows


def hard(rows: Rows) -> Pairs:
    """Hard-LS: positives share the anchor's label; other rows compete if they are predicted to have it.

    P(i) = {j != i : y_j = y_i}, A(i) = P(i) u {j : y_j != y_i, p_j = y_i}. Differs from: nothing.
    """
    labels, prediction = _known(rows, "hard")
    return _select(rows, competes=labels[:, None] == prediction)


def soft(rows: Rows) -> Pairs:
    """Soft-LS: positives share the anchor's label; other rows compete if they are predicted as the anchor is.

    P(i) = {j != i : y_j = y_i}, A(i) = P(i) u {j : y_j != y_i, p_j = p_i}. Differs from: Table 1 as said above.
    """
    _, prediction = _known(rows, "soft")
    return _select(rows, competes=prediction[:, None] == prediction)


def leaked(rows: Rows) -> Pairs:
    """Leaked-LS: rows attract and compete only if predicted as the anchor is; its own counterpart always attracts.

    P(i) = {j != i : y_j = y_i, p_j = p_i or image_j = image_i}, A(i) = P(i) u {j : y_j != y_i, p_j = p_i}. An image and
    its adversarial example "are always pulled close together" (section 3.2), so every anchor has a positive.

    Differs from: the published code, which is `leaked_official`; Table 1 as said above.
    """
    _, prediction = _known(rows, "leaked")
    alike = prediction[:, None] == prediction
    return _select(rows, competes=alike, attracts=alike | (rows.image[:, None] == rows.image))


def leaked_official(rows: Rows) -> Pairs:
    """Leaked-LS of the published code: its own counterpart, too, attracts only if predicted as the anchor is.

    P(i) = {j != i : y_j = y_i, p_j = p_i}, A(i) = {j != i : p_j = p_i}. An anchor may have no positive.

    Differs from: the paper, which is `leaked`.
    """
    _, prediction = _known(rows, "leaked_official")
    alike = prediction[:, None] == prediction
    return _select(rows, competes=alike, attracts=alike)


def _select(rows: Rows, *, competes: Bool[Tensor, "N N"], attracts: Bool[Tensor, "N N"] | None = None) -> Pairs:
    """Global selection, of which only some rows compete and only some of the anchor's label attract (and so compete)."""
    everyone = same_label(rows)
    positive = everyone.positive if attracts is None else everyone.positive & attracts
    return Pairs(positive=positive, contrast=positive | (everyone.contrast & competes))


def _known(rows: Rows, name: str) -> tuple[Int[Tensor, " N"], Int[Tensor, " N"]]:
    """Labels and predictions."""
    if rows.labels is None:
        raise ValueError(f"labels is None, but {name} needs one label a row: pass labels, or use same_image")
    if rows.prediction is None:
        raise ValueError(
            f"prediction is None, but {name} needs each row's predicted class: use it in a method with a classifier, "
            "or use same_label"
        )
    for field, values in (("labels", rows.labels), ("prediction", rows.prediction)):
        if len(values) != len(rows.image):
            raise ValueError(f"{field} has {len(values)} entries for {len(rows.image)} rows: one a row is needed")
    return rows.labels, rows.prediction
