"""Image files to uint8 tensors, with Pillow."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageOps
from torch import Tensor

EXTENSIONS = frozenset(
    (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".pbm", ".avif", ".jp2")
)

T = TypeVar("T")

Resample = Literal["bilinear", "bicubic"]

Progress = Callable[[int, int], None]
"""Called with how many of how many are done."""


def decode(
    file: Path, size: int | None = None, resample: Resample = "bilinear", resize: int | None = None
) -> UInt8[Tensor, "C H W"]:
    """One file as RGB, uint8 [3 H W]; with `size`, its shorter side resized (to `resize`), the centre cropped, [3 size size].

    Turned upright as its EXIF orientation says. Grayscale and palette images become RGB; 16-bit ones keep their upper
    eight bits; transparency is dropped; of an animation or a document the first picture counts. A file that is damaged
    or no image raises ValueError with its name.
    Differs from torchvision's ImageFolder: it ignores the orientation and clips 16-bit images to white.
    """
    try:
        with Image.open(file) as opened:
            image = rgb(ImageOps.exif_transpose(opened))
    except Exception as error:  # Pillow's readers raise OSError, SyntaxError, ValueError, struct.error and more
        raise ValueError(
            f"{file} cannot be read as an image ({_reason(error)}); skip such files with data.skip_unreadable"
        ) from error
    if size is not None:
        image = cover(image, size, resample, resize)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


def rgb(image: Image.Image) -> Image.Image:
    """The image in mode RGB."""
    if image.mode == "F":
        raise ValueError("floating-point pixels have no known range")
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")


def cover(image: Image.Image, size: int, resample: Resample = "bilinear", resize: int | None = None) -> Image.Image:
    """The shorter side resized to `resize` (None: `size`), the centre cropped to `size`, as torchvision's Resize and
    CenterCrop do."""
    width, height = image.size
    short, wanted = min(width, height), resize or size
    if short != wanted:
        width, height = (int(wanted * side / short) for side in (width, height))
        image = image.resize((width, height), Image.Resampling[resample.upper()])
    left, top = round((width - size) / 2), round((height - size) / 2)
    return image.crop((left, top, left + size, top + size))


def picture_size(file: Path) -> tuple[int, int]:
    """Width and height from the file's head; ValueError with its name if it is no image."""
    try:
        with Image.open(file) as image:
            return image.size
    except Exception as error:
        raise ValueError(
            f"{file} cannot be read as an image ({_reason(error)}); skip such files with data.skip_unreadable"
        ) from error


def in_threads(
    work: Callable[[Path], T], files: Sequence[Path], *, skip: bool = False, progress: Progress | None = None
) -> list[T | None]:
    """`work` on every file, in the order of the files. A ValueError ends it; with `skip` it leaves None."""

    def attempt(file: Path) -> T | None:
        try:
            return work(file)
        except ValueError:
            if skip:
                return None
            raise

    results: list[T | None] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            for result in pool.map(attempt, files):
                results.append(result)
                if progress and (len(results) % 256 == 0 or len(results) == len(files)):
                    progress(len(results), len(files))
        except ValueError:
            pool.shutdown(cancel_futures=True)
            raise
    return results


def _reason(error: Exception) -> str:
    return str(error).split("\n")[0][:120] or type(error).__name__
