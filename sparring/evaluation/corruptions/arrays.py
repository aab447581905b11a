"""What several corruptions share: batches of images as arrays, their random numbers, and linear maps along rows and columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

import numpy as np
from jaxtyping import Float64, UInt8
from scipy.ndimage import gaussian_filter1d, zoom

Levels = UInt8[np.ndarray, "B C H W"]

Generators = Iterable[np.random.Generator]
"""One generator an image, made when it is asked for."""
Numbers = tuple[float | int, ...]
"""The settings of one severity where there are several."""


def levels(x: Float64[np.ndarray, "B C H W"]) -> Levels:
    """Pixels in [0, 1] as 0 to 255, cut off as the original does (a millionth absorbs our own rounding errors)."""
    return (np.clip(x, 0, 1) * 255 + 1e-6).astype(np.uint8)


def drawn(rngs: Generators, draw: Callable[[np.random.Generator], np.ndarray | float]) -> np.ndarray:
    """What every image's own generator draws, stacked."""
    return np.stack([draw(rng) for rng in rngs])


def mapped(
    rows: Float64[np.ndarray, "h H"], x: Float64[np.ndarray, "*B H W"], columns: Float64[np.ndarray, "w W"]
) -> Float64[np.ndarray, "*B h w"]:
    """`rows @ x @ columns.T`: one linear map along the height, one along the width."""
    return np.matmul(rows, x) @ columns.T


@lru_cache(maxsize=64)
def smoothing(side: int, sigma: float | int, mode: str, truncate: float | int) -> Float64[np.ndarray, "n n"]:
    """A Gaussian filter along one side, as a matrix; sigma 0 changes nothing."""
    if sigma == 0:
        return np.eye(side)
    return gaussian_filter1d(np.eye(side), sigma, axis=0, mode=mode, truncate=truncate)


@lru_cache(maxsize=256)
def central_zoom(side: int, factor: float | int) -> Float64[np.ndarray, "n n"]:
    """The middle of one side enlarged `factor` times to the same number of pixels, linearly interpolated, as a matrix.

    ceil(side / factor) pixels are enlarged to the nearest whole number of pixels, end to end, and the middle is kept.
    Differs from the original: at a few sizes (36, 71, ...; not 32 or 224) rounding puts SciPy's last position outside the
    image, and the original's zoom has a black border there; ours repeats the last pixel.
    """
    kept = int(np.ceil(side / factor))
    top = (side - kept) // 2
    enlarged = np.asarray(zoom(np.eye(side)[top : top + kept], (factor, 1), order=1, mode="nearest"))
    trim = (len(enlarged) - side) // 2
    return enlarged[trim : trim + side]
