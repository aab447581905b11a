"""The objective as an attack sees it: values and gradients, checked without making a GPU wait at every step."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from sparring.attacks.region import OVERSHOOT, Region
from sparring.types import Objective


class Watched:
    """An objective whose shape, differentiability and finiteness are checked. On the CPU a failed check raises at once;
    elsewhere it is kept on the device until `raise_if_failed`, the one point where the device is waited for."""

    def __init__(self, objective: Objective, region: Region, per_image: bool) -> None:
        self.objective, self.per_image = objective, per_image
        self.checks: list[tuple[Tensor, Callable[[], Exception]]] = []
        self._check(region.accepts_x(), lambda: outside(region.x))

    def gradient(self, images: Shaped[Tensor, "B *image"], where: str) -> Shaped[Tensor, "B *image"]:
        """Gradient of the (summed) objective with respect to the images; nothing else is differentiated."""
        images = images.requires_grad_()
        value = self._value(images)
        gradient = None
        if value.requires_grad:
            (gradient,) = torch.autograd.grad(value, images, torch.ones_like(value), allow_unused=True)
        if gradient is None:
            raise ValueError("the objective does not depend on the images in a way that can be differentiated.")
        self._check(
            gradient.isfinite().all(),
            lambda: FloatingPointError(f"the gradient of the objective is not finite at {where} of the attack."),
        )
        return gradient

    @torch.no_grad()
    def final_value(self, images: Shaped[Tensor, "B *image"]) -> Float[Tensor, " B"]:
        """The objective of each image where a run ended."""
        value = self._value(images)
        self._check(~value.isnan().any(), lambda: FloatingPointError("the objective is NaN at the end of the attack."))
        return value

    def raise_if_failed(self) -> None:
        """Raise what the first failed check has to say, if any failed."""
        checks, self.checks = self.checks, []
        if not checks:
            return
        for fine, (_, error) in zip(torch.stack([fine for fine, _ in checks]).tolist(), checks, strict=True):
            if not fine:
                raise error()

    def _value(self, images: Tensor) -> Tensor:
        value = self.objective(images)
        allowed = [(len(images),)] if self.per_image else [(), (len(images),)]
        shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        if shape not in allowed:
            raise ValueError(
                f"the objective returned {'a scalar' if shape == () else shape}; it must return one value per image, "
                f"[{len(images)}]"
                + (", as restarts keep the best of each image." if self.per_image else ", or a scalar.")
            )
        return value

    def _check(self, fine: Tensor, error: Callable[[], Exception]) -> None:
        self.checks.append((fine, error))
        if fine.device.type == "cpu":
            self.raise_if_failed()


def outside(x: Tensor) -> ValueError:
    """What is wrong with images outside [0, 1]."""
    low, high = (float(v) for v in x.aminmax())
    return ValueError(
        f"x lies in [{low:.4g}, {high:.4g}], more than {OVERSHOOT} outside [0, 1], or is NaN; "
        "normalisation belongs in the model, or set clip=False."
    )
