"""In which state a model was handed over: modes, batch norms and their domain, whether images of a batch interact.

Modules are watched while they run, since what a wrapper does to its parts (modes, domains) shows nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from sparring.attacks.objectives import cross_entropy, margin
from sparring.evaluation.robust import device_of, full_precision
from sparring.norms import DualBatchNorm
from sparring.types import Domain

Model = Callable[[Any], Any]
NEIGHBOURS = 16
"""Images whose neighbours in the batch are exchanged."""


@dataclass
class Ran:
    """What was seen during one forward."""

    in_training: dict[str, nn.Module] = field(default_factory=dict)
    """Parts without parts of their own that ran in training mode."""
    norms: dict[str, _BatchNorm] = field(default_factory=dict)
    duals: dict[str, tuple[DualBatchNorm, Domain]] = field(default_factory=dict)

    @property
    def training(self) -> list[str]:
        """What ran in training mode, in words; batch norms and dropout, which care, come first."""
        parts = sorted(self.in_training.items(), key=lambda part: not isinstance(part[1], (_BatchNorm, _DropoutNd)))
        return [f"{type(part).__name__} {name}".strip() for name, part in parts]

    @property
    def domain(self) -> Domain | None:
        """The domain whose batch norms ran; None without a second batch norm, or if both ran."""
        domains: set[Domain] = {domain for _, domain in self.duals.values()}
        return domains.pop() if len(domains) == 1 else None

    @property
    def untrained(self) -> list[str]:
        """Batch norms that ran and never saw a batch: as initialised, or an untouched copy of the other domain's."""
        names = [name for name, norm in self.norms.items() if _as_initialised(norm)]
        for name, (dual, domain) in self.duals.items():
            own = f"{name}.{domain}" if name else domain
            if domain == "adv" and own not in names and _same_statistics(dual.adv, dual.clean):
                names.append(own)
        return names


@torch.no_grad()
def logits(model: Model, x: Float[Tensor, "n C H W"], batch_size: int = 250) -> Float[Tensor, "n K"]:
    """The model's outputs as they are, in its own mode; float32 on the CPU. ValueError if they are no rows of numbers."""
    place, rows = device_of(model, x), []
    with full_precision(place):
        for batch in x.split(batch_size):
            outputs: Any = model(batch.to(place).float())
            if (
                not isinstance(outputs, Tensor)
                or outputs.ndim != 2
                or len(outputs) != len(batch)
                or outputs.shape[1] < 2
            ):
                kind = list(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
                raise ValueError(
                    f"the model returned {kind}; it must return logits [{len(batch)}, K] of at least 2 classes"
                )
            rows.append(outputs.float().cpu())
    return torch.cat(rows)


def watch(model: Model, x: Float[Tensor, "n C H W"]) -> Ran:
    """One forward, in the model's own mode."""
    ran = Ran()
    plain = getattr(model, "_orig_mod", model)
    if not isinstance(plain, nn.Module):
        return ran

    def note(name: str) -> Callable[[nn.Module, Any], None]:
        def hook(part: nn.Module, _: Any) -> None:
            if part.training and not any(True for _ in part.children()):
                ran.in_training[name] = part
            if isinstance(part, _BatchNorm):
                ran.norms[name] = part
            if isinstance(part, DualBatchNorm):
                ran.duals[name] = part, part.domain

        return hook

    hooks = [part.register_forward_pre_hook(note(name)) for name, part in plain.named_modules()]
    try:
        logits(plain, x)
    finally:
        for hook in hooks:
            hook.remove()
    return ran


@contextmanager
def forced_domain(ran: Ran, domain: Domain) -> Iterator[None]:
    """Use a domain's batch norms in a block, whatever the model itself chooses."""
    before: list[tuple[DualBatchNorm, Domain]] = [(dual, dual.domain) for dual, _ in ran.duals.values()]

    def choose(dual: nn.Module, _: Any) -> None:
        assert isinstance(dual, DualBatchNorm)
        dual.domain = domain

    hooks = [dual.register_forward_pre_hook(choose) for dual, _ in before]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for dual, earlier in before:
            dual.domain = earlier


def neighbours_matter(model: Model, x: Float[Tensor, "n C H W"]) -> float:
    """By how much other images in the batch change an image's logits, relative to the largest; in the model's own mode."""
    few = x[:NEIGHBOURS]
    among_equals = logits(model, torch.cat([few, few]))[: len(few)]
    # inverted ones have another mean, faint ones another extreme, and one image alone has none at all
    others = [logits(model, torch.cat([few, other]))[: len(few)] for other in (1 - few, few / 2)]
    faint = (
        logits(model, torch.cat([few / 2, few / 2]))[: len(few)],
        logits(model, torch.cat([few / 2, few]))[: len(few)],
    )
    return max(*(relative_difference(among_equals, among) for among in others), relative_difference(*faint))


def relative_difference(a: Float[Tensor, "n K"], b: Float[Tensor, "n K"]) -> float:
    """max |a - b| / max |a|; 0 for 0."""
    difference = (a - b).abs().max().item()
    return difference / max(a.abs().max().item(), 1e-30) if difference else 0.0


def gradients(
    model: Model, x: Float[Tensor, "n C H W"], y: Int[Tensor, " n"], batch_size: int = 250
) -> dict[str, tuple[int, int]]:
    """By objective (cross_entropy, margin): how many images have a gradient of 0 in every pixel, and one that is not finite.

    Raises ValueError with the reason if the model cannot be differentiated.
    """
    counts = {}
    place = device_of(model, x)
    for objective in (cross_entropy, margin):
        zero = not_finite = 0
        for images, truth in zip(x.split(batch_size), y.split(batch_size), strict=True):
            images = images.to(place).float().requires_grad_()
            gradient = _gradient(objective, model, images, truth.to(place)).flatten(1)
            zero += int((gradient == 0).all(dim=1).sum())
            not_finite += int((~gradient.isfinite()).any(dim=1).sum())
        counts[objective.__name__] = zero, not_finite
    return counts


def _gradient(objective: Callable[[Tensor, Tensor], Tensor], model: Model, images: Tensor, y: Tensor) -> Tensor:
    with torch.enable_grad(), full_precision(images.device):
        try:
            value = objective(model(images), y).sum()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise ValueError(
                f"its forward fails when a gradient is asked for ({str(error).splitlines()[0]})"
            ) from error
        gradient = torch.autograd.grad(value, images, allow_unused=True)[0] if value.requires_grad else None
    if gradient is None:
        raise ValueError("no gradient of its outputs reaches the pixels")
    return gradient


def _as_initialised(norm: _BatchNorm) -> bool:
    mean, var = norm.running_mean, norm.running_var
    return mean is not None and var is not None and not mean.any() and bool((var == 1).all())


def _same_statistics(one: _BatchNorm, other: _BatchNorm) -> bool:
    if one.running_mean is None or one.running_var is None or other.running_mean is None or other.running_var is None:
        return False
    return torch.equal(one.running_mean, other.running_mean) and torch.equal(one.running_var, other.running_var)
