"""Colour operations on a batch, one factor an image: what torchvision.transforms.v2 does to one image, for all at once.

Images are float [n C H W] in [0, 1] with one or three channels. As in torchvision, a grayscale image keeps its
saturation and hue. Every function equals `torchvision.transforms.v2.functional` on float images to 1e-6 for the same
factors.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

Batch = Float[Tensor, "n C H W"]
Factor = Float[Tensor, " n"]


def gray(x: Batch) -> Float[Tensor, "n 1 H W"]:
    """Luminance 0.2989 R + 0.587 G + 0.114 B (ITU-R 601-2); one channel is its own luminance."""
    if x.shape[1] == 1:
        return x
    r, g, b = x.unbind(1)
    return r.mul(0.2989).add_(g, alpha=0.587).add_(b, alpha=0.114).unsqueeze(1)


def adjust_brightness(x: Batch, factor: Factor) -> Batch:
    """factor x, clipped to [0, 1]."""
    return x.mul(_per_image(factor, x)).clamp_(0, 1)


def adjust_contrast(x: Batch, factor: Factor) -> Batch:
    """factor x + (1 - factor) mean luminance of the image, clipped to [0, 1]."""
    mean = gray(x).mean(dim=(1, 2, 3), keepdim=True)
    factor = _per_image(factor, x)
    return x.mul(factor).add_(mean * (1 - factor)).clamp_(0, 1)


def adjust_saturation(x: Batch, factor: Factor) -> Batch:
    """factor x + (1 - factor) luminance of the pixel, clipped to [0, 1]."""
    if x.shape[1] == 1:
        return x
    factor = _per_image(factor, x)
    return x.mul(factor).add_(gray(x).mul_(1 - factor)).clamp_(0, 1)


def adjust_hue(x: Batch, factor: Factor) -> Batch:
    """Turns the hue of HSV by `factor` of a full circle, in [-0.5, 0.5].

    Value and saturation stay, hence the largest and the smallest channel stay too and only their roles change: with the
    hue h in sixths of the circle, each channel is min + (max - min) t, where t is a trapezoid of h centred on that
    channel's sixth.
    """
    if x.shape[1] == 1:
        return x
    r, g, b = x.unbind(1)
    high, low = torch.maximum(torch.maximum(r, g), b), torch.minimum(torch.minimum(r, g), b)
    chroma = high - low
    # Comparisons into floats and arithmetic on them: on a CPU four times as fast as torch.where.
    is_r = torch.eq(high, r, out=torch.empty_like(r))
    is_g = torch.eq(high, g, out=torch.empty_like(g)).mul_(1 - is_r)
    is_b = 1 - is_r - is_g
    h = (g - b).mul_(is_r).addcmul_(b - r, is_g).addcmul_(r - g, is_b)
    h.div_(chroma.clamp(min=torch.finfo(x.dtype).tiny))  # a gray pixel's numerator is zero, and so is its hue
    h.add_(is_g, alpha=2).add_(is_b, alpha=4).add_(6 * factor.to(x.dtype).view(-1, 1, 1))
    h.sub_(h.div(6).floor_(), alpha=6)
    out = torch.empty_like(x)
    torch.sub(h, 3, out=out[:, 0]).abs_().sub_(1)
    torch.sub(h, 2, out=out[:, 1]).abs_().neg_().add_(2)
    torch.sub(h, 4, out=out[:, 2]).abs_().neg_().add_(2)
    return out.clamp_(0, 1).mul_(chroma.unsqueeze(1)).add_(low.unsqueeze(1)).clamp_(0, 1)


def _per_image(factor: Factor, x: Batch) -> Float[Tensor, "n 1 1 1"]:
    return factor.to(x.dtype).view(-1, 1, 1, 1)
