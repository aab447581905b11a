"""Pipelines of augmentations that turn a batch of images into its views, and the seeds that make views repeatable.

Views are float in [0, 1], stacked view-major [V B C H W], and not normalised: normalisation is the encoder's first
layer. V is 2 for contrastive training, 1 for supervised training.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Generator, Tensor

from sparring.data.augment import (
    Augmentation,
    ColorJitter,
    RandomCrop,
    RandomGrayscale,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomRotation,
    RandomShift,
    Resize,
)

PART = 128
"""Images that a CPU takes through a whole pipeline together: what is between its operations then stays in the cache."""

SMALLEST_AREA = 0.05
"""Of a further, smaller crop, as a share of the image (SwAV)."""


@dataclass(frozen=True)
class Pipeline:
    """Augmentations in their order, and what they are for."""

    line: str
    operations: tuple[Augmentation, ...]
    views: int = 2
    """How many views are made of an image."""

    def __call__(
        self, images: Shaped[Tensor, "B C H W"], generator: Generator, *, rank: int = 0, world_size: int = 1
    ) -> Float[Tensor, "V B C S S"]:
        """The views of each image, every one with parameters of its own.

        `images`: uint8, or float in [0, 1], on any device. `generator`: on the CPU; it alone decides, whatever the
        device. `rank`, `world_size`: `images` are the rank-th of so many equal parts of a batch; parameters are drawn
        for the whole batch, so that the parts together see the views that one process would see.
        """
        if generator.device.type != "cpu":
            raise ValueError(
                f"generator: views are drawn on the CPU so that every device sees the same; it is on {generator.device}"
            )
        n = len(images)
        part = PART if images.device.type == "cpu" else n
        drawn: list[tuple[Tensor, ...]] = []
        views: list[Tensor] = []
        for start in range(0, n, part):
            x = images[start : start + part]
            rows = slice(rank * n + start, rank * n + start + len(x))
            x = torch.cat([x / 255 if x.dtype == torch.uint8 else x] * self.views)
            for k, operation in enumerate(self.operations):
                if len(drawn) == k:  # for all images at once, when the first part gets here
                    drawn.append(operation.draw(self.views * world_size * n, (x.shape[-2], x.shape[-1]), generator))
                x = operation.apply(x, *(p.unflatten(0, (self.views, -1))[:, rows].flatten(0, 1) for p in drawn[k]))
            views.append(x.unflatten(0, (self.views, -1)))
        return torch.cat(views, dim=1).clamp_(0, 1)  # interpolation rounds


def pipeline(name: str, image_size: int) -> Pipeline:
    """The pipeline `name` (see `pipeline_names`) whose views have `image_size` pixels a side.

    Two views. simclr, uel: chihhuiho/CLAE, SimCLR and Plain/UEL; supcon: HobbitLong/SupContrast, main_supcon.py; rocl:
    Kim-Minseon/RoCL, data_loader.py; acl: VITA-Group/Adversarial-Contrastive-Learning, train_simCLR.py; swav:
    facebookresearch/swav, src/multicropdataset.py; operations in the published order, no blur.

    Differs from all: values are not rounded to 8 bits between operations (there: PIL images), and normalisation is
    left to the encoder.

    One view, for classifiers. crop-flip: tuananhbui89/ASCL, dataset.py, and TRADES; shift-flip: ASCL, section 4.1 and
    supplement ("random horizontal flips and random shifts with scale 10%"), which does not say how edges are filled:
    they are repeated, the default of the library whose recipe it follows (Pang et al. 2019, in Keras).
    """
    if image_size < 1:
        raise ValueError(f"image_size: {image_size}; a view has at least 1 pixel a side")
    pipelines = {
        "simclr": Pipeline(
            "SimCLR at CIFAR size: crop (area 0.08-1), flip, strong colour jitter in 4 of 5, gray in 1 of 5",
            (
                RandomResizedCrop(image_size, scale=(0.08, 1.0)),
                RandomHorizontalFlip(),
                ColorJitter(0.8, 0.8, 0.8, 0.2, p=0.8),
                RandomGrayscale(0.2),
            ),
        ),
        "uel": Pipeline(
            "Plain and UEL: crop (area 0.2-1), colour jitter always, gray in 1 of 5, flip",
            (
                RandomResizedCrop(image_size, scale=(0.2, 1.0)),
                ColorJitter(0.4, 0.4, 0.4, 0.4),
                RandomGrayscale(0.2),
                RandomHorizontalFlip(),
            ),
        ),
        "supcon": Pipeline(
            "SupCon at CIFAR size: crop (area 0.2-1), flip, colour jitter in 4 of 5, gray in 1 of 5",
            (
                RandomResizedCrop(image_size, scale=(0.2, 1.0)),
                RandomHorizontalFlip(),
                ColorJitter(0.4, 0.4, 0.4, 0.1, p=0.8),
                RandomGrayscale(0.2),
            ),
        ),
        "supcon-ce": Pipeline(
            "one view for classifiers: as supcon with a quarter of its colour jitter, half its hue (003, appendix B.3)",
            (
                RandomResizedCrop(image_size, scale=(0.2, 1.0)),
                RandomHorizontalFlip(),
                ColorJitter(0.1, 0.1, 0.1, 0.05, p=0.8),
                RandomGrayscale(0.2),
            ),
            views=1,
        ),
        "rocl": Pipeline(
            "RoCL: colour jitter in 4 of 5, gray in 1 of 5, flip, crop (area 0.08-1), in this order",
            (
                ColorJitter(0.4, 0.4, 0.4, 0.1, p=0.8),
                RandomGrayscale(0.2),
                RandomHorizontalFlip(),
                RandomResizedCrop(image_size, scale=(0.08, 1.0)),
            ),
        ),
        "acl": Pipeline(
            "ACL: bicubic crop (area 0.1-1), flip, colour jitter in 4 of 5, gray in 1 of 5",
            (
                RandomResizedCrop(image_size, scale=(0.1, 1.0), interpolation="bicubic"),
                RandomHorizontalFlip(),
                ColorJitter(0.4, 0.4, 0.4, 0.1, p=0.8),
                RandomGrayscale(0.2),
            ),
        ),
        "swav": Pipeline(
            "SwAV at CIFAR size: crop (area 0.14-1), flip, strong colour jitter in 4 of 5, gray in 1 of 5",
            (
                RandomResizedCrop(image_size, scale=(0.14, 1.0)),
                RandomHorizontalFlip(),
                ColorJitter(0.8, 0.8, 0.8, 0.2, p=0.8),
                RandomGrayscale(0.2),
            ),
        ),
        "digits": Pipeline(
            "characters and other shapes with a handedness: crop (area 0.5-1), rotation, brightness, contrast; no flip",
            (
                RandomRotation(15.0),
                RandomResizedCrop(image_size, scale=(0.5, 1.0)),
                ColorJitter(brightness=0.4, contrast=0.4),
            ),
        ),
        "crop-flip": Pipeline(
            "one view for classifiers: crop of the image with 4 black pixels around it, flip",
            (Resize(image_size), RandomCrop(4), RandomHorizontalFlip()),
            views=1,
        ),
        "shift-flip": Pipeline(
            "one view for classifiers: shift by up to a tenth of the image, edges repeated, flip",
            (Resize(image_size), RandomShift(0.1), RandomHorizontalFlip()),
            views=1,
        ),
        "none": Pipeline("the image itself, twice", (Resize(image_size),)),
    }
    if name not in pipelines:
        raise ValueError(f"views: {name!r} is none of {', '.join(pipelines)}{nearest(name, pipelines)}")
    return pipelines[name]


def pipeline_names() -> dict[str, str]:
    """Every pipeline's name with one line about it."""
    names = ("simclr", "uel", "supcon", "supcon-ce", "rocl", "acl", "swav", "digits", "crop-flip", "shift-flip", "none")
    return {name: pipeline(name, 1).line for name in names}


