"""Where an adversary may move: the ball and the box around a batch of images, in the unit of the threat."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from sparring.attacks.projection import Box
from sparring.attacks.threat import Threat

OVERSHOOT = 1e-4
"""Pixels this little outside [0, 1] come from interpolation and are brought inside; anything further is refused."""


class Region:
    """The ball (and, if the threat clips, the box [0, 1]) around images x [B, ..., C, H, W] of any float dtype.

    A perturbation delta has the shape of x, is float32 or better, and is measured in pixels or, in normalised space, in
    multiples of `std` per channel (third axis from the end, so video [B, T, C, H, W] works too).
    Raises ValueError if x is no floating batch, or if the threat is normalised and `std` is missing or does not fit.
    """

    def __init__(self, threat: Threat, x: Shaped[Tensor, "B *image"], std: Sequence[float] | None = None) -> None:
        if not x.is_floating_point() or x.ndim < 2:
            raise ValueError(
                f"x is {x.dtype} of shape {tuple(x.shape)}; an attack needs floating-point images [B, C, H, W]."
            )
        self.threat = threat
        self.x = x.detach()
        precise = self.x.to(torch.promote_types(x.dtype, torch.float32))
        self.centre = precise.clamp(0, 1) if threat.clip else precise
        self.unit = self._unit(std)
        self.box: Box | None = None
        if threat.clip:
            self.box = (-self.centre / self.unit, (1 - self.centre) / self.unit)

    def _unit(self, std: Sequence[float] | None) -> Tensor:
        """What one unit of delta is in pixels: a scalar, or one value a channel."""
        if self.threat.space == "pixel":
            return self.centre.new_ones(())
        if std is None:
            raise ValueError(
                f"{self.threat.norm}: eps is in normalised units; call the attack with std=, the normalisation's "
                "standard deviation per channel, or use space='pixel'."
            )
        channels = self.x.shape[-3] if self.x.ndim > 3 else None
        if len(std) != channels or not all(0 < s < math.inf for s in std):
            raise ValueError(
                f"std is {tuple(std)}; x has shape {tuple(self.x.shape)} and needs {channels} positive numbers."
            )
        # Filled on the device: a tensor made from numbers would be copied there, and the copy waited for.
        return torch.stack([self.centre.new_full((1, 1), s) for s in std])

    def zero(self) -> Float[Tensor, "B *image"]:
        """No perturbation."""
        return torch.zeros_like(self.centre)

    def project(self, delta: Float[Tensor, "B *image"], *, box: bool = True) -> Float[Tensor, "B *image"]:
        """The nearest perturbation in the ball and, if `box`, in the box, exact."""
        return self.threat.project(delta, self.box if box else None)

    def ascend(
        self, delta: Float[Tensor, "B *image"], gradient: Shaped[Tensor, "B *image"], length: float
    ) -> Float[Tensor, "B *image"]:
        """One step of steepest ascent from delta, given the gradient with respect to pixels."""
        gradient = gradient.to(delta.dtype) * self.unit
        return self.project(delta + self.threat.ascend(gradient, length, delta, self.box))

    def images(self, delta: Float[Tensor, "B *image"], *, box: bool = True) -> Shaped[Tensor, "B *image"]:
        """x + delta in the dtype and layout of x and, if `box`, in the box; exactly x for delta = 0.

        16-bit images are rounded towards x: half an ulp is up to half a grey level there, too much outside the ball.
        """
        moved = self.centre + self.unit * delta
        if self.threat.clip and box:
            moved = moved.clamp_(0, 1)
        images = torch.empty_like(self.x).copy_(moved)
        if images.dtype != moved.dtype:
            too_far = (images.to(moved.dtype) - self.centre).abs() > (moved - self.centre).abs()
            images.copy_(torch.where(too_far, torch.nextafter(images, self.centre.to(images.dtype)), images))
        return images

    def extremes(self) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """The least and the greatest pixel that must lie in the box, NaN if any is; 0 and 0 where none must."""
        if not self.threat.clip or not self.x.numel():
            return self.centre.new_zeros(()), self.centre.new_zeros(())
        low, high = self.x.aminmax()
        return low, high
