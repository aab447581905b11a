"""Random augmentations of a batch of images in which every image draws its own parameters.

An augmentation has two halves. `draw(n, size, generator)` draws the parameters of n images, tensors with n rows on the
CPU; `apply(x, *parameters)` is a deterministic function of float images [n C H W] in [0, 1]. Parameters come from a
generator on the CPU and are then moved to the images, so the same seed gives the same views on every device (up to
rounding), and a data-parallel process can draw those of the whole batch and apply its own rows.

The distributions are those of torchvision.transforms (v1 and v2 alike); pixels equal torchvision's on float tensors.

Differs from the published pipelines (torchvision on PIL images): values are not rounded to 8 bits between operations.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor

from sparring.data.color import adjust_brightness, adjust_contrast, adjust_hue, adjust_saturation, gray
from sparring.data.moving import moved

Size = tuple[int, int]
"""Height and width in pixels."""
Interpolation = Literal["bilinear", "bicubic"]


@runtime_checkable
class Augmentation(Protocol):
    """A random operation on a batch, in two halves."""

    def draw(self, n: int, size: Size, generator: Generator) -> tuple[Tensor, ...]:
        """Parameters of n images of this size, each tensor with n rows on the CPU."""
        ...

    def apply(self, x: Tensor, *parameters: Tensor) -> Tensor:
        """The operation itself, on images on any device."""
        ...


@dataclass(frozen=True)
class RandomResizedCrop:
    """A random box of the image, resized to `size` x `size` (bilinear, or bicubic with values kept in [0, 1]).

    Box: area in `scale` of the image's, log aspect ratio uniform between those of `ratio`; ten tries, then the largest
    central box of an allowed ratio. With `antialias` (as PIL always does) a box larger than the output is low-passed.
    """

    size: int
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    antialias: bool = True
    interpolation: Interpolation = "bilinear"

    def draw(self, n: int, size: Size, generator: Generator) -> tuple[Tensor, ...]:
        """Boxes [n 4] in pixels: top, left, height, width."""
        height, width = size
        u = torch.rand(n, 22, generator=generator, dtype=torch.float64)
        area = height * width * _uniform(u[:, :10], *self.scale)
        ratio = _uniform(u[:, 10:20], *map(math.log, self.ratio)).exp()
        h, w = (area / ratio).sqrt().round(), (area * ratio).sqrt().round()
        fits = (w > 0) & (w <= width) & (h > 0) & (h <= height)
        first = fits.to(torch.uint8).argmax(1, keepdim=True)
        h, w = h.gather(1, first)[:, 0], w.gather(1, first)[:, 0]
        top, left = (u[:, 20] * (height - h + 1)).floor(), (u[:, 21] * (width - w + 1)).floor()
        box = torch.stack([top, left, h, w], dim=1)
        central = torch.tensor(self._central(height, width), dtype=box.dtype)
        return (torch.where(fits.any(1, keepdim=True), box, central).to(torch.int64),)

    def _central(self, height: int, width: int) -> tuple[int, int, int, int]:
        h = round(width / self.ratio[0]) if width / height < self.ratio[0] else height
        w = round(height * self.ratio[1]) if width / height > self.ratio[1] else width
        return (height - h) // 2, (width - w) // 2, h, w

    def apply(self, x: Tensor, *parameters: Tensor) -> Tensor:
        """Crops of [n C H W], [n C size size]."""
        (box,) = parameters
        return crop_and_resize(x, box, self.size, antialias=self.antialias, interpolation=self.interpolation)


def crop_and_resize(
    x: Float[Tensor, "n C H W"],
    box: Tensor,
    size: int,
    *,
    antialias: bool = True,
    interpolation: Interpolation = "bilinear",
) -> Float[Tensor, "n C S S"]:
    """Box i (top, left, height, width, [n 4] in pixels) of image i, resized to size x size by interpolation.

    Interpolation is separable, so it is two batched matrix products, rows then columns. Only pixels inside the box are
    read: equal to torchvision's `resized_crop` in the edge pixels too. What bicubic interpolation puts outside [0, 1] is
    clipped, as PIL does.
    """
    n, channels, height, width = x.shape
    top, left, h, w = moved(box, x.device).to(x.dtype).unbind(1)
    rows = resize_weights(top, h, height, size, antialias=antialias, interpolation=interpolation)
    columns = resize_weights(left, w, width, size, antialias=antialias, interpolation=interpolation)
    x = torch.bmm(rows, x.transpose(1, 2).reshape(n, height, channels * width))
    x = torch.bmm(x.view(n, size * channels, width), columns.transpose(1, 2))
    x = x.view(n, size, channels, size).transpose(1, 2).contiguous()
    return x.clamp_(0, 1) if interpolation == "bicubic" else x


def resize_weights(
    start: Float[Tensor, " n"],
    length: Float[Tensor, " n"],
    size: int,
    out: int,
    *,
    antialias: bool = True,
    interpolation: Interpolation = "bilinear",
) -> Float[Tensor, "n out size"]:
    """Weights of interpolation from pixels [start, start + length) of an axis of `size` to `out` pixels.

    Output pixel o is centred at (o + 1/2) length / out; its weights are a triangle around that centre of half width 1,
    or, with antialias, max(1, length / out), restricted to the box and normalised. Bicubic: Keys' cubic with a = -1/2 instead
    of the triangle, twice as wide; antialiased only (ValueError), since without it torchvision takes another cubic.
    """
    if interpolation == "bicubic" and not antialias:
        raise ValueError("interpolation is bicubic, but antialias is False: bicubic resizing is antialiased, as in PIL")
    scale = (length / out).view(-1, 1, 1)
    centre = (torch.arange(out, device=start.device, dtype=start.dtype).view(1, -1, 1) + 0.5) * scale
    pixel = torch.arange(size, device=start.device, dtype=start.dtype) - start.view(-1, 1, 1)
    half = scale.clamp(min=1) if antialias else torch.ones_like(scale)
    distance = (pixel + 0.5 - centre).abs_().div_(half)
    weights = _cubic(distance) if interpolation == "bicubic" else distance.neg_().add_(1).clamp_(min=0)
    weights.mul_((pixel >= 0) & (pixel < length.view(-1, 1, 1)))
    return weights.div_(weights.sum(2, keepdim=True))


def _cubic(t: Tensor) -> Tensor:
    """Keys 1981 with a = -1/2, at distances t >= 0."""
    near, far = (1.5 * t - 2.5) * t * t + 1, ((-0.5 * t + 2.5) * t - 4) * t + 2
    return torch.where(t < 1, near, torch.where(t < 2, far, 0.0))


@dataclass(frozen=True)
class Resize:
    """The whole image, resized to `size` x `size` (bilinear, with antialias)."""

    size: int

    def draw(self, n: int, size: Size, generator: Generator) -> tuple[Tensor, ...]:
        """Nothing is random."""
        return ()

    def apply(self, x: Tensor, *parameters: Tensor) -> Tensor:
        """Resized images; those of the right size as they are."""
        height, width = x.shape[-2:]
        if height == width == self.size:
            return x
        return crop_and_resize(x, torch.tensor([[0, 0, height, width]]).expand(len(x), 4), self.size)


@dataclass(frozen=True)
class RandomRotation:
    """Rotation about the centre by an angle uniform in [-degrees, degrees], bilinear, black outside the image."""

    degrees: float

    def draw(self, n: int, size: Size, generator: Generator) -> tuple[Tensor, ...]:
        """Angles in degrees, counter-clockwise, [n]."""
        return (_uniform(torch.rand(n, generator=generator), -self.degrees, self.degrees),)

    def apply(self, x: Tensor, *parameters: Tensor) -> Tensor:
        """Rotated images, [n C H W]."""
        angle = moved(parameters[0].to(x.dtype), x.device).deg2rad()
        height, width = x.shape[-2:]
        cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
        theta = torch.stack([cos, -sin * height / width, zero, sin * width / height, cos, zero], dim=1).view(-1, 2, 3)
        grid = F.affine_grid(theta, list(x.shape), align_corners=False)
        return F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


@dataclass(frozen=True)
class RandomCrop:
    """A random window of the image's own size in the image with `padding` black pixels on every side."""

    padding: int = 4

    def draw(self, n: int, size: Size, generator: Generator) -> tuple[Tensor, ...]:
        """Top left corners of the windows in the padded image, [n 2] in pixels; the image itself is at `padding`."""
        return (torch.randint(0, 2 * self.padding + 1, (n, 2), generator=generator),)

    def apply(self, x: Tensor, *parameters: Tensor) -> Tensor:
        """Windows, [n C H W]."""
        top, left = moved(parameters[0], x.device).unbind(1)
        windows = F.pad(x, [self.padding] * 4).unfold(2, x.shape[2], 1).unfold(3, x.shape[3], 1)
        return windows[torch.arange(len(x), device=x.device), :, top, left]