def half(side: int) -> int:
    """The side of a further, smaller crop in pixels: half of a view's, rounded up."""
    return (side + 1) // 2


def small_crops(pipeline: Pipeline, count: int) -> Pipeline:
    """`count` further views of half the side: the same augmentations, but crops whose area ends where that of
    the large ones begins (SwAV: 0.05-0.14 below 0.14-1).

    Raises ValueError for a pipeline that crops no random box.
    """
    operations = tuple(
        replace(
            operation,
            size=half(operation.size),
            scale=(min(SMALLEST_AREA, operation.scale[0]), operation.scale[0]),
        )
        if isinstance(operation, RandomResizedCrop)
        else operation
        for operation in pipeline.operations
    )
    if operations == pipeline.operations:
        raise ValueError(f"crops: {count} further views need a pipeline with random crops, unlike {pipeline.line!r}")
    return replace(pipeline, operations=operations, views=count)


def make_views(
    images: Shaped[Tensor, "B C H W"],
    pipeline: Pipeline,
    *,
    seed: int,
    epoch: int,
    step: int,
    rank: int = 0,
    world_size: int = 1,
    purpose: str = "views",
) -> Float[Tensor, "V B C S S"]:
    """The views of step `step` of epoch `epoch`: the same whenever they are asked for, so resuming needs no state.

    In a data-parallel run `images` are process `rank`'s equal part of the batch and get the views that they would get
    in one process. Another `purpose` draws other ones.
    """
    return pipeline(images, seeded(seed, purpose, epoch, step), rank=rank, world_size=world_size)


def seeded(seed: int, purpose: str, *counters: int) -> Generator:
    """A CPU generator that depends on nothing but these arguments; different arguments give independent streams."""
    if seed < 0:
        raise ValueError(f"seed: {seed}; a seed is 0 or more")
    # The lengths and the purpose are entropy too: SeedSequence takes [1] and [1, 0] for the same.
    entropy = [seed, len(counters), *counters, *purpose.encode()]
    state = np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) & (2**63 - 1))


def nearest(name: str, names: object) -> str:
    """`; did you mean ...?` if one of the names is near, else nothing."""
    near = difflib.get_close_matches(name, [str(n) for n in names], n=1)  # pyright: ignore[reportGeneralTypeIssues]
    return f"; did you mean {near[0]!r}?" if near else ""
