"""The fifteen corruptions of ImageNet-C on a batch of images, by name and severity."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches

import numpy as np
import torch
from torch import Tensor

from sparring.evaluation.corruptions import blur, digital, noise, weather
from sparring.evaluation.corruptions.arrays import Levels
from sparring.evaluation.corruptions.constants import NAMES, SEVERITIES, TABLES

FUNCTIONS: dict[str, Callable[..., Levels]] = {
    name: getattr(module, name) for name in NAMES for module in (noise, blur, weather, digital) if hasattr(module, name)
}
BLOCK = 2**19
"""Values corrupted at a time: intermediate results in double precision stay small."""


def corrupt(images: Tensor, name: str, severity: int, *, table: str = "cifar", seed: int = 0, start: int = 0) -> Tensor:
    """Images under one of the fifteen corruptions of ImageNet-C at severity 1 to 5, uint8 of the same shape and device.

    `images` are uint8, [n C H W], of any size from 8 pixels, square or not, grey (one channel) or RGB; each is corrupted
    for itself. `table` says whose settings are meant: "cifar" (CIFAR-10-C, for images of about 32 px) or "imagenet" (for
    about 224 px; on images of 32 px they leave little to see). The random numbers of image i come from
    `numpy.random.default_rng([seed, position of the name in NAMES, severity, start + i])`, so they do not depend on how
    many images are corrupted at once: give `start`, the index of the first image, when a set comes in pieces.
    Formulas stand at the fifteen functions. Hendrycks & Dietterich, "Benchmarking neural network robustness to common
    corruptions and perturbations", 2019; hendrycks/robustness, ImageNet-C/create_c/make_imagenet_c.py, make_cifar_c.py.

    Grey images: the textures of frost are made grey, brightness is added to the grey value, and snow whitens towards the
    grey value itself; everything else treats a channel like any other.

    Differs from the published code in general: other random numbers (each image has a generator of its own); double
    precision where it computes in single; a value less than a millionth below a whole level counts as that level before
    it is cut off; ImageNet-C's files were saved as JPEG of quality 85 afterwards, which is not done here; images that are
    not square, or not of 32 or 224 pixels, are accepted.

    Raises ValueError for an unknown name (naming the nearest) or table, a severity outside 1 to 5, images that are not
    uint8 or not of that shape, and a negative seed or start.
    """
    check(images, name, severity, table, seed, start)
    settings, function, key = TABLES[table][name][severity - 1], FUNCTIONS[name], NAMES.index(name)
    x = images.cpu().numpy()
    out = np.empty_like(x)
    size = max(1, BLOCK // max(1, x[0].size)) if len(x) else 1
    for first in range(0, len(x), size):
        block = x[first : first + size]
        rngs = (np.random.default_rng([seed, key, severity, start + first + i]) for i in range(len(block)))
        out[first : first + size] = function(block, settings, rngs)
    return torch.from_numpy(out).to(images.device)


def check(images: Tensor, name: str, severity: int, table: str, seed: int, start: int) -> None:
    """Raise ValueError for what cannot be corrupted."""
    if table not in TABLES:
        raise ValueError(f"table must be one of {', '.join(TABLES)}, not {table!r}")
    if name not in NAMES:
        near = get_close_matches(name, NAMES, n=1)
        raise ValueError(
            f"corruption must be one of {', '.join(NAMES)}, not {name!r}"
            + (f"; did you mean {near[0]}?" if near else "")
        )
    if severity not in SEVERITIES:
        raise ValueError(f"severity must be one of 1, 2, 3, 4, 5, not {severity!r}")
    if images.dtype != torch.uint8:
        raise ValueError(f"images must be a tensor of dtype torch.uint8 (0 to 255), not of {images.dtype}")
    if images.ndim != 4 or images.shape[1] not in (1, 3) or min(images.shape[2:]) < 8:
        raise ValueError(
            f"images must have the shape [n, 1 or 3, height, width] with sides of at least 8, not {list(images.shape)}"
        )
    for field, value in (("seed", seed), ("start", start)):
        if value < 0:
            raise ValueError(f"{field} must be 0 or larger, not {value}")
