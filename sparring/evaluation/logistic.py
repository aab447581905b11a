"""Logistic regression on frozen features, the linear evaluation of CLAE's tables.

One linear layer, cross-entropy, Adam with a constant rate, no augmentation: so features are computed once and kept.

Code: chihhuiho/CLAE, SimCLR/eval_lr.py and Plain/eval.py: Adam 3e-4, 1,000 epochs (CIFAR), batch 256 (SimCLR) or 128.
Differs from:
- the published figure is the best TEST accuracy over epochs; here the LAST epoch counts, unless a protocol says paper;
- the published test loader drops its last incomplete batch (9,984 of CIFAR's 10,000 images count); here all count;
- its training loader drops the last incomplete batch too; here it is used;
- gradients are written out, which halves the time of autograd (same steps as torch.optim.Adam).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


@torch.no_grad()
def fit_logistic(
    train_features: Float[Tensor, "N D"],
    train_labels: Int[Tensor, " N"],
    *,
    epochs: int = 1000,
    lr: float = 3e-4,
    batch_size: int = 256,
    classes: int | None = None,
    seed: int = 0,
    after_epoch: Callable[[int, nn.Linear], None] | None = None,
) -> nn.Linear:
    """The linear layer D -> classes after the last epoch, where the features are.

    A batch's gradient is, with P = softmax(X W^T + b) and one-hot labels Y,
    dW = (P - Y)^T X / B and db = sum (P - Y) / B; Adam (Kingma & Ba 2015) moves both.
    One permutation an epoch from a generator of its own (`seed`), which also draws the first weights, uniform in
    +-1/sqrt(D) as nn.Linear's; the global random state is not touched. The last, smaller batch is used too.
    `after_epoch(epoch, layer)` is called with epochs counted from 1.

    Raises ValueError for epochs or batch_size below 1, lr <= 0, or labels outside 0..classes-1.
    """
    x, labels, classes = training_rows(train_features, train_labels, epochs, lr, batch_size, classes)
    (images, width), device = x.shape, x.device
    one_hot = functional.one_hot(labels, classes).float()

    generator = torch.Generator().manual_seed(seed)
    # one flat buffer each for parameters, gradient and moments: Adam is then a handful of calls, not one per tensor
    theta = (
        torch.empty(classes * width + classes).uniform_(-1, 1, generator=generator).div_(math.sqrt(width)).to(device)
    )
    gradient, first, second, root = (torch.zeros_like(theta) for _ in range(4))
    weight, bias = _views(theta, classes, width)
    weight_gradient, bias_gradient = _views(gradient, classes, width)
    layer = nn.Linear(width, classes, device="meta")
    layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)  # shares theta, so it is always up to date

    step = 0
    for epoch in range(1, epochs + 1):
        for batch in torch.randperm(images, generator=generator).to(device).split(batch_size):
            rows = x.index_select(0, batch)
            error = torch.addmm(bias, rows, weight.T).softmax(dim=1)
            error.sub_(one_hot.index_select(0, batch)).div_(len(batch))
            torch.mm(error.T, rows, out=weight_gradient)
            torch.sum(error, dim=0, out=bias_gradient)
            step += 1
            first.lerp_(gradient, 1 - BETA1)
            second.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
            correction = math.sqrt(1 - BETA2**step)
            torch.sqrt(second, out=root).add_(EPSILON * correction)
            theta.addcdiv_(first, root, value=-lr * correction / (1 - BETA1**step))
        if after_epoch is not None:
            after_epoch(epoch, layer)
    if not theta.isfinite().all():
        raise ValueError("logistic regression: the weights became infinite or NaN; are the features finite?")
    layer.weight, layer.bias = nn.Parameter(weight.clone()), nn.Parameter(bias.clone())
    return layer


def training_rows(
    features: Float[Tensor, "N D"],
    labels: Int[Tensor, " N"],
    epochs: int,
    lr: float,
    batch_size: int,
    classes: int | None,
) -> tuple[Float[Tensor, "N D"], Int[Tensor, " N"], int]:
    """Features in float32, labels beside them, and the number of classes; ValueError for what cannot be fitted."""
    if epochs < 1 or batch_size < 1:
        raise ValueError(f"epochs and batch_size must be at least 1, not epochs={epochs}, batch_size={batch_size}")
    if not lr > 0:
        raise ValueError(f"lr must be above 0, not {lr}")
    if not len(features) or len(labels) != len(features):
        raise ValueError(f"{len(features)} training features need as many labels, and one at least, not {len(labels)}")
    labels = labels.to(features.device).long()
    classes = int(labels.max()) + 1 if classes is None else classes
    if int(labels.min()) < 0 or int(labels.max()) >= classes:
        raise ValueError(f"training labels must lie in 0..{classes - 1}")
    return features.float().contiguous(), labels, classes


@torch.no_grad()
def accuracy(
    layer: nn.Module, features: Float[Tensor, "M D"], labels: Int[Tensor, " M"], *, batch_size: int = 8192
) -> float:
    """Fraction in [0, 1] of rows whose highest score is their label's."""
    if not len(labels) or len(labels) != len(features):
        raise ValueError(f"{len(features)} test features need as many labels, and one at least")
    device = next(layer.parameters()).device
    right = sum(
        (layer(rows.to(device)).argmax(dim=1) == truth.to(device)).sum().item()
        for rows, truth in zip(features.split(batch_size), labels.split(batch_size), strict=True)
    )
    return right / len(labels)


def _views(flat: Tensor, classes: int, width: int) -> tuple[Tensor, Tensor]:
    """The weight and the bias that lie behind each other in `flat`."""
    return flat[: classes * width].view(classes, width), flat[classes * width :]
