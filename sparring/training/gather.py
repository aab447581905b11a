"""Embeddings of all data-parallel processes as if one process had made them.

Every process computes the loss of the GLOBAL batch from its own rows (differentiable) and the others' (constants). Its
gradient flows through its own images only, and the sum over processes is the exact gradient of the global loss.
DistributedDataParallel averages instead of summing: the training step multiplies its loss by the number of processes.
No communication happens in the backward. An attack's objective calls the same encoder, so its negatives are gathered
too, and the gradient with respect to a process's own images is exact without any scaling. One thing differs between one
process and several: the random start of an attack is drawn by each process for its own images, so it is another draw.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from sparring.types import Classifying, Clustering, Domain, Encoder, Outputs, Scored


def processes() -> int:
    """How many data-parallel processes there are."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def gather_rows(own: Tensor, dim: int) -> Tensor:
    """`own` of every process, concatenated along `dim` in the order of the ranks; only `own` carries a gradient.

    Every process must hold the same shape and call this equally often.
    """
    if processes() == 1:
        return own
    parts = [torch.empty_like(own, memory_format=torch.contiguous_format) for _ in range(processes())]
    dist.all_gather(parts, own.detach().contiguous())
    parts[dist.get_rank()] = own
    return torch.cat(parts, dim=dim)


class Gathered:
    """An encoder whose embeddings [.., B, D] come back as those of all processes, [.., processes * B, D]."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder

    @property
    def std(self) -> tuple[float, ...]:
        """Per-channel standard deviation of the encoder's normalisation."""
        return self.encoder.std

    def modules(self) -> Iterator[nn.Module]:
        """The encoder's."""
        return self.encoder.modules() if isinstance(self.encoder, nn.Module) else iter(())

    def __call__(self, x: Tensor, domain: Domain = "clean") -> Tensor:
        """Embeddings z of all processes' images, [.., processes * B, D]."""
        return gather_rows(self.encoder(x, domain=domain), dim=-2)

    def represent(self, x: Tensor, domain: Domain = "clean") -> Tensor:
        """Representations h of all processes' images, [.., processes * B, D]."""
        return gather_rows(self.encoder.represent(x, domain=domain), dim=-2)

    def outputs(self, x: Tensor, domain: Domain = "clean") -> Outputs:
        """h, z and class scores of all processes' images; each process classifies its own ones only.

        Raises TypeError for an encoder that gives no class scores.
        """
        if not isinstance(self.encoder, Classifying):
            raise TypeError(f"{type(self.encoder).__name__} has no `outputs`, so it gives no class scores")
        return Outputs(*(gather_rows(part, dim=-2) for part in self.encoder.outputs(x, domain=domain)))

    @property
    def prototypes(self) -> Any:
        """The encoder's prototypes, the same on all processes."""
        return self._clustering.prototypes

    def scored(self, x: Tensor, domain: Domain = "clean") -> Scored:
        """z and scores of all processes' images; each process compares its own ones only with the prototypes.

        Raises TypeError for an encoder without prototypes.
        """
        return Scored(*(gather_rows(part, dim=-2) for part in self._clustering.scored(x, domain=domain)))

    @property
    def _clustering(self) -> Clustering:
        if not isinstance(self.encoder, Clustering):
            raise TypeError(f"{type(self.encoder).__name__} has no `scored`, so it gives no scores of prototypes")
        return self.encoder
