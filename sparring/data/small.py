"""Two sets that need no file: scikit-learn's digits, and textures made on the spot."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from sparring.data.images import ImageSet, held_out
from sparring.data.views import seeded

TEXTURES = ("vertical", "rising", "horizontal", "falling")


def digits(size: int, seed: int) -> tuple[ImageSet, ImageSet]:
    """scikit-learn's 1,797 handwritten digits (8 x 8, values 0..16), of every class a seeded fifth for evaluation.

    Enlarged bilinearly to size x size before the values are rounded to uint8.
    """
    from sklearn.datasets import load_digits

    values, target = load_digits(return_X_y=True)
    pixels = torch.from_numpy(values).float().view(-1, 1, 8, 8) * (255 / 16)
    if size != 8:
        pixels = F.interpolate(pixels, (size, size), mode="bilinear", antialias=True)
    labels = torch.from_numpy(target).to(torch.int64)
    whole = ImageSet(pixels.round().clamp(0, 255).to(torch.uint8), labels, tuple("0123456789"), "digits")
    train, test = held_out(labels, len(labels), 0.2, seed)
    return whole.select(train), whole.select(test)


def textures(size: int, noise: float = 0.1) -> tuple[ImageSet, ImageSet]:
    """512 and 256 colour images of stripes in four directions (the classes), random in phase, wavelength, tint.

    `noise` is the standard deviation of each pixel, of [0, 1] before the clip.
    """
    return _textures(512, size, "train", noise), _textures(256, size, "test", noise)


def _textures(n: int, size: int, part: str, noise: float) -> ImageSet:
    generator = seeded(0, f"synthetic {part}")
    labels = torch.arange(n) % len(TEXTURES)
    angle = labels.view(-1, 1, 1) * math.pi / len(TEXTURES)
    phase, wavelength = torch.rand(2, n, 1, 1, generator=generator)
    y, x = torch.meshgrid(torch.arange(size) / size, torch.arange(size) / size, indexing="ij")
    stripes = torch.sin(2 * math.pi * ((x * angle.cos() + y * angle.sin()) * (3 + 2 * wavelength) + phase))
    tint = 0.2 + 0.3 * torch.rand(n, 3, 1, 1, generator=generator)
    grain = noise * torch.randn(n, 3, size, size, generator=generator)
    images = (0.5 + tint * stripes.unsqueeze(1) + grain).clamp(0, 1)
    return ImageSet((images * 255).round().to(torch.uint8), labels, TEXTURES, "synthetic")
