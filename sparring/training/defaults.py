"""The normalisation that a configuration leaves open."""

from __future__ import annotations

from sparring.config import RunConfig
from sparring.data import about

STATISTICS = {
    "cifar10": ([0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010]),
    "cifar100": ([0.5071, 0.4867, 0.4408], [0.2675, 0.2565, 0.2761]),
}
"""Mean and standard deviation per channel, as the published code of the papers has them."""


def normalisation(config: RunConfig) -> tuple[list[float], list[float]]:
    """Mean and standard deviation per channel: 0.5 for simclr and clae over it, else the data set's where it is known.

    Facts of chihhuiho/CLAE: SimCLR normalises by 0.5, Plain and UEL by CIFAR's own statistics; eps in normalised units
    is therefore not one attack strength across methods.
    """
    half = [0.5] * about(config.data.name).channels
    if (config.method.base or config.method.name) == "simclr":
        return half, list(half)
    mean, std = STATISTICS.get(config.data.name, (half, half))
    return list(mean), list(std)
