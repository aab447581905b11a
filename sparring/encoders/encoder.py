"""An encoder: normalisation, backbone, head. Pixels in, representation h and embedding z out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sparring.norms import use_domain
from sparring.types import Domain


class Normalize(nn.Module):
    """(x - mean) / std per channel; the constants belong to the architecture, not to the state dict."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]):
        super().__init__()
        if len(mean) != len(std) or not all(s > 0 for s in std):
            raise ValueError(f"mean {list(mean)} and std {list(std)} must have one value a channel, std above 0")
        self.register_buffer("mean", torch.tensor(list(mean)).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(list(std)).view(-1, 1, 1), persistent=False)

    def forward(self, x: Float[Tensor, "*B C H W"]) -> Float[Tensor, "*B C H W"]:
        """Normalised images."""
        return (x - self.mean) / self.std


class ContrastiveEncoder(nn.Module):
    """`encoder(x, domain) -> z` of unit length, `encoder.represent(x, domain) -> h`.

    x: float pixels in [0, 1], [B, C, H, W], or views [V, B, C, H, W], which are encoded in one joint forward (batch
    norms then see V B images) and come back as [V, B, D]. `domain` chooses the batch norm; "adv" needs `norms.convert` first.
    `architecture` is the plain dict from which `build_encoder` makes this encoder again (empty for hand-made ones).
    """

    def __init__(
        self,
        backbone: nn.Module,
        head: nn.Module,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        features: int,
        dim: int,
        architecture: dict[str, Any] | None = None,
    ):
        super().__init__()
        self.normalize = Normalize(mean, std)
        self.backbone = backbone
        self.head = head
        self.features = features
        self.dim = dim
        self.architecture = dict(architecture or {})
        self._std = tuple(float(s) for s in std)

    @property
    def std(self) -> tuple[float, ...]:
        """Per-channel standard deviation of the normalisation, in pixels of [0, 1]."""
        return self._std

    def forward(self, x: Float[Tensor, "*B C H W"], domain: Domain = "clean") -> Float[Tensor, "*B D"]:
        """Embeddings z, of unit length."""
        with use_domain(self, domain):
            z = self.head(self._backbone_features(x))
        return F.normalize(z.float() if z.dtype in (torch.bfloat16, torch.float16) else z, dim=-1).unflatten(
            0, x.shape[:-3]
        )

    def represent(self, x: Float[Tensor, "*B C H W"], domain: Domain = "clean") -> Float[Tensor, "*B D"]:
        """Representations h, before the head."""
        with use_domain(self, domain):
            return self._backbone_features(x).unflatten(0, x.shape[:-3])

    def _backbone_features(self, x: Tensor) -> Tensor:
        if x.ndim not in (4, 5) or x.shape[-3] != len(self._std):
            image = f"{len(self._std)}, H, W]"
            raise ValueError(f"x has shape {list(x.shape)}; this encoder takes [B, {image} or [V, B, {image}")
        return self.backbone(self.normalize(x.flatten(0, -4)))
