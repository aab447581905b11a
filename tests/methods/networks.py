"""Small encoders for tests of methods: real convolutions and real batch norms, quick on one core."""

import torch
from torch import nn
from torch.nn import functional as F

from sparring import norms
from sparring.encoders import Prototypes
from sparring.types import Outputs, Scored


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


class SmallClassifier(SmallEncoder):
    """The same with one norm and a classifier beside the head."""

    def __init__(self, classes: int = 3, **settings):
        super().__init__(**({"dual": False} | settings))
        self.classifier = nn.Linear(24, classes)

    def outputs(self, x, domain="clean"):
        self.calls.append((domain, torch.is_grad_enabled()))
        h = self.represent(x, domain)
        z, logits = self.head(h), self.classifier(h)
        return Outputs(h, F.normalize(exact(z), dim=-1), exact(logits))


class SmallClustering(SmallEncoder):
    """The same with one norm and prototypes behind the head, of views [V B C H W] too."""

    def __init__(self, prototypes: int = 5, queue: int = 0, **settings):
        super().__init__(**({"dual": False} | settings))
        self.prototypes = Prototypes(prototypes, self.head.out_features, queue)

    def scored(self, x, domain="clean"):
        z = self(x.flatten(0, -4), domain).unflatten(0, x.shape[:-3])
        return Scored(z, self.prototypes(z))


def exact(x):
    return x.float() if x.dtype == torch.bfloat16 else x
