"""Linear probe on frozen features: stochastic gradient descent with a falling rate.

One linear layer, cross-entropy, no augmentation; the settings are those of RoCL's linear evaluation: SGD 0.1 with
momentum 0.9 and weight decay 5e-4, batch 1,024, 150 epochs, a tenth of the rate from epochs 30, 50 and 100 on; the
last epoch counts.

Code: Kim-Minseon/RoCL, linear_eval.py.
Differs from: features are computed once, the published script encodes the images anew in every epoch (same values).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from sparring.evaluation.logistic import training_rows


def fit_linear(
    train_features: Float[Tensor, "N D"],
    train_labels: Int[Tensor, " N"],
    *,
    epochs: int = 150,
    lr: float = 0.1,
    momentum: float = 0.9,
    weight_decay: float = 5e-4,
    batch_size: int = 1024,
    milestones: tuple[int, ...] = (30, 50, 100),
    classes: int | None = None,
    seed: int = 0,
    factor: float = 0.1,
    init: Literal["uniform", "zero"] = "uniform",
    renew: Callable[[int], Float[Tensor, "N D"]] | None = None,
    after_epoch: Callable[[int, nn.Linear], None] | None = None,
) -> nn.Linear:
    """The linear layer D -> classes after the last epoch, where the features are.

    First weights (uniform in +-1/sqrt(D), or zero) and the order of images come from a generator of their own (`seed`).
    The rate is lr * factor^(milestones passed). `renew(epoch)` gives the features of every epoch but the first, which is 1
    and has `train_features`: those of images augmented anew. `after_epoch(epoch, layer)` is called with epochs from 1 on.
    Raises ValueError for epochs or batch_size below 1, lr <= 0, labels outside 0..classes-1, or weights that are not finite.
    """
    x, labels, classes = training_rows(train_features, train_labels, epochs, lr, batch_size, classes)
    (images, width), device = x.shape, x.device
    generator = torch.Generator().manual_seed(seed)
    layer = new_head(width, classes, init, generator).to(device)
    optimizer = torch.optim.SGD(layer.parameters(), lr=lr, momentum=momentum, weight_decay=weight_decay)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, list(milestones), gamma=factor)
    with torch.enable_grad():
        for epoch in range(1, epochs + 1):
            if renew is not None and epoch > 1:
                x = renew(epoch).to(x)
            for batch in torch.randperm(images, generator=generator).to(device).split(batch_size):
                optimizer.zero_grad()
                functional.cross_entropy(layer(x[batch]), labels[batch]).backward()
                optimizer.step()
            scheduler.step()
            if after_epoch is not None:
                after_epoch(epoch, layer)
    if not all(parameter.isfinite().all() for parameter in layer.parameters()):
        raise ValueError(f"linear classifier: the weights became infinite or NaN; are the features finite? lr is {lr}")
    return layer


def new_head(width: int, classes: int, init: Literal["uniform", "zero"], generator: torch.Generator) -> nn.Linear:
    """A linear layer on the CPU whose first weights are zero, or uniform in +-1/sqrt(width), drawn weight first."""
    layer = nn.Linear(width, classes, device="meta").to_empty(device="cpu")
    bound = 1 / math.sqrt(width) if init == "uniform" else 0.0
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-bound, bound, generator=generator)
    return layer