@dataclass(frozen=True)
class RandomShift:
    """The image moved by up to `fraction` of its height and of its width, bilinear; its edges are repeated outwards.

    Both shifts are uniform in [-fraction, fraction] and in general no whole pixels, as in Keras' ImageDataGenerator.
    """

    fraction: float = 0.1

    def draw(self, n: int, size: Size, generator: Generator) -> tuple[Tensor, ...]:
        """Shifts down and to the right as fractions of height and width, [n 2]."""
        return (_uniform(torch.rand(n, 2, generator=generator), -self.fraction, self.fraction),)

    def apply(self, x: Tensor, *parameters: Tensor) -> Tensor:
        """Moved images, [n C H W]."""
        down, right = moved(parameters[0].to(x.dtype), x.device).unbind(1)
        one, zero = torch.ones_like(down), torch.zeros_like(down)
        theta = torch.stack([one, zero, -2 * right, zero, one, -2 * down], dim=1).view(-1, 2, 3)
        grid = F.affine_grid(theta, list(x.shape), align_corners=False)
        return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)


@dataclass(frozen=True)
class RandomHorizontalFlip:
    """Mirrors an image left to right with probability p."""

    p: float = 0.5

    def draw(self, n: int, size: Size, generator: Generator) -> tuple[Tensor, ...]:
        """Whether to flip, [n]."""
        return (torch.rand(n, generator=generator) < self.p,)

    def apply(self, x: Tensor, *parameters: Tensor) -> Tensor:
        """Flips the chosen rows."""
        return _on_rows(lambda chosen: chosen.flip(-1), x, parameters[0])


