"""Data sets to which an encoder is transferred: training, validation and test images, in the size that it is given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from torch import Tensor

from sparring.config import DataConfig
from sparring.data import folder
from sparring.data.cifar import CIFAR, URL, load_cifar
from sparring.data.color import gray
from sparring.data.decode import Progress
from sparring.data.images import ImageSet, StreamedImages, held_out
from sparring.data.official import OTHER_NUMBERS, SOURCES, absent, splits
from sparring.data.sets import data_folder
from sparring.data.small import textures
from sparring.measuring import TransferConfig

HELD_OUT = 0.1
"""Share of every class's training images that validates where there is no official split."""
PART = 256
FEW = 96
"""Generated images of each part."""
NOISE = 0.6
"""Of generated images: an untrained encoder gets half to three quarters of the four classes right, not all."""


@dataclass(frozen=True)
class Target:
    """One data set with its three parts."""

    train: ImageSet
    val: ImageSet
    test: ImageSet
    selection: str
    """How it was divided, in words."""


def open_target(name: str, config: TransferConfig, size: int, *, progress: Progress | None = None) -> Target:
    """The data set `name` (of `measuring.TRANSFER`); ValueError in one sentence if it is not there or damaged.

    Images of files are streamed at `size`; CIFAR's stay as they are until `batches` resizes them.
    """
    if config.generated:
        train, test = textures(16, NOISE)
        val, train = train.select(torch.arange(FEW)), train.select(torch.arange(FEW, 2 * FEW))
        return Target(train, val, test.select(torch.arange(FEW)), f"generated textures in the place of {name}")
    root = _root(name, config)
    if name in CIFAR:
        train, test = load_cifar(name, root, download=config.download, progress=progress)
        official, complete = None, True
    else:
        parts = splits(name, root, seed=config.seed, download=config.download, progress=progress)

        def opened(listing: folder.Listing) -> ImageSet:
            read = folder.read(listing, name, image_size=size, stream=True, workers=config.workers, progress=progress)
            assert isinstance(read.images, StreamedImages)
            streamed = StreamedImages(read.images.files, size, config.workers, "bicubic")
            return ImageSet(streamed, read.labels, read.classes, name)

        complete = parts.sizes == SOURCES[name].sizes
        train, test = opened(parts.train), opened(parts.test)
        official = opened(parts.val) if parts.val else None
    divided = "official splits" if name != "caltech101" else f"30 training images a class drawn by seed {config.seed}"
    note = "" if complete else f"; {OTHER_NUMBERS}"
    if official is not None:
        return Target(train, official, test, divided + note)
    kept, out = held_out(train.labels, len(train), HELD_OUT, config.seed)
    words = f"{divided}, a tenth of every class's training images held out by seed {config.seed} to validate{note}"
    return Target(train.select(kept), train.select(out), test, words)


def missing(name: str, config: TransferConfig) -> str | None:
    """Why the data set cannot be opened, if its folder is absent or empty and it is not downloaded; a look, no more."""
    if config.generated:
        return None
    root = _root(name, config)
    if root.is_dir() and any(entry.name[0] != "." for entry in root.iterdir()):  # hidden: of a download that was killed
        return None
    downloads = name in CIFAR or not SOURCES[name].why_not
    if config.download and downloads:
        return None
    if name in CIFAR:
        return f"{name} is not in {root}: put {CIFAR[name].binary} (from {URL}) there, or ask for it with data.download"
    return absent(name, root)


def _root(name: str, config: TransferConfig) -> Path:
    return data_folder(DataConfig(name=name, root=config.root and str(Path(config.root) / name)))


def batches(images: ImageSet, size: int, channels: int) -> Iterator[UInt8[Tensor, "b C S S"]]:
    """The images in their order, `size` x `size`; gray (ITU-R 601) where the encoder has one channel."""
    stored = images.images
    for batch in stored.split(PART) if isinstance(stored, Tensor) else stored:
        if batch.shape[-2:] != (size, size):
            resized = F.interpolate(batch.float(), (size, size), mode="bicubic", antialias=True)
            batch = resized.round_().clamp_(0, 255).to(torch.uint8)
        if channels == 1 and batch.shape[1] == 3:
            batch = gray(batch.float()).round_().clamp_(0, 255).to(torch.uint8)
        yield batch
