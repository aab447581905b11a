"""Which rows of a batch a selector chose: how many per anchor, and which of one anchor (002, Figs. 4 and 9)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sparring.types import Pairs


@dataclass(frozen=True)
class SelectionCounts:
    """Mean numbers per anchor, one entry a view of the keys: with rows [clean; adversarial], index 0 is clean."""

    positives: Float[np.ndarray, " V"]
    negatives: Float[np.ndarray, " V"]


@dataclass(frozen=True)
class Selected:
    """Images (0 ... B - 1 of the batch) chosen for one anchor, one array a view: the four rows of Fig. 9."""

    positives: tuple[Int[np.ndarray, " _"], ...]
    negatives: tuple[Int[np.ndarray, " _"], ...]


def selection_counts(pairs: Pairs, views: int = 2) -> SelectionCounts:
    """Mean over anchors of |P(i)| and of |A(i) \\ P(i)|, for the keys of every view apart: Fig. 4b; summed, Fig. 4a.

    `pairs` is `[N M]`, keys stacked view-major (ASCL: [clean; adversarial], `views=2`). The anchor's own counterpart
    counts as a positive where the selector chose it: ASCL's 26.4 positives and 228.6 negatives at batch 128 with ten
    classes are 2 x 12.7 + 1 and 2 x 114.3. `pairs[:B, :]` gives the counts of the clean anchors alone.

    Raises ValueError for masks without anchors, and for keys that do not divide into `views` views.

    Paper: Bui et al. 2021 (ASCL), Fig. 4, section 4.3 ("the average number of positive and negatives samples per
    batch", over anchors). Differs from: nothing.
    """
    _check(pairs, views)

    def per_view(mask: Bool[Tensor, "N M"]) -> Float[np.ndarray, " V"]:
        return mask.unflatten(1, (views, -1)).sum(dim=2).double().mean(dim=0).cpu().numpy()

    return SelectionCounts(positives=per_view(pairs.positive), negatives=per_view(pairs.contrast & ~pairs.positive))


def selected(pairs: Pairs, anchor: int, views: int = 2) -> Selected:
    """The images of P(i) and of A(i) \\ P(i) of anchor i, for the keys of every view apart, in the batch's order.

    `pairs` is `[N M]`, keys stacked view-major; `anchor` is a row of it (with rows [clean; adversarial] of B images,
    image b's adversarial example is anchor B + b). To follow an anchor over training, give the masks of the same batch
    at several epochs, one call each. An image may stand in one view's selection alone: copies are chosen apart.

    Raises ValueError for an anchor that is no row of `pairs`, and for keys that do not divide into `views` views.

    Paper: Bui et al. 2021 (ASCL), section 8.3, Fig. 9. Differs from: nothing.
    """
    _check(pairs, views)
    if not 0 <= anchor < len(pairs.positive):
        raise ValueError(f"anchor is {anchor}, but pairs has the anchors 0 to {len(pairs.positive) - 1}")

    def per_view(row: Bool[Tensor, " M"]) -> tuple[Int[np.ndarray, " _"], ...]:
        return tuple(view.nonzero().flatten().cpu().numpy() for view in row.unflatten(0, (views, -1)))

    positive, contrast = pairs.positive[anchor], pairs.contrast[anchor]
    return Selected(positives=per_view(positive), negatives=per_view(contrast & ~positive))


def _check(pairs: Pairs, views: int) -> None:
    anchors, keys = pairs.positive.shape
    if not anchors:
        raise ValueError("pairs has no anchors: nothing was selected")
    if views < 1 or keys % views:
        raise ValueError(f"views is {views}, but must be at least 1 and divide the {keys} keys of pairs")
