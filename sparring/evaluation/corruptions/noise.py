"""Noise: Gaussian, shot (Poisson) and impulse (salt and pepper), independent in every pixel and channel."""

from __future__ import annotations

import numpy as np

from sparring.evaluation.corruptions.arrays import Generators, Levels, drawn, levels


def gaussian_noise(x: Levels, c: float | int, rngs: Generators) -> Levels:
    """x + N(0, c^2)."""
    return levels(x / 255 + c * drawn(rngs, lambda rng: rng.standard_normal(x.shape[1:])))


def shot_noise(x: Levels, c: int, rngs: Generators) -> Levels:
    """Poisson(c x) / c: the counts of a camera in which white is c photons."""
    return levels(np.stack([rng.poisson(image) for rng, image in zip(rngs, x / 255 * c, strict=True)]) / c)


def impulse_noise(x: Levels, c: float | int, rngs: Generators) -> Levels:
    """Each value becomes 0 with probability c / 2 and 255 with probability c / 2.

    Differs from the original (scikit-image's salt and pepper): one random number decides both questions instead of two.
    """
    u = drawn(rngs, lambda rng: rng.random(x.shape[1:]))
    return np.where(u < c / 2, 0, np.where(u < c, 255, x)).astype(np.uint8)
