"""Every random number of a run is a function of (seed, epoch, step, rank), so resuming needs no saved random state."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

Purpose = Literal["attack", "network", "weights", "probe", "pairs", "clusters"]
PURPOSES: tuple[Purpose, ...] = ("attack", "network", "weights", "probe", "pairs", "clusters")


def derive(seed: int, purpose: Purpose, epoch: int = 0, step: int = 0, rank: int = 0) -> int:
    """A seed of 63 bits for one purpose at one place of the run; distinct places give independent streams."""
    words = np.random.SeedSequence([seed, PURPOSES.index(purpose), epoch, step, rank]).generate_state(1, np.uint64)
    return int(words[0]) >> 1


def generator(
    seed: int, purpose: Purpose, epoch: int = 0, step: int = 0, rank: int = 0, device: torch.device | str = "cpu"
) -> torch.Generator:
    """A generator on `device`, seeded by `derive`."""
    return torch.Generator(device).manual_seed(derive(seed, purpose, epoch, step, rank))


def reseed_network(seed: int, epoch: int, step: int, rank: int) -> None:
    """Seeds torch's global generators before a step, for backbones that draw from them (dropout, stochastic depth)."""
    torch.manual_seed(derive(seed, "network", epoch, step, rank))
