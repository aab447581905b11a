"""The members of AutoAttack: pyautoattack's APGD, FAB and Square with the settings of its standard version.

The mathematics is pyautoattack's and untouched; what a model may be is widened here (`Logits`), and the number of
target classes, which pyautoattack fixes at nine, is what the model has.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int, Shaped
from pyautoattack.autopgd_base import APGDAttack, APGDAttack_targeted
from pyautoattack.fab_pt import FABAttack_PT
from pyautoattack.square import SquareAttack
from torch import Tensor, nn

from sparring.attacks.autoattack.model import Model, check_gradient, check_logits

if TYPE_CHECKING:
    from sparring.attacks.autoattack.attack import AutoAttack

Member = Callable[[Tensor, Tensor], Tensor]
"""From images [B C H W] and labels [B], right on these images, to images; those that fool the model count."""

SILENT = logging.Logger("autoattack", level=logging.CRITICAL + 1)
"""APGD's remark on zero gradients would otherwise be a warning, once a batch; the trust checks measure it."""


class Logits:
    """A model as the members call it: float32 logits of contiguous float32 images, differentiable in the images alone.

    The model is given images of the user's dtype, so that 16-bit images are attacked as they will be stored; where none
    of a module's parameters has that dtype, images of float32. FAB calls `backward`, which must not reach parameters.
    """

    def __init__(self, model: Model, dtype: torch.dtype) -> None:
        self.model, self.dtype, self.classes = model, dtype, 0
        self.input_dtype = self.output_dtype = dtype
        if isinstance(model, nn.Module):
            dtypes = {parameter.dtype for parameter in model.parameters() if parameter.is_floating_point()}
            if dtypes and dtype not in dtypes:
                self.input_dtype = torch.float32

    def __call__(self, images: Float[Tensor, "B C H W"]) -> Float[Tensor, "B K"]:
        """The logits."""
        if len(images) == 0:
            return images.new_zeros(0, self.classes)
        if torch.is_grad_enabled():
            return _TowardsImages.apply(images, self._forward)
        return self._forward(images)

    def _forward(self, images: Tensor) -> Tensor:
        # Copies: a model may normalise in place, and Square writes into the logits.
        logits = check_logits(self.model(images.to(self.dtype, copy=True).to(self.input_dtype)), len(images))
        self.output_dtype = logits.dtype
        return logits.to(torch.float32, copy=True)


class _TowardsImages(torch.autograd.Function):
    """A forward whose backward ends at the images."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, forward: Callable[[Tensor], Tensor]) -> Tensor:
        with torch.enable_grad():
            ctx.images = images.detach().requires_grad_()
            ctx.logits = forward(ctx.images)
        check_gradient(ctx.logits)
        return ctx.logits.detach()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = torch.autograd.grad(ctx.logits, ctx.images, gradients[0], retain_graph=True)
        return gradient, None


class _APGD(APGDAttack):
    """Untargeted; the margin where there is no third logit to scale the DLR by."""

    def dlr_loss(self, x: Float[Tensor, "B K"], y: Int[Tensor, " B"]) -> Float[Tensor, " B"]:
        if x.shape[1] > 2:
            return super().dlr_loss(x, y)
        return targeted_margin(x, y, 1 - y)


class _TargetedAPGD(APGDAttack_targeted):
    """Targeted; the margin where there is no fourth logit to scale the DLR by."""

    def dlr_loss_targeted(self, x: Float[Tensor, "B K"], y: Int[Tensor, " B"]) -> Float[Tensor, " B"]:
        if x.shape[1] > 3:
            return super().dlr_loss_targeted(x, y)
        assert self.y_target is not None
        return targeted_margin(x, y, self.y_target)


def targeted_margin(
    logits: Float[Tensor, "B K"], y: Int[Tensor, " B"], target: Int[Tensor, " B"]
) -> Float[Tensor, " B"]:
    """z_t - z_y."""
    rows = torch.arange(len(y), device=y.device)
    return logits[rows, target] - logits[rows, y]


def members(attack: AutoAttack, model: Logits, device: torch.device) -> dict[str, Member]:
    """The attacks of `attack.members` by name, seeded anew at every call."""
    norm, steps = attack.threat.norm, attack.iterations
    common = {"eps": attack.threat.eps, "norm": norm, "seed": attack.seed, "device": device, "verbose": False}
    large = {"n_iter": steps, "use_largereps": norm == "L1", "logger": SILENT}
    counts = repetitions(norm, model.classes)

    def apgd(loss: str) -> Member:
        return _APGD(model, loss=loss, n_restarts=counts["apgd-ce"], **large, **common).perturb

    def apgd_targeted() -> Member:
        return _TargetedAPGD(model, n_restarts=1, n_target_classes=counts["apgd-t"], **large, **common).perturb

    def fab(targeted: bool) -> Member:
        targets = {"targeted": targeted, "n_target_classes": counts["fab-t"]}
        return FABAttack_PT(model, n_restarts=1, n_iter=steps, **targets, **common).perturb

    def square() -> Member:
        search = {"p_init": 0.8, "n_queries": attack.queries, "n_restarts": 1, "resc_schedule": False}
        return SquareAttack(model, **search, **common).perturb

    makers = {
        "apgd-ce": lambda: apgd("ce"),
        "apgd-dlr": lambda: apgd("dlr"),
        "apgd-t": apgd_targeted,
        "fab": lambda: fab(False),
        "fab-t": lambda: fab(True),
        "square": square,
    }
    return {name: makers[name]() for name in attack.members}


def repetitions(norm: str, classes: int) -> dict[str, int]:
    """How often a member starts anew in the standard version: restarts, or target classes."""
    return {
        "apgd-ce": 5 if norm == "L1" else 1,
        "apgd-dlr": 5 if norm == "L1" else 1,
        "apgd-t": min(5 if norm == "L1" else 9, classes - 1),
        "fab": 1,
        "fab-t": min(9, classes - 1),
        "square": 1,
    }


def costs(attack: AutoAttack, classes: int) -> list[float]:
    """What a member costs for an image that withstands it, in forward passes, a backward pass counting as two."""
    passes = {"fab": 2.0 + 2 * classes, "fab-t": 4.0, "square": 1.0}
    steps = {"square": attack.queries}
    counts = repetitions(attack.threat.norm, classes)
    return [counts[m] * steps.get(m, attack.iterations) * passes.get(m, 3.0) for m in attack.members]


def square_can_tile(images: Shaped[Tensor, "B C H W"]) -> bool:
    """Whether Square's start in L2 and L1, tiles of a fifth of the height laid from a margin on, fits the image."""
    side = images.shape[-2] // 5
    if side == 0:
        return False
    margin = (images.shape[-2] - 5 * side) // 2
    return all(side == 1 or margin + side * (n // side) <= n for n in images.shape[-2:])


def rounding(norm: str, pixels: int) -> float:
    """How far float32 may carry an image of so many pixels out of the ball: half an ulp of 1, twice, at every pixel."""
    return 2**-23 * {"Linf": 1.0, "L2": math.sqrt(pixels), "L1": float(pixels)}[norm]