@dataclass(frozen=True)
class RandomGrayscale:
    """Replaces all channels by the luminance with probability p; an image of one channel stays."""

    p: float = 0.2

    def draw(self, n: int, size: Size, generator: Generator) -> tuple[Tensor, ...]:
        """Whether to remove the colour, [n]."""
        return (torch.rand(n, generator=generator) < self.p,)

    def apply(self, x: Tensor, *parameters: Tensor) -> Tensor:
        """Removes the colour of the chosen rows."""
        return x if x.shape[1] == 1 else _on_rows(lambda chosen: gray(chosen).expand_as(chosen), x, parameters[0])


ADJUSTMENTS = (adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue)


@dataclass(frozen=True)
class ColorJitter:
    """With probability p, random brightness, contrast, saturation and hue, in an order drawn for each image.

    Factors are uniform in [max(0, 1 - s), 1 + s] for the strength s of the first three, in [-s, s] of the circle for
    the hue. An adjustment of strength 0 is left out.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    p: float = 1.0

    def draw(self, n: int, size: Size, generator: Generator) -> tuple[Tensor, ...]:
        """Whether to jitter [n]; factors [n 4]; the order, as indices of adjustments, [n 4]."""
        chosen = torch.rand(n, generator=generator) < self.p
        strength = torch.tensor([self.brightness, self.contrast, self.saturation])
        low = torch.cat([(1 - strength).clamp(min=0), torch.tensor([-self.hue])])
        high = torch.cat([1 + strength, torch.tensor([self.hue])])
        factors = low + (high - low) * torch.rand(n, 4, generator=generator)
        return chosen, factors, torch.rand(n, 4, generator=generator).argsort(1)

    def apply(self, x: Tensor, *parameters: Tensor) -> Tensor:
        """Jitters the chosen rows. Images that share an adjustment at a place of their order go through it together."""
        chosen, factors, order = parameters
        strengths = (self.brightness, self.contrast, self.saturation, self.hue)
        every = ((k, (chosen & (order[:, p] == k)).nonzero()[:, 0]) for p in range(4) for k in range(4) if strengths[k])
        groups = [(index, rows) for index, rows in every if len(rows)]
        x = x.clone()
        if groups:  # which go to the device together: two copies, not two a group
            together = [torch.cat(parts) for parts in zip(*[(r, factors[r, i]) for i, r in groups], strict=True)]
            parts = [moved(values, x.device).split([len(r) for _, r in groups]) for values in together]
            for (index, _), rows, factor in zip(groups, *parts, strict=True):
                x.index_copy_(0, rows, ADJUSTMENTS[index](x.index_select(0, rows), factor))
        return x


def _on_rows(change: Callable[[Tensor], Tensor], x: Tensor, chosen: Tensor) -> Tensor:
    """x with `change` applied to the chosen rows; they are counted on the CPU, so no device is waited for."""
    rows = moved(chosen.nonzero()[:, 0], x.device)
    return x.index_copy(0, rows, change(x.index_select(0, rows)))


def _uniform(u: Tensor, low: float, high: float) -> Tensor:
    return low + (high - low) * u
