"""Images that are loaded once by a process that trains and measures many times on them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from sparring.config import DataConfig
from sparring.data import sets
from sparring.data.decode import Progress
from sparring.data.images import ImageSet

FEW = 4
"""Data sets that are kept: the seeds of a grid take their subsets in turn."""
_kept: dict[str, tuple[ImageSet, ImageSet]] = {}
_keeping = 0


@contextmanager
def images_kept() -> Iterator[None]:
    """Inside the block `load_images` returns what it loaded before in such a block, whatever became of the files since."""
    global _keeping
    _keeping += 1
    try:
        yield
    finally:
        _keeping -= 1


def load_images(config: DataConfig, *, seed: int, progress: Progress | None = None) -> tuple[ImageSet, ImageSet]:
    """Training and evaluation images. `seed` decides held-out parts and subsets, nothing else.

    `progress` is called with (done, total): files of a folder, bytes of a download. ValueError in one sentence when
    something is missing, damaged or contradictory.
    """
    if not _keeping:
        return sets.load_images(config, seed=seed, progress=progress)
    key = repr((replace(config, views=None), seed))
    if key not in _kept:
        if len(_kept) == FEW:
            del _kept[next(iter(_kept))]
        _kept[key] = sets.load_images(config, seed=seed, progress=progress)
    return _kept[key]
