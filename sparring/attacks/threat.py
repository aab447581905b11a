"""Threat models: how far an adversary may go. Three short methods a norm: noise, ascend, project.

Everything here is measured in the threat's own unit: pixels in [0, 1], or standard deviations of the encoder's
normalisation. `Region` (region.py) converts.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from numbers import Real
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from sparring.attacks import projection
from sparring.attacks.projection import Box

Perturbation = Float[Tensor, "B *image"]
"""One per image, in the unit of the threat."""


@dataclass(frozen=True)
class Threat(ABC):
    """All images within distance `eps` of an image and, if `clip`, within [0, 1].

    `space="pixel"` counts eps in pixels of [0, 1]. `space="normalized"` counts it in x / std, channel by channel, the
    input of the encoder behind its normalisation layer; the attack is then called with that `std`.
    Raises ValueError if eps is no positive finite number or space is unknown.
    """

    eps: float
    space: Literal["pixel", "normalized"] = "pixel"
    clip: bool = True

    norm: ClassVar[str]
    order: ClassVar[float]
    """Of the vector norm that measures a perturbation."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "eps", positive(self.eps, f"{type(self).__name__}: eps"))
        if self.space not in ("pixel", "normalized"):
            raise ValueError(f"{type(self).__name__}: space is {self.space!r}; it must be 'pixel' or 'normalized'.")

    @abstractmethod
    def noise(self, like: Perturbation, generator: torch.Generator) -> Perturbation:
        """Random perturbations of norm exactly eps, of the shape, dtype and device of `like`."""

    @abstractmethod
    def ascend(self, gradient: Perturbation, length: float, delta: Perturbation, box: Box | None) -> Perturbation:
        """The step of norm `length` that raises the linearised objective most; zero where the gradient is zero."""

    @abstractmethod
    def project(self, delta: Perturbation, box: Box | None = None) -> Perturbation:
        """The nearest perturbation (Euclidean) in the ball and in the box."""

    def random(self, like: Perturbation, generator: torch.Generator) -> Perturbation:
        """Random perturbations, uniform in the ball: a point of the sphere times u^(1/d), u uniform, d coordinates."""
        sphere = self.noise(like, generator)
        shape = (len(like),) + (1,) * (like.ndim - 1)
        u = torch.rand(shape, generator=generator, dtype=like.dtype, device=like.device)
        return sphere * u ** (1 / max(like[:1].numel(), 1))


@dataclass(frozen=True)
class Linf(Threat):
    """max_i |delta_i| <= eps. The steepest ascent is the sign of the gradient."""

    norm: ClassVar[str] = "Linf"
    order: ClassVar[float] = math.inf

    def noise(self, like: Perturbation, generator: torch.Generator) -> Perturbation:
        """A random corner: eps times a random sign."""
        return self.eps * random_sign(like, generator)

    def random(self, like: Perturbation, generator: torch.Generator) -> Perturbation:
        """Uniform in [-eps, eps], each coordinate by itself."""
        u = torch.rand(like.shape, generator=generator, dtype=like.dtype, device=like.device)
        return self.eps * (2 * u - 1)

    def ascend(self, gradient: Perturbation, length: float, delta: Perturbation, box: Box | None) -> Perturbation:
        """length * sign(gradient); sign(0) = 0."""
        return length * gradient.sign()

    def project(self, delta: Perturbation, box: Box | None = None) -> Perturbation:
        """Clipping."""
        return projection.onto_linf(delta, self.eps, box)


