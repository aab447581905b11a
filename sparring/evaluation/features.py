"""Features of a frozen encoder, computed once: representations h before the head, or embeddings z behind it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from sparring.types import Domain, Encoder

Layer = Literal["h", "z"]
"""h: the representation before the head; z: the embedding behind it, of unit length."""


@contextmanager
def evaluation_mode(module: object) -> Iterator[None]:
    """Evaluation mode for a block of code; every submodule gets its own mode back, also when an exception passes."""
    modules = list(module.modules()) if isinstance(module, nn.Module) else []
    modes = [part.training for part in modules]
    try:
        for part in modules:
            part.training = False
        yield
    finally:
        for part, mode in zip(modules, modes, strict=True):
            part.training = mode


def features(
    encoder: Encoder,
    images: UInt8[Tensor, "n C H W"] | Iterable[UInt8[Tensor, "_ C H W"]],
    *,
    layer: Layer = "h",
    domain: Domain = "clean",
    batch_size: int = 512,
    device: torch.device | str | None = None,
    precision: Literal["float32", "bf16"] = "float32",
) -> Float[Tensor, "n D"]:
    """h or z of every image, float32 on the CPU, in the order of the images.

    The encoder runs in evaluation mode (running statistics of `domain`'s batch norm) and without gradients. Pixels are
    divided by 255; nothing is augmented. `images` may also be an iterable of uint8 batches, for sets that do not fit
    in memory. `device`, if given, is where the encoder is moved to; else the images go where the encoder is.

    Raises ValueError for an unknown layer, a batch size below 1, images that are not uint8, or no images.
    """
    if layer not in ("h", "z"):
        raise ValueError(f"layer must be 'h' (representation) or 'z' (embedding), not {layer!r}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}")
    place = _place(encoder, device)
    forward = encoder.represent if layer == "h" else encoder
    batches = images.split(batch_size) if isinstance(images, Tensor) else images
    rows: list[Tensor] = []
    with evaluation_mode(encoder), torch.no_grad(), torch.autocast(place.type, torch.bfloat16, precision == "bf16"):
        for batch in batches:
            if batch.dtype != torch.uint8:
                raise ValueError(f"images must be uint8 (0 to 255), not {batch.dtype}")
            if len(batch):
                rows.append(forward(batch.to(place).float() / 255, domain).float().cpu())
    if not rows:
        raise ValueError("images: there are none to compute features of")
    return torch.cat(rows)


def _place(encoder: object, device: torch.device | str | None) -> torch.device:
    """The device of the forward; the encoder is moved there if `device` is given."""
    if isinstance(encoder, nn.Module):
        if device is None:
            return next((parameter.device for parameter in encoder.parameters()), torch.device("cpu"))
        encoder.to(device)
    return torch.device(device or "cpu")
