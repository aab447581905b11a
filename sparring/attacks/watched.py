"""The objective as an attack sees it: values and gradients, checked without making a GPU wait at every step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from sparring.attacks.region import OVERSHOOT, Region
from sparring.types import Objective

Check = tuple[Tensor, Callable[[], Exception]]
"""Whether all is well, a flag on the device, and what to raise otherwise; the two hold numbers, never images."""
_keepers: list[list[Check]] = []


@contextmanager
def keeping_checks() -> Iterator[list[Check]]:
    """Attacks in the block put their checks into this list instead of waiting for the device at their end.

    Whoever opens the block reads them when waiting costs nothing (`first_failed`). On the CPU nothing is put there: an
    attack raises at once.
    """
    kept: list[Check] = []
    _keepers.append(kept)
    try:
        yield kept
    finally:
        _keepers.pop()


def free_to_read(x: Tensor) -> bool:
    """Whether reading a value of x makes nobody wait."""
    return x.device.type == "cpu"


class Watched:
    """An objective whose shape, differentiability and finiteness are checked. On the CPU a failed check raises at once;
    elsewhere it is kept on the device until `raise_if_failed`, the one point where the device is waited for, unless the
    attack runs in a `keeping_checks` block."""

    def __init__(self, objective: Objective, region: Region, per_image: bool) -> None:
        self.objective, self.per_image = objective, per_image
        self.checks: list[Check] = []
        low, high = region.extremes()
        self._check(in_box(low, high), lambda: outside(low, high))

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
        """Raise what the first failed check has to say, if any failed, or leave that to the `keeping_checks` block."""
        checks, self.checks = self.checks, []
        if _keepers and not all(free_to_read(fine) for fine, _ in checks):
            _keepers[-1].extend(checks)
        elif checks:
            failed = first_failed(torch.stack([fine for fine, _ in checks]))
            if failed is not None:
                raise checks[failed][1]()

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
        if free_to_read(fine):
            self.raise_if_failed()


def first_failed(fine: Tensor) -> int | None:
    """Which of these flags is the first that is false; None if none is. Waits for their device, once."""
    flags = fine.tolist()
    return None if all(flags) else flags.index(False)


def in_box(low: Tensor, high: Tensor) -> Bool[Tensor, ""]:
    """Whether images between these values are images, but for rounding; not if they are NaN."""
    return (low >= -OVERSHOOT) & (high <= 1 + OVERSHOOT)


def outside(low: Tensor, high: Tensor) -> ValueError:
    """What is wrong with images outside [0, 1], whose least and greatest value these are."""
    return ValueError(
        f"x lies in [{float(low):.4g}, {float(high):.4g}], more than {OVERSHOOT} outside [0, 1], or is NaN; "
        "normalisation belongs in the model, or set clip=False."
    )
