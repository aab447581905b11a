"""An encoder: normalisation, backbone, head, classifier. Pixels in; representation h, embedding z, class scores out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sparring.encoders.prototypes import Prototypes
from sparring.norms import has_domains, use_domain
from sparring.types import Domain, Outputs, Scored


class Normalize(nn.Module):
    """(x - mean) / std per channel, in units of pixels in [0, 1].

    The constants follow the module's device and dtype, but belong to the architecture and not to the state dict.
    Raises ValueError unless there is one finite mean and one positive std a channel.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]):
        super().__init__()
        if not mean or len(mean) != len(std) or not all(math.isfinite(v) for v in (*mean, *std)) or min(std) <= 0:
            raise ValueError(f"mean {list(mean)} and std {list(std)} must have one value a channel, std above 0")
        self.register_buffer("mean", torch.tensor(list(mean)).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(list(std)).view(-1, 1, 1), persistent=False)

    def forward(self, x: Float[Tensor, "*B C H W"]) -> Float[Tensor, "*B C H W"]:
        """Normalised images."""
        return (x - self.mean) / self.std


class ContrastiveEncoder(nn.Module):
    """`encoder(x, domain) -> z = head(h) / |head(h)|`, `encoder.represent(x, domain) -> h = backbone((x - mean) / std)`.

    x: float pixels in [0, 1], [B, C, H, W], or views [V, B, C, H, W], which are encoded in one joint forward (batch norms
    then see V B images) and come back as [V, B, D]. `domain` chooses the batch norm; "adv" needs `norms.convert` first.
    z is computed in float32 at least, under autocast too.

    `encoder.outputs(x, domain) -> (h, z, logits)`, all three from one forward, logits = classifier(h): for supervised
    methods, whose classes are learned from the representation and not from the embedding.
    `encoder.scored(x, domain) -> (z, scores)`, scores = prototypes(z): for SwAV.

    `features` is the width of h, `dim` that of z: what `backbone` and `head` return. `architecture` is the plain dict
    from which `rebuild` makes this encoder again (empty for hand-made ones); its "dual" says what the encoder is now.

    Raises ValueError for images of another number of channels (they would be broadcast), for integer pixels, and when
    an encoder without a classifier is asked for `outputs`, or one without prototypes for `scored`.
    """

    def __init__(
        self,
        backbone: nn.Module,
        head: nn.Module,
        mean: Sequence[float],
        std: Sequence[float],
        *,
        features: int,
        dim: int,
        classifier: nn.Module | None = None,
        prototypes: Prototypes | None = None,
        architecture: dict[str, Any] | None = None,
    ):
        super().__init__()
        self.normalize = Normalize(mean, std)
        self.backbone = backbone
        self.head = head
        self.classifier = classifier
        self.prototypes = prototypes
        self.features = features
        self.dim = dim
        self._architecture = dict(architecture or {})
        self._std = tuple(float(s) for s in std)

    @property
    def std(self) -> tuple[float, ...]:
        """Per-channel standard deviation of the normalisation, in pixels of [0, 1]."""
        return self._std

    @property
    def classes(self) -> int | None:
        """How many classes the classifier's last linear layer tells apart; None without one."""
        layers = [] if self.classifier is None else self.classifier.modules()
        widths = [layer.out_features for layer in layers if isinstance(layer, nn.Linear)]
        return widths[-1] if widths else None

    @property
    def architecture(self) -> dict[str, Any]:
        """What `rebuild` needs; empty for a hand-made encoder."""
        return self._architecture and {**self._architecture, "dual": has_domains(self)}

    def forward(self, x: Float[Tensor, "*B C H W"], domain: Domain = "clean") -> Float[Tensor, "*B D"]:
        """Embeddings z, of unit length."""
        with use_domain(self, domain):
            z = self.head(self._backbone_features(x))
        return F.normalize(_exact(z), dim=-1).unflatten(0, x.shape[:-3])

    def represent(self, x: Float[Tensor, "*B C H W"], domain: Domain = "clean") -> Float[Tensor, "*B D"]:
        """Representations h, before the head."""
        with use_domain(self, domain):
            return self._backbone_features(x).unflatten(0, x.shape[:-3])

    def outputs(self, x: Float[Tensor, "*B C H W"], domain: Domain = "clean") -> Outputs:
        """Representations h, embeddings z and class scores [.., B, K], the latter two in float32 at least."""
        if self.classifier is None:
            raise ValueError(
                "this encoder has no classifier, so it gives no class scores; build it with `classes` (build_encoder) or "
                "`classifier` (ContrastiveEncoder)"
            )
        with use_domain(self, domain):
            h = self._backbone_features(x)
            z, logits = _exact(self.head(h)), _exact(self.classifier(h))
        return Outputs(*(part.unflatten(0, x.shape[:-3]) for part in (h, F.normalize(z, dim=-1), logits)))

    def scored(self, x: Float[Tensor, "*B C H W"], domain: Domain = "clean") -> Scored:
        """Embeddings z and their scores [.., B, K] against the prototypes, both in float32 at least."""
        if self.prototypes is None:
            raise ValueError(
                "this encoder has no prototypes, so it gives no scores; build it with `prototypes` (build_encoder, "
                "ContrastiveEncoder)"
            )
        z = self(x, domain)
        return Scored(z, self.prototypes(z))

    def _backbone_features(self, x: Tensor) -> Tensor:
        channels = len(self._std)
        if x.ndim not in (4, 5) or x.shape[-3] != channels:
            raise ValueError(
                f"x has shape {list(x.shape)}; this encoder takes [B, {channels}, H, W] or [V, B, {channels}, H, W]"
            )
        check_float(x)
        return self.backbone(self.normalize(x.flatten(0, -4)))


def check_float(x: Tensor) -> None:
    """A ValueError for pixels that are integers."""
    if not x.is_floating_point():
        raise ValueError(f"x is {x.dtype}; this encoder takes float pixels in [0, 1] (divide uint8 by 255)")


def _exact(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
