"""Prototypes of unit length with which embeddings are compared, and a queue of earlier embeddings (SwAV).

Paper: Caron et al. 2020. Code: facebookresearch/swav, main_swav.py and src/resnet50.py (a linear layer without bias).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn


class Prototypes(nn.Module):
    """`prototypes(z) -> z C^T`, the cosines of embeddings of unit length with K prototypes, in float32 at least.

    `weight` is C, `[K, D]`, every row of unit length from the start; call `normalize_()` after each step of an optimiser.
    `queue`, `[2, Q, D]`, holds the last Q embeddings of each of two views, newest first, a buffer: checkpoints hold it, no
    gradient reaches it. Places that nothing has been put into are zero.

    Raises ValueError for less than 2 prototypes and a negative queue.
    Differs from: SwAV's code multiplies in half precision and keeps its queue in a file of its own.
    """

    queue: Tensor

    def __init__(self, count: int, dim: int, queue: int = 0):
        super().__init__()
        if count < 2 or queue < 0:
            raise ValueError(f"prototypes is {count} and queue {queue}; at least 2 prototypes, and no negative queue")
        self.weight = nn.Parameter(F.normalize(nn.Linear(dim, count, bias=False).weight.detach(), dim=1))
        self.register_buffer("queue", torch.zeros(2, queue, dim))

    def forward(self, z: Float[Tensor, "*B D"]) -> Float[Tensor, "*B K"]:
        """Scores of embeddings."""
        with torch.autocast(z.device.type, enabled=False):
            dtype = torch.promote_types(torch.promote_types(z.dtype, self.weight.dtype), torch.float32)
            return z.to(dtype) @ self.weight.to(dtype).T

    @torch.no_grad()
    def normalize_(self) -> None:
        """Bring every prototype back to unit length, in place."""
        self.weight.copy_(F.normalize(self.weight, dim=1))

    @property
    def present(self) -> Bool[Tensor, "2 Q"]:
        """Which places of the queue hold an embedding."""
        return self.queue.ne(0).any(dim=-1)

    @torch.no_grad()
    def remember(self, z: Float[Tensor, "2 B D"]) -> None:
        """Put the embeddings of a batch's two views in front; as many of the oldest leave (first in, first out)."""
        self.queue.copy_(torch.cat([z.to(self.queue.dtype), self.queue], dim=1)[:, : self.queue.shape[1]])
