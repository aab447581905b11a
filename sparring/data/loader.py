"""Batches of one epoch, in an order that is a function of (seed, epoch) alone."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor
from torch.utils.data import DataLoader

from sparring.data.images import ImageSet, StreamedImages
from sparring.data.views import seeded


class Batches:
    """Iterating gives one epoch of (images uint8 [b C H W], labels [b] or None, index [b]) on `device`.

    A seeded permutation of all images is cut into batches of `batch_size`, of which the incomplete last one is left
    out. Of each, process `rank` of `world_size` gets its equal contiguous part, so that the processes together see the
    batch of one process. Nothing else is remembered: `set_epoch(e, s)` continues any epoch at any step to the bit.

    Images in memory are moved to `device` at once; streamed ones are decoded by `StreamedImages.workers` processes.
    """

    def __init__(
        self,
        train: ImageSet,
        batch_size: int,
        *,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        device: torch.device | str = "cpu",
    ) -> None:
        if batch_size < 2:
            raise ValueError(f"batch_size: {batch_size}; contrast needs at least 2 images")
        if batch_size > len(train):
            raise ValueError(f"batch_size: {batch_size}, but {train.name} has only {len(train)} training images")
        if batch_size % world_size:
            raise ValueError(f"batch_size: {batch_size} cannot be split evenly over {world_size} processes")
        if not 0 <= rank < world_size:
            raise ValueError(f"rank: {rank} is not one of {world_size} processes")
        self.batch_size, self.seed, self.rank, self.world_size = batch_size, seed, rank, world_size
        self.device = torch.device(device)
        self.images = train.images.to(self.device) if isinstance(train.images, Tensor) else train.images
        self.labels = None if train.labels is None else train.labels.to(self.device)
        self.set_epoch(0)

    def set_epoch(self, epoch: int, first_step: int = 0) -> None:
        """Which epoch the next iteration gives, and from which of its steps on."""
        self.epoch, self.first_step = epoch, first_step

    def __len__(self) -> int:
        return len(self.images) // self.batch_size - self.first_step

    def order(self) -> Int64[Tensor, "steps batch"]:
        """Which images each step of the epoch shows, to all processes together."""
        order = torch.randperm(len(self.images), generator=seeded(self.seed, "order", self.epoch))
        steps = len(self.images) // self.batch_size
        return order[: steps * self.batch_size].view(steps, self.batch_size)

    def __iter__(self) -> Iterator[tuple[UInt8[Tensor, "b C H W"], Int64[Tensor, " b"] | None, Int64[Tensor, " b"]]]:
        own = self.order().unflatten(1, (self.world_size, -1))[self.first_step :, self.rank]
        for index, images in zip(own.to(self.device), self._images(own), strict=True):
            yield images, None if self.labels is None else self.labels[index], index

    def _images(self, own: Int64[Tensor, "steps b"]) -> Iterator[UInt8[Tensor, "b C H W"]]:
        if isinstance(self.images, StreamedImages):
            loader = DataLoader(
                self.images,
                batch_sampler=own.tolist(),
                num_workers=self.images.workers,
                pin_memory=self.device.type == "cuda",
            )
            for images in loader:
                yield images.to(self.device, non_blocking=True)
        else:
            for index in own.to(self.device):
                yield self.images[index]
