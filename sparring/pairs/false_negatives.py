"""False negatives: images of the anchor's class that compete with it. Selectors that suspect, remove and replace them.

All start from `same_image`. With B images in the batch, in epoch t (from 0), the k images whose embeddings lie nearest
to the anchor (largest cosine of the loss's own embeddings, detached) leave its negatives:

| selector | k |
|---|---|
| Frequency(classes C) | floor(B / C) |
| Precision(every N) | floor(t / N) |
| Recall(every N, parts R) | max(0, floor(B/2 - floor(t / N) B/R)) |
| PseudoLabels() | all images of the anchor's cluster, which become positives |

Neither the anchor nor a view of its own image ever leaves, and at least one other image stays: k is at most B - 2.

- `unit="instance"`: an image counts by the nearest of its views, and leaves with all of them. "view": V k rows leave, each
  by itself, so that as many rows leave of V views; not for methods in which one view stands for another (RoCL, CLAE).
- `replacement="none"`: the removed are missing in the denominator. "resample": as many as were removed are drawn, with
  replacement, from the anchor's remaining negatives, and weigh once more for each time (phi of the paper, with the
  batch for the training data). "rescale": the remaining n - k of n weigh n / (n - k), which is the mean of that.
  The sum of an anchor's weights over its negatives stays n. With whole images it does so in each view.

`rows.z` is `[N, D]`, masks and weights are `[N, N]` on its device. All raise ValueError if what they need is None or not
one a row. Nothing here reads `rows.labels`.

Paper: Gupta et al. 2022, "On Higher Adversarial Susceptibility of Contrastive Self-Supervised Learning", section 5
("removal"), section 6 and eq. 6 ("replacement").
Code: none was published.
Differs from: nothing that is known; the paper leaves open what is read here as: instances are counted, not rows; "largest
distances" (section 5) are largest similarities, as its four strategies say; whole parts of the counts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sparring.pairs.replacement import Replacement, Unit, images_of, replaced
from sparring.pairs.same_image import same_image
from sparring.pairs.same_label import same_label
from sparring.types import Pairs, Rows


@dataclass(frozen=True)
class Frequency:
    """Frequency prior: without the B / C images nearest to the anchor, as many as share its class on average.

    `classes`: the assumed number of classes C.
    """

    classes: int
    unit: Unit = "instance"
    replacement: Replacement = "none"

    def __post_init__(self) -> None:
        _at_least_one(self, "classes")

    def count(self, images: int, epoch: int) -> int:
        """How many images leave an anchor's negatives."""
        return _all_but_one(images // self.classes, images)

    def __call__(self, rows: Rows) -> Pairs:
        """`same_image` without the suspects."""
        return _without_nearest(self, rows)


@dataclass(frozen=True)
class Precision:
    """Precision strategy: without the k nearest images, one more of them every N epochs, none at first.

    `every`: N epochs.
    """

    every: int = 100
    unit: Unit = "instance"
    replacement: Replacement = "none"

    def __post_init__(self) -> None:
        _at_least_one(self, "every")

    def count(self, images: int, epoch: int) -> int:
        """How many images leave an anchor's negatives."""
        return _all_but_one(epoch // self.every, images)

    def __call__(self, rows: Rows) -> Pairs:
        """`same_image` without the suspects."""
        return _without_nearest(self, rows)


@dataclass(frozen=True)
class Recall:
    """Recall strategy: without the nearer half of the batch at first, a part of B / R images less every N epochs.

    `every`: N epochs; `parts`: R.
    """

    every: int = 75
    parts: int = 16
    unit: Unit = "instance"
    replacement: Replacement = "none"

    def __post_init__(self) -> None:
        _at_least_one(self, "every")
        _at_least_one(self, "parts")

    def count(self, images: int, epoch: int) -> int:
        """How many images leave an anchor's negatives."""
        left = images * (self.parts - 2 * (epoch // self.every)) // (2 * self.parts)
        return _all_but_one(max(0, left), images)

    def __call__(self, rows: Rows) -> Pairs:
        """`same_image` without the suspects."""
        return _without_nearest(self, rows)


@dataclass(frozen=True)
class PseudoLabels:
    """Pseudo-labels: `same_label` with the cluster of each image as its label; SupCon without labels.

    P(i) = {p != i : cluster_p = cluster_i}, A(i) = {k != i}. With a replacement the remaining negatives weigh as much as
    those of `same_image`.
    """

    replacement: Replacement = "none"

    def __call__(self, rows: Rows) -> Pairs:
        """`same_label` of `rows.pseudo`."""
        if rows.pseudo is None:
            raise ValueError(
                "pseudo is None, but PseudoLabels needs the cluster of each row's image: pass Batch.pseudo_labels"
            )
        base, pairs = same_image(rows), same_label(replace(rows, labels=rows.pseudo))
        return replaced(pairs, base, self.replacement, "instance", rows)


def _without_nearest(selector: Frequency | Precision | Recall, rows: Rows) -> Pairs:
    """`same_image` without the suspects that the selector's schedule and its unit say."""
    base, (image, images) = same_image(rows), images_of(rows)
    nearest = selector.count(images, rows.epoch)
    if nearest == 0:
        return base
    similarity = _similarity(rows).masked_fill_(~base.negative, -torch.inf)
    if selector.unit == "instance":
        similarity = _by_image(similarity, image, images)
    else:
        nearest *= len(rows.image) // images
    suspects = torch.zeros_like(similarity, dtype=torch.bool)
    suspects.scatter_(1, similarity.topk(nearest, dim=1).indices, True)
    if selector.unit == "instance":
        suspects = suspects[:, image]
    pairs = Pairs(base.positive, base.contrast & ~(suspects & base.negative))
    return replaced(pairs, base, selector.replacement, selector.unit, rows)


def _similarity(rows: Rows) -> Float[Tensor, "N N"]:
    """Cosines of all rows, in float32 at least."""
    if rows.z is None:
        raise ValueError("z is None, but suspects are ranked by the embeddings of the rows: pass z")
    if len(rows.z) != len(rows.image):
        raise ValueError(f"z has {len(rows.z)} entries for {len(rows.image)} rows: one a row is needed")
    with torch.autocast(rows.z.device.type, enabled=False):
        z = F.normalize(rows.z.detach().to(torch.promote_types(rows.z.dtype, torch.float32)), dim=1)
        return z @ z.T


def _by_image(values: Tensor, image: Tensor, images: int) -> Tensor:
    """The largest value over the views of each image, [N, images]."""
    by_image = values.new_full((len(values), images), -torch.inf)
    return by_image.scatter_reduce_(1, image.expand(len(values), -1), values, "amax")


def _all_but_one(count: int, images: int) -> int:
    return max(0, min(count, images - 2))


def _at_least_one(selector: object, name: str) -> None:
    if getattr(selector, name) < 1:
        raise ValueError(f"{type(selector).__name__}: {name} must be at least 1, not {getattr(selector, name)}")
