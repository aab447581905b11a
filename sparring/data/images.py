"""A set of labelled images: in memory as uint8, or decoded from files batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Int64, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from sparring.data.decode import Resample, decode
from sparring.data.views import seeded

STREAM_BATCH = 256


@dataclass(frozen=True)
class StreamedImages(Dataset[Tensor]):
    """Images that stay in their files and are decoded when asked for, all to the same size.

    `images[i]` is one image, uint8 [3 S S], `images[index]` several; iterating gives batches of all in their order,
    decoded by worker processes.
    """

    files: tuple[Path, ...]
    size: int
    workers: int = 2
    resample: Resample = "bilinear"
    resize: int | None = None
    """To what the shorter side is resized before the centre is cropped; None is `size`."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """n, channels, height, width."""
        return len(self.files), 3, self.size, self.size

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int | Int64[Tensor, " k"]) -> UInt8[Tensor, "*k C H W"]:
        if isinstance(index, int):
            return decode(self.files[index], self.size, self.resample, self.resize)
        return torch.stack([decode(self.files[i], self.size, self.resample, self.resize) for i in index.tolist()])

    def __iter__(self) -> Iterator[UInt8[Tensor, "b C H W"]]:
        try:
            yield from DataLoader(self, STREAM_BATCH, num_workers=self.workers)
        except ValueError as error:  # a worker's has its traceback as its message; the last line is the sentence
            raise ValueError(str(error).strip().splitlines()[-1].removeprefix("ValueError: ")) from None

    def select(self, index: Int64[Tensor, " k"]) -> StreamedImages:
        """Only these images, in this order."""
        return replace(self, files=tuple(self.files[i] for i in index.tolist()))


@dataclass(frozen=True)
class ImageSet:
    """Images and what is known of them."""

    images: UInt8[Tensor, "n C H W"] | StreamedImages
    labels: Int64[Tensor, " n"] | None
    """Index into `classes`; None if the images have no labels."""
    classes: tuple[str, ...]
    name: str
    """As figures and reports show it; an image folder is folder:NAME, whatever images it holds."""

    def __len__(self) -> int:
        return len(self.images)

    @property
    def channels(self) -> int:
        """1 or 3."""
        return self.images.shape[1]

    @property
    def image_size(self) -> int:
        """Pixels a side; images are square."""
        return self.images.shape[-1]

    def select(self, index: Int64[Tensor, " k"]) -> ImageSet:
        """Only these images, in this order."""
        images = self.images.select(index) if isinstance(self.images, StreamedImages) else self.images[index]
        return replace(self, images=images, labels=None if self.labels is None else self.labels[index])


def balanced(labels: Int64[Tensor, " n"], count: int, seed: int, purpose: str) -> Int64[Tensor, " k"]:
    """Ascending indices of a seeded random subset of `count` images, of each class as many as of any other.

    Where `count` is no multiple of the number of classes, or a class runs out of images, the others (drawn at random)
    fill up.
    """
    shuffled = torch.randperm(len(labels), generator=seeded(seed, purpose))
    grouped = shuffled[labels[shuffled].argsort(stable=True)]
    sizes = torch.bincount(labels[labels >= 0])
    rank = torch.arange(len(labels)) - (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
    # Every class's first images, then every class's second ones, ...: ties in the random order of `shuffled`.
    place = torch.empty_like(rank)
    place[grouped] = rank
    return shuffled[place[shuffled].argsort(stable=True)][:count].sort().values


def held_out(labels: Int64[Tensor, " n"] | None, n: int, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Ascending indices of a training and a held-out part: the same fraction of every class, one at least."""
    groups = torch.zeros(n, dtype=torch.int64) if labels is None else labels
    test = []
    for group in groups.unique().tolist():
        members = (groups == group).nonzero()[:, 0]
        order = torch.randperm(len(members), generator=seeded(seed, "held out", group))
        test.append(members[order[: max(1, round(fraction * len(members)))]])
    mask = torch.zeros(n, dtype=torch.bool)
    mask[torch.cat(test)] = True
    return (~mask).nonzero()[:, 0], mask.nonzero()[:, 0]


def resized(images: UInt8[Tensor, "n C H W"], size: int) -> UInt8[Tensor, "n C S S"]:
    """Images brought to size x size (bilinear, with antialias), in parts that keep the float copy small."""
    if images.shape[-2:] == (size, size):
        return images
    parts = [
        F.interpolate(part.float(), (size, size), mode="bilinear", antialias=True)
        .round_()
        .clamp_(0, 255)
        .to(torch.uint8)
        for part in images.split(1024)
    ]
    return torch.cat(parts)
