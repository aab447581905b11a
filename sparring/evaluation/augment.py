"""Random views of uint8 images for protocols that fit a classifier on augmented images, uint8 again as from PIL images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from torch import Tensor

from sparring.data.augment import RandomHorizontalFlip, RandomResizedCrop
from sparring.data.views import Pipeline

Augment = Literal["none", "crop-flip", "resized-crop-flip"]
"""The image itself; a crop of the padded image and a mirroring; a resized crop (area 0.2 to 1) and a mirroring."""

PADDING = 4
"""Black pixels around an image before a crop of its own size is drawn."""


def augmented(augment: Augment, images: UInt8[Tensor, "n C H W"], generator: torch.Generator) -> Tensor:
    """A random view of each image, of its size, drawn from a generator on the CPU."""
    return VIEWS[augment](images, generator)


def crop_and_flip(images: UInt8[Tensor, "n C H W"], generator: torch.Generator) -> UInt8[Tensor, "n C H W"]:
    """Each image padded by 4 black pixels, cropped at random to its size, and mirrored with probability 1/2.

    Three uniform draws an image from a generator on the CPU: an image's view depends on how many came before it only.
    """
    n, _, height, width = images.shape
    u = torch.rand(n, 3, generator=generator)
    shift = (u[:, :2] * (2 * PADDING + 1)).long()
    row = shift[:, :1] + torch.arange(height)
    column = shift[:, 1:] + torch.where(u[:, 2:] < 0.5, torch.arange(width - 1, -1, -1), torch.arange(width))
    padded = F.pad(images, (PADDING,) * 4)
    where = (torch.arange(n)[:, None, None], row[:, :, None], column[:, None, :])
    return padded.permute(0, 2, 3, 1)[tuple(index.to(images.device) for index in where)].permute(0, 3, 1, 2)


def resized_crop_and_flip(images: UInt8[Tensor, "n C S S"], generator: torch.Generator) -> UInt8[Tensor, "n C S S"]:
    """A box of 0.2 to 1 of each image's area, resized to its size, and mirrored with probability 1/2.

    HobbitLong/SupContrast, main_ce.py. Images are square; views are rounded to 8 bits, once, at the end.
    """
    operations = (RandomResizedCrop(images.shape[-1], scale=(0.2, 1.0)), RandomHorizontalFlip())
    return Pipeline("", operations, views=1)(images, generator)[0].mul(255).round_().to(torch.uint8)


VIEWS: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "none": lambda images, generator: images,
    "crop-flip": crop_and_flip,
    "resized-crop-flip": resized_crop_and_flip,
}
