"""Digital: brightness, contrast, elastic_transform, pixelate and jpeg_compression."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import torch
from jaxtyping import Float64
from PIL import Image
from torch.nn.functional import grid_sample

from sparring.evaluation.corruptions.arrays import Generators, Levels, Numbers, levels, mapped, smoothing


def brightness(x: Levels, c: float | int, rngs: Generators) -> Levels:
    """c added to the value V = max(R, G, B) of HSV: hue and saturation stay, so a colour is multiplied by V' / V.

    Black, which has no hue, becomes grey.
    """
    image = x / 255
    value = image.max(axis=1, keepdims=True)
    brighter = np.clip(value + c, 0, 1)
    return levels(np.where(value > 0, image * brighter / np.where(value > 0, value, 1), brighter))


def contrast(x: Levels, c: float | int, rngs: Generators) -> Levels:
    """m + c (x - m) with m the mean of the image's channel."""
    image = x / 255
    mean = image.mean(axis=(2, 3), keepdims=True)
    return levels((image - mean) * c + mean)


def elastic_transform(x: Levels, c: Numbers, rngs: Generators) -> Levels:
    """A random affine map of three points, then smooth random displacements; both sample bilinearly.

    Three corners of a square around the centre (a third of the shorter side from it) move by up to the affine shift, and
    the image follows; then pixel p takes the value at p + amplitude G(u), with u uniform on [-1, 1] and G a Gaussian filter.
    With the CIFAR settings severity 1 has the largest affine shift and no displacement.

    Differs from the original: OpenCV's affine map rounds positions to 1/32 pixel, ours does not; the settings, written for
    32 or 224 pixels, scale with the shorter side; on images that are not square the centre is the centre (the original
    exchanges height and width there).
    """
    height, width = x.shape[2:]
    side = min(height, width)
    amplitude, sigma, shift = (side * fraction for fraction in c)
    draws = [(rng.uniform(-1, 1, (3, 2)), rng.uniform(-1, 1, (2, height, width))) for rng in rngs]
    inverse = inverse_affine(shift * np.stack([corners for corners, _ in draws]), height, width)
    grid = np.stack([*np.meshgrid(np.arange(width), np.arange(height)), np.ones((height, width))], axis=-1)
    image = sampled(x / 255, np.einsum("hwk,bkd->bhwd", grid, inverse), mirror=True)
    smooth = smoothing(height, sigma, "reflect", 3), smoothing(width, sigma, "reflect", 3)
    moves = amplitude * mapped(smooth[0], np.stack([field for _, field in draws]), smooth[1])
    return levels(sampled(image, grid[..., :2] + np.moveaxis(moves, 1, -1), mirror=False))


def inverse_affine(shifts: Float64[np.ndarray, "B 3 2"], height: int, width: int) -> Float64[np.ndarray, "B 3 2"]:
    """The affine map [x, y, 1] @ M from the shifted corners of a triangle around the centre back to the corners."""
    centre, reach = np.array([width // 2, height // 2]), min(height, width) // 3
    corners = centre + reach * np.array([[1.0, 1], [1, -1], [-1, -1]])
    moved = np.concatenate([corners + shifts, np.ones((len(shifts), 3, 1))], axis=2)
    return np.linalg.solve(moved, np.broadcast_to(corners, shifts.shape))


def sampled(
    x: Float64[np.ndarray, "B C H W"], points: Float64[np.ndarray, "B H W 2"], *, mirror: bool
) -> Float64[np.ndarray, "B C H W"]:
    """x at points (column, row), bilinear. Outside, the image is mirrored about its outermost pixels, or about its edge."""
    sides = np.array([x.shape[3], x.shape[2]])
    unit = points * 2 / (sides - 1) - 1 if mirror else (points * 2 + 1) / sides - 1
    images, grid = torch.from_numpy(x), torch.from_numpy(unit)
    return grid_sample(images, grid, "bilinear", "reflection", align_corners=mirror).numpy()


def pixelate(x: Levels, c: float | int, rngs: Generators) -> Levels:
    """Shrunk to c times the sides and enlarged again, by boxes."""
    height, width = x.shape[2:]
    small = (int(width * c), int(height * c))
    box = Image.Resampling.BOX
    return np.stack([array(picture(image).resize(small, box).resize((width, height), box)) for image in x])


def jpeg_compression(x: Levels, c: int, rngs: Generators) -> Levels:
    """Compressed as JPEG of quality c (colour at half resolution) and read again."""

    def compressed(image: np.ndarray) -> np.ndarray:
        file = BytesIO()
        picture(image).save(file, "JPEG", quality=c)
        return array(Image.open(file))

    return np.stack([compressed(image) for image in x])


def picture(image: np.ndarray) -> Image.Image:
    """[C H W] of one or three channels for Pillow."""
    return Image.fromarray(image[0] if len(image) == 1 else np.ascontiguousarray(image.transpose(1, 2, 0)))


def array(picture: Image.Image) -> np.ndarray:
    """The inverse of `picture`."""
    pixels = np.asarray(picture)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
