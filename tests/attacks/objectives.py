"""Images and objectives that several tests of attacks use."""

import math

import torch


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images(*shape, dtype=torch.float64, seed=0):
    """Images with some pixels at 0 and at 1, where the box matters."""
    return (1.4 * torch.rand(*shape, generator=generator(seed), dtype=dtype) - 0.2).clamp(0, 1)


def bumpy(x):
    """One smooth, curved value per image whose gradient depends on x."""
    w = torch.linspace(-3, 3, x[0].numel(), dtype=x.dtype).view(x.shape[1:])
    return (torch.sin(5 * x + w) * w).flatten(1).sum(1)


def bumpy_gradient(x):
    w = [-3 + 6 * i / (len(x) - 1) for i in range(len(x))]
    return [5 * math.cos(5 * a + b) * b for a, b in zip(x, w, strict=True)]
