"""The training images of one process, epoch by epoch, in an order that follows from (seed, epoch) alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from sparring.data import ImageSet
from sparring.training.randomness import generator


class ShuffledBatches:
    """Iterating gives one epoch of (images uint8 [b C H W], labels [b] or None), b = batch_size / world_size.

    A permutation of all images is cut into global batches (the incomplete last one is left out); a process takes the
    slice of its rank, so the ranks' batches together, in order, are the batch that one process would see. `position`
    tells the epoch to iterate and the step to begin with. It has no length: a resumed epoch is shorter.
    Images in memory are indexed where they are (on the GPU if they were moved there), others are decoded by workers.
    """

    def __init__(
        self,
        images: ImageSet,
        *,
        batch_size: int,
        seed: int,
        position: Callable[[], tuple[int, int]],
        rank: int = 0,
        world_size: int = 1,
        device: torch.device | str = "cpu",
    ) -> None:
        kept = images.images
        self.images = kept.to(device) if isinstance(kept, Tensor) else kept
        self.labels = None if images.labels is None else images.labels.to(device)
        self.batch_size = batch_size
        self.seed = seed
        self.position = position
        self.rank = rank
        self.world_size = world_size

    def indices(self) -> Iterator[Tensor]:
        """Which images each step of the epoch shows to this process."""
        epoch, first = self.position()
        total, own = len(self.images), self.batch_size // self.world_size
        order = torch.randperm(total, generator=generator(self.seed, "order", epoch))
        for step in range(first, total // self.batch_size):
            start = step * self.batch_size + self.rank * own
            yield order[start : start + own]

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        indices = list(self.indices())
        if isinstance(self.images, Tensor):
            batches = (self.images[index.to(self.images.device)] for index in indices)
        else:
            batches = DataLoader(
                self.images,
                batch_sampler=[index.tolist() for index in indices],  # pyright: ignore[reportArgumentType]
                num_workers=self.images.workers,
            )
        for index, images in zip(indices, batches, strict=True):
            yield images, None if self.labels is None else self.labels[index.to(self.labels.device)]
