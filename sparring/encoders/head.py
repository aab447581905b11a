"""What stands between the representation h and the embedding z; it is dropped when the encoder is used.

Paper: ASCL, supplement, section 8.1: identity (none), p1 (linear, dim 128) and p2 (200 hidden units, dim 128, no bias).
       SwAV: mlp-bn (hidden 2048, dim 128; facebookresearch/swav, src/resnet50.py).
Code:  chihhuiho/CLAE, Plain/models/resnet_cifar.py (linear) and SimCLR/modules/simclr_BN.py (mlp), biases included.
The division by the length is the encoder's.
mlp3-bn is that of VITA-Group/Adversarial-Contrastive-Learning, all of whose layers are as wide as h (512).
Differs from: ASCL writes p1 as a matrix alone; `linear` has the bias of CLAE and of tuananhbui89/ASCL's own p1. ACL's
constructor makes three layers, its forward (commit 137f7cd) stops after the second norm; mlp3-bn applies all three.
"""

from __future__ import annotations

from typing import Literal

from torch import nn

HEADS = {
    "linear": "h -> dim (Plain, UEL)",
    "mlp": "h -> hidden -> ReLU -> dim (SimCLR, SupCon, RoCL)",
    "mlp-bn": "h -> hidden -> batch norm -> ReLU -> dim (SwAV)",
    "mlp3-bn": "h -> hidden -> hidden -> dim, each with a batch norm, ReLU between (ACL)",
    "p2": "h -> 200 -> ReLU -> dim, no biases (ASCL's p2; its p1 is linear)",
    "none": "z is h, normalised",
}
P2_HIDDEN = 200


def build_head(
    name: Literal["linear", "mlp", "mlp-bn", "mlp3-bn", "p2", "none"],
    features: int,
    dim: int,
    hidden: int | None = None,
) -> tuple[nn.Module, int]:
    """The head over `features` inputs, and the width of z.

    `hidden` defaults to the width of h (mlp, mlp-bn) or to 200 (p2). With "none", z is as wide as h and `dim` is not used.
    Raises ValueError for an unknown name and widths below 1.
    """
    if name not in HEADS:
        raise ValueError(f"encoder.head is {name!r}; it must be one of {', '.join(HEADS)}")
    if name == "none":
        return nn.Identity(), features
    if dim < 1 or (hidden is not None and hidden < 1):
        raise ValueError(f"encoder.dim is {dim} and encoder.hidden {hidden}; both must be at least 1")
    if name == "linear":
        return nn.Linear(features, dim), dim
    if name == "p2":
        hidden = hidden or P2_HIDDEN
        return nn.Sequential(
            nn.Linear(features, hidden, bias=False), nn.ReLU(inplace=True), nn.Linear(hidden, dim, bias=False)
        ), dim
    hidden = hidden or features
    if name == "mlp3-bn":
        layers = [nn.Linear(features, hidden), nn.BatchNorm1d(hidden), nn.ReLU(inplace=True)]
        layers += [nn.Linear(hidden, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU(inplace=True)]
        return nn.Sequential(*layers, nn.Linear(hidden, dim, bias=False), nn.BatchNorm1d(dim)), dim
    norm = [nn.BatchNorm1d(hidden)] if name == "mlp-bn" else []
    return nn.Sequential(nn.Linear(features, hidden), *norm, nn.ReLU(inplace=True), nn.Linear(hidden, dim)), dim
