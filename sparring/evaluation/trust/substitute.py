"""A model of one's own to attack instead of the one under test: a small network fitted to the other's predictions.

Papernot et al. 2017, "Practical Black-Box Attacks against Machine Learning", section 4: the substitute learns the labels
that the model under test gives, not the true ones, and its adversarial examples are tried on that model.
Differs from: no Jacobian-based augmentation; the images at hand, mirrored at random, are all it sees.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

SIDE = 32
"""Larger images are averaged down to it, so that fitting takes seconds at any size."""
UPDATES, BATCH, LR = 300, 64, 2e-3


class Substitute(nn.Module):
    """Three convolutions and a linear layer, on images of at most 32 x 32; no normalisation to go wrong."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 24, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(24, 48, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(48, 48, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
            nn.Linear(768, classes),
        )

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B K"]:
        """Logits."""
        height, width = (min(side, SIDE) for side in x.shape[-2:])
        if (height, width) != tuple(x.shape[-2:]):
            x = functional.adaptive_avg_pool2d(x, (height, width))
        return self.layers(x - 0.5)


def fit_substitute(
    x: Float[Tensor, "n C H W"], labels: Int[Tensor, " n"], classes: int, *, seed: int = 0
) -> Substitute:
    """A substitute for the model that gave the images x in [0, 1] these labels; on x's device, in evaluation mode.

    300 updates of Adam, learning rate 0.002, on 64 images each. The global random state is left as it was.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.default_generator.manual_seed(seed)
        substitute = Substitute(x.shape[1], classes).to(x.device)
        optimizer = torch.optim.Adam(substitute.parameters(), lr=LR)
        for _ in range(UPDATES):
            rows = torch.randint(len(x), (min(BATCH, len(x)),), generator=generator).to(x.device)
            mirrored = (torch.rand(len(rows), 1, 1, 1, generator=generator) < 0.5).to(x.device)
            images = torch.where(mirrored, x[rows].flip(-1), x[rows])
            optimizer.zero_grad()
            functional.cross_entropy(substitute(images), labels[rows]).backward()
            optimizer.step()
    return substitute.eval().requires_grad_(False)