@dataclass(frozen=True)
class L2(Threat):
    """||delta||_2 <= eps, image by image. The steepest ascent is the normalised gradient."""

    norm: ClassVar[str] = "L2"
    order: ClassVar[float] = 2.0

    def noise(self, like: Perturbation, generator: torch.Generator) -> Perturbation:
        """Uniform on the sphere: a normalised Gaussian."""
        gaussian = torch.randn(like.shape, generator=generator, dtype=like.dtype, device=like.device)
        return self.eps * normalised(gaussian, ord=2)

    def ascend(self, gradient: Perturbation, length: float, delta: Perturbation, box: Box | None) -> Perturbation:
        """length * gradient / ||gradient||_2."""
        return length * normalised(gradient, ord=2)

    def project(self, delta: Perturbation, box: Box | None = None) -> Perturbation:
        """Shrinking by one factor, except for the coordinates that the box stops."""
        return projection.onto_l2(delta, self.eps, box)


@dataclass(frozen=True)
class L1(Threat):
    """sum_i |delta_i| <= eps, image by image. A step moves the `sparsity` fraction of coordinates with largest slope.

    The steepest ascent in L1 moves one coordinate; SLIDE (Tramer & Boneh 2019, "Adversarial Training and Robustness for
    Multiple Perturbations") moves the top quantile by equal amounts, at least one coordinate.
    Differs from: a coordinate gets no more than the box leaves it, and the rest goes to the next largest, so that a step
    without a box is SLIDE's and one of `sparsity` -> 0 is the steepest feasible one; ties are broken, not all moved.
    """

    sparsity: float = 0.01

    norm: ClassVar[str] = "L1"
    order: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "sparsity", positive(self.sparsity, "L1: sparsity"))
        if self.sparsity > 1:
            raise ValueError(f"L1: sparsity is {self.sparsity}; it is a fraction of the coordinates, at most 1.")

    def noise(self, like: Perturbation, generator: torch.Generator) -> Perturbation:
        """Uniform on the sphere: a normalised Laplacian."""
        laplacian = torch.empty_like(like, memory_format=torch.contiguous_format).exponential_(generator=generator)
        return self.eps * normalised(laplacian * random_sign(like, generator), ord=1)

    def ascend(self, gradient: Perturbation, length: float, delta: Perturbation, box: Box | None) -> Perturbation:
        """length / k * sign(gradient) on the k largest |gradient|, as far as the box lets them and on to the next."""
        largest_first = gradient.flatten(1).abs().argsort(dim=1, descending=True, stable=True)
        share = length / math.ceil(self.sparsity * largest_first.shape[1])
        room = torch.full_like(delta, share)
        if box is not None:
            low, high = box
            room = torch.minimum(room, torch.where(gradient > 0, high - delta, delta - low))
        part = room.flatten(1).gather(1, largest_first).double()
        left = (length - part.cumsum(1) + part).clamp(min=0)
        step = torch.empty_like(part).scatter(1, largest_first, torch.minimum(part, left))
        return step.view(delta.shape).to(delta.dtype) * gradient.sign()

    def project(self, delta: Perturbation, box: Box | None = None) -> Perturbation:
        """A soft threshold, except for the coordinates that the box holds."""
        return projection.onto_l1(delta, self.eps, box)


def positive(value: object, name: str) -> float:
    """`value` as a float, or a ValueError that names it."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) < math.inf:
        raise ValueError(f"{name} is {value!r}; it must be a positive finite number, such as 8 / 255.")
    return float(value)


def random_sign(like: Perturbation, generator: torch.Generator) -> Perturbation:
    """-1 or 1 with equal probability."""
    coin = torch.randint(0, 2, like.shape, generator=generator, device=like.device)
    return (2 * coin - 1).to(like.dtype)


def normalised(v: Perturbation, ord: int) -> Perturbation:
    """v / ||v|| image by image, 0 for 0. Divides by the largest entry first, so that no square underflows."""
    tiny = torch.finfo(v.dtype).tiny
    rows = v.flatten(1)
    rows = rows / rows.abs().amax(1, keepdim=True).clamp(min=tiny)
    rows = rows / torch.linalg.vector_norm(rows, ord, dim=1, keepdim=True).clamp(min=tiny)
    return rows.view(v.shape)
