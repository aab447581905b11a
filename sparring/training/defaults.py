"""What a configuration leaves open about the images: their size, their channels and their normalisation."""

from __future__ import annotations

from dataclasses import dataclass

from sparring.config import RunConfig


@dataclass(frozen=True)
class ImageDefaults:
    """Side in pixels, channels, and per-channel mean and standard deviation where a paper uses them."""

    image_size: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


HALF = (0.5, 0.5, 0.5)
DEFAULTS = {
    "digits": ImageDefaults(16, 1, HALF[:1], HALF[:1]),
    "fashion-mnist": ImageDefaults(28, 1, HALF[:1], HALF[:1]),
    "cifar10": ImageDefaults(32, 3, (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "cifar100": ImageDefaults(32, 3, (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
}
FOLDER = ImageDefaults(32, 3, HALF, HALF)


def data_defaults(name: str) -> ImageDefaults:
    """The defaults of a data set; image folders and synthetic images are RGB at 32 pixels."""
    return DEFAULTS.get(name, FOLDER)


def normalisation(config: RunConfig) -> tuple[list[float], list[float]]:
    """Mean and standard deviation per channel: 0.5 for simclr and clae over it, else the data set's.

    Facts of chihhuiho/CLAE: SimCLR normalises by 0.5, Plain and UEL by CIFAR's own statistics; eps in normalised units
    is therefore not one attack strength across methods.
    """
    defaults = data_defaults(config.data.name)
    if (config.method.base or config.method.name) == "simclr":
        half = [0.5] * defaults.channels
        return half, list(half)
    return list(defaults.mean), list(defaults.std)
