"""SGD, Adam and LARS, as the papers use them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from sparring.config import OptimizerConfig

foreach: Any = torch
"""For operations on lists of tensors, which torch's own optimisers are made of though their names are private."""


class LARS(torch.optim.Optimizer):
    """Layer-wise adaptive rate scaling (You et al. 2017, "Large Batch Training of Convolutional Networks", Alg. 1).

    local = trust |w| / (|g| + weight_decay |w| + 1e-8);   v <- momentum v + lr local (g + weight_decay w);   w <- w - v

    Parameter groups with `adapt=False` (biases and batch norms, see `parameter_groups`) take local = 1.
    A layer whose weights or gradients are all zero takes local = 1 too, so that it can start to move.
    Differs from the paper: the exclusion of biases and batch norms, which SimCLR uses, is not in it, nor in the published code
    of RoCL and ACL, whose LARS takes all parameters in one group.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust: float = 0.001,
    ) -> None:
        super().__init__(
            params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust, "adapt": True}
        )

    @torch.no_grad()
    def step(self, closure: Any = None) -> Tensor | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One update of every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [p for p in group["params"] if p.grad is not None]
            if weights:
                self._update(weights, [p.grad for p in weights], group)
        return loss

    def _update(self, weights: list[Tensor], gradients: list[Tensor], group: dict[str, Any]) -> None:
        """All tensors of a group together: on a GPU a few kernels, instead of a dozen for each tensor."""
        moves = foreach._foreach_add(foreach._foreach_mul(weights, group["weight_decay"]), gradients)
        if group["adapt"]:
            weight, slope = torch.stack(foreach._foreach_norm(weights)), torch.stack(foreach._foreach_norm(gradients))
            local = group["trust"] * weight / (slope + group["weight_decay"] * weight + 1e-8)
            foreach._foreach_mul_(
                moves, torch.where((weight > 0) & (slope > 0), local, torch.ones_like(local)).unbind()
            )
        for p in weights:
            if "velocity" not in self.state[p]:
                self.state[p]["velocity"] = torch.zeros_like(p)
        velocities = [self.state[p]["velocity"] for p in weights]
        foreach._foreach_mul_(moves, group["lr"])
        foreach._foreach_mul_(velocities, group["momentum"])
        foreach._foreach_add_(velocities, moves)
        foreach._foreach_sub_(weights, velocities)


def parameter_groups(module: nn.Module) -> list[dict[str, Any]]:
    """Weights, which LARS adapts and decays, and vectors and scalars (biases, batch norms), which it leaves alone."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    matrices = [p for p in parameters if p.ndim > 1]
    vectors = [p for p in parameters if p.ndim <= 1]
    return [{"params": matrices}, {"params": vectors, "adapt": False, "weight_decay": 0.0}]


def build_optimizer(module: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """The optimiser that a resolved configuration describes; Adam's momentum is its beta_1."""
    assert config.lr is not None and config.momentum is not None and config.weight_decay is not None
    decay = config.weight_decay
    if config.name == "lars":
        return LARS(parameter_groups(module), config.lr, config.momentum, decay)
    parameters = [p for p in module.parameters() if p.requires_grad]
    if config.name == "adam":
        return torch.optim.Adam(parameters, config.lr, betas=(config.momentum, 0.999), weight_decay=decay)
    return torch.optim.SGD(parameters, config.lr, momentum=config.momentum, weight_decay=decay)
