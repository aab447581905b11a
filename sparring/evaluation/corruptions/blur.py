"""Blur: defocus, glass, motion and zoom."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float64
from scipy.ndimage import correlate1d

from sparring.evaluation.corruptions.arrays import (
    Generators,
    Levels,
    Numbers,
    central_zoom,
    drawn,
    levels,
    mapped,
    smoothing,
)


@lru_cache(maxsize=16)
def disk(radius: float | int, sigma: float | int) -> Float64[np.ndarray, "k k"]:
    """The out-of-focus kernel: a disk of whole pixels (sum 1), smoothed by a Gaussian of 3 x 3 taps (5 x 5 above radius 8).

    The smoothing mirrors at the edge of the kernel's 17 x 17 window (2 radius + 1 above radius 8), as the original's does,
    so at radius 8 and 10, where the disk touches that edge, the sum is not exactly 1.
    """
    reach, taps = (8, 1) if radius <= 8 else (int(radius), 2)
    square = np.arange(-reach, reach + 1) ** 2
    kernel = (square[:, None] + square <= radius**2).astype(np.float64)
    kernel /= kernel.sum()
    weights = np.exp(-(np.arange(-taps, taps + 1) ** 2) / (2 * sigma**2))
    for axis in (0, 1):
        kernel = correlate1d(kernel, weights / weights.sum(), axis=axis, mode="mirror")
    return kernel


def defocus_blur(x: Levels, c: Numbers, rngs: Generators) -> Levels:
    """Convolution with `disk`, by FFT; beyond its border the image is mirrored about its outermost pixels.

    Differs from the original: its kernel and OpenCV's filter have single precision.
    """
    kernel = disk(*c)
    reach = len(kernel) // 2
    height, width = x.shape[2:]
    padded = np.pad(x / 255, ((0, 0), (0, 0), (reach, reach), (reach, reach)), mode="reflect")
    size = padded.shape[2:]
    blurred = np.fft.irfft2(np.fft.rfft2(padded, size) * np.fft.rfft2(kernel, size), size)
    return levels(blurred[..., 2 * reach : 2 * reach + height, 2 * reach : 2 * reach + width])


def glass_blur(x: Levels, c: tuple[float | int, int, int], rngs: Generators) -> Levels:
    """A Gaussian blur, pixels taken from random neighbours, the same blur again.

    From the last pixel to the first, (h, w) takes over the colour of (h + dy, w + dx) as it is then, dx and dy uniform on
    [-c, c). The original means to swap the two, but its line `x[a], x[b] = x[b], x[a]` on views of one array copies, and
    the published images are made so.
    """
    sigma, reach, rounds = c
    height, width = x.shape[2:]
    blur = smoothing(height, sigma, "nearest", 4), smoothing(width, sigma, "nearest", 4)
    x = levels(mapped(blur[0], x / 255, blur[1]))
    hs, ws = np.arange(height - reach, reach, -1), np.arange(width - reach, reach, -1)
    moves = drawn(rngs, lambda rng: rng.integers(-reach, reach, (rounds, len(hs), len(ws), 2), dtype=np.int8))
    targets = (hs[:, None] * width + ws).ravel()
    steps = (moves[..., 1].astype(np.int64) * width + moves[..., 0]).reshape(len(x), rounds, len(targets))
    source = np.repeat(np.arange(height * width)[:, None], len(x), axis=1)
    images = np.arange(len(x))
    for turn in np.ascontiguousarray(steps.transpose(1, 2, 0) + targets[:, None]):
        for target, origin in zip(targets, turn, strict=True):
            source[target] = source[origin, images]
    flat = x.reshape(*x.shape[:2], -1)
    moved = np.take_along_axis(flat, source.T[:, None], axis=2).reshape(x.shape)
    return levels(mapped(blur[0], moved / 255, blur[1]))


def motion(x: Levels, radius: float | int, sigma: float | int, angles: Float64[np.ndarray, " B"]) -> Levels:
    """ImageMagick's motion blur: 2 radius + 1 pixels in the direction of the angle (degrees), with half a Gaussian's weights.

    out(p) = sum_i w_i x(p + round(i (cos, sin))), w_i ~ exp(-i^2 / 2 sigma^2); the border pixel continues outside.
    (x is the image, its index p counts columns first, halves round down.)

    Differs from ImageMagick: the sum is rounded once, to 8 bits; builds with 16-bit pixels round to those first, which
    changes the result by one level where the sum lies within 0.002 of a half.
    """
    steps = np.arange(2 * int(np.ceil(radius)) + 1)
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    weights /= weights.sum()
    reach = len(steps) - 1
    padded = np.pad(x, ((0, 0), (0, 0), (reach, reach), (reach, reach)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, x.shape[2:], axis=(2, 3))
    out = np.empty_like(x)
    for i, angle in enumerate(np.deg2rad(angles)):
        dx, dy = (np.ceil(steps * along - 0.5).astype(int) + reach for along in (np.cos(angle), np.sin(angle)))
        out[i] = np.tensordot(weights, windows[i][:, dy, dx], (0, 1)) + (0.5 + 1e-9)
    return out


def motion_blur(x: Levels, c: Numbers, rngs: Generators) -> Levels:
    """`motion` at an angle uniform on [-45, 45) degrees."""
    radius, sigma = c
    return motion(x, radius, sigma, drawn(rngs, lambda rng: rng.uniform(-45, 45)))


def zoom_blur(x: Levels, c: tuple[float | int, float | int], rngs: Generators) -> Levels:
    """The mean of the image and of its central zooms by 1, 1 + step, ...: with the factor 1 the image counts twice.

    An image that is not square is zoomed about its own centre.
    """
    factors = (1, *np.arange(1, *c))
    height, width = x.shape[2:]
    rows = np.stack([central_zoom(height, factor) for factor in factors], axis=1).reshape(-1, height)
    columns = np.concatenate([central_zoom(width, factor).T for factor in factors])
    return levels((rows @ (x / 255)).reshape(*x.shape[:3], -1) @ columns / len(factors))
