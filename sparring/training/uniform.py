"""The loss of an encoder that tells nothing apart: what training must get below."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sparring.types import Batch, Domain, Method

TOLERANCE = 0.01
PATIENCE = 3
"""Epochs from the start after which a loss that is still uniform is worth a word."""


class ConstantEncoder:
    """Every image has the same embedding, so every similarity is 1 and every softmax uniform."""

    std = (1.0,)

    def __call__(self, x: Tensor, domain: Domain = "clean") -> Tensor:
        """Embeddings [B, 2], equal for all images (and with a zero gradient, so that attacks can run)."""
        z = torch.ones(len(x), 2, dtype=torch.float64, device=x.device) / 2**0.5
        return z + 0 * x.flatten(1).sum(dim=1, keepdim=True)

    def modules(self) -> tuple[()]:
        """None that an attack in evaluation mode would have to switch."""
        return ()

    def represent(self, x: Tensor, domain: Domain = "clean") -> Tensor:
        """The same."""
        return self(x, domain)


def uniform_loss(method: Method, images: int) -> float:
    """The method's total loss, in nats, when all embeddings of a batch of `images` are equal.

    ln(2N - 1) for NT-Xent and SupCon, ln(N) for Plain, the base's times (1 + alpha) for CLAE, and 2 ln(3N - 1) and
    1/256 of NT-Xent for RoCL.
    """
    views = torch.zeros(2, images, 1, 1, 1)
    one_class = torch.zeros(images, dtype=torch.long)
    batch = Batch(
        views, labels=one_class, generator=torch.Generator().manual_seed(0), pseudo_labels=torch.arange(images) % 2
    )
    terms = method(ConstantEncoder(), batch)
    return float(sum(term.item() for term in terms.values()))


def still_uniform(losses: Sequence[float], uniform: float) -> bool:
    """Whether the first PATIENCE epochs' mean losses all lie within 1 % of the uniform loss."""
    return len(losses) == PATIENCE and all(abs(loss - uniform) <= TOLERANCE * uniform for loss in losses)
