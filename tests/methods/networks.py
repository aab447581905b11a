"""Small encoders for tests of methods: real convolutions and real batch norms, quick on one core."""

import torch
from torch import nn
from torch.nn import functional as F

from sparring import norms


class SmallEncoder(nn.Module):
    """conv-BN-ReLU-pool-linear on [0, 1] images, dual batch norm if asked."""

    std = (0.2, 0.25, 0.3)

    def __init__(self, dual: bool = True, dim: int = 8, seed: int = 0):
        super().__init__()
        torch.manual_seed(seed)
        trunk = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()
        )
        self.trunk = norms.convert(trunk) if dual else trunk
        self.head = nn.Linear(24, dim)
        self.calls: list[tuple[str, bool]] = []

    def forward(self, x, domain="clean"):
        self.calls.append((domain, torch.is_grad_enabled()))
        return F.normalize(self.head(self.represent(x, domain)), dim=-1)

    def represent(self, x, domain="clean"):
        x = (x - 0.5) / torch.tensor(self.std, dtype=x.dtype).view(3, 1, 1)
        with norms.use_domain(self.trunk, domain):
            return self.trunk(x)
