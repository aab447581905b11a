"""Multinomial logistic regression with an L2 penalty, fitted by L-BFGS on all features at once."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

TOLERANCE = 1e-5
"""Largest entry of the mean objective's gradient, for features of mean square 1, at which the fit has converged."""


class Fit(NamedTuple):
    """A fitted layer D -> K in float64."""

    weight: Float[Tensor, "K D"]
    bias: Float[Tensor, " K"]
    converged: bool
    """Whether the gradient fell below the tolerance, or the objective stopped falling, before the last iteration."""

    def predict(self, features: Float[Tensor, "n D"]) -> Int[Tensor, " n"]:
        """The class of the highest score."""
        rows = [(x.to(self.weight) @ self.weight.T + self.bias).argmax(dim=1).cpu() for x in features.split(8192)]
        return torch.cat(rows)

    @property
    def layer(self) -> nn.Linear:
        """The same as a module in float32."""
        layer = nn.Linear(self.weight.shape[1], len(self.bias), device=self.weight.device)
        with torch.no_grad():
            layer.weight.copy_(self.weight)
            layer.bias.copy_(self.bias)
        return layer


@torch.no_grad()
def fit_l2(
    features: Float[Tensor, "n D"],
    labels: Int[Tensor, " m"],
    l2: float,
    *,
    classes: int,
    start: Fit | None = None,
    max_iterations: int = 500,
) -> Fit:
    """min over W, b of  sum_i CE(W x_i + b, y_i) + l2/2 |W|^2 , where the features are.

    The bias is not penalised. This is scikit-learn's LogisticRegression(C=1/l2); in float64, since at small l2 the minimum is
    flat. `start` (None: zero) saves iterations along a path of l2, no more: the objective is convex.
    Raises ValueError for a negative l2, features that are not finite, or labels outside 0..classes-1.
    """
    from scipy.optimize import minimize

    if not (l2 >= 0 and math.isfinite(l2)):
        raise ValueError(f"l2 must be 0 or more, not {l2}")
    if not len(features) or len(labels) != len(features):
        raise ValueError(f"{len(features)} features need as many labels, and one at least, not {len(labels)}")
    if int(labels.min()) < 0 or int(labels.max()) >= classes:
        raise ValueError(f"labels must lie in 0..{classes - 1}")
    x, y = features.double(), labels.to(features.device).long()
    if not x.isfinite().all():
        raise ValueError("features are infinite or NaN: nothing can be fitted to them")
    # the same problem in W * scale, whose gradient does not shrink with the features
    scale = x.square().mean().sqrt().item() or 1.0
    x, l2 = x / scale, l2 / scale**2
    (n, width), rows = x.shape, torch.arange(len(x), device=x.device)

    def objective(theta: np.ndarray) -> tuple[float, np.ndarray]:
        weight, bias = _parts(torch.from_numpy(theta).to(x.device), classes, width)
        log_p = torch.addmm(bias, x, weight.T).log_softmax(dim=1)
        loss = -log_p[rows, y].sum() + l2 / 2 * weight.square().sum()
        error = log_p.exp_()
        error[rows, y] -= 1
        gradient = torch.cat([torch.addmm(weight, error.T, x, beta=l2).flatten(), error.sum(dim=0)])
        return loss.item() / n, (gradient / n).cpu().numpy()

    first = np.zeros(classes * (width + 1))
    if start is not None:
        first = torch.cat([start.weight.flatten() * scale, start.bias]).cpu().numpy()
    found = minimize(
        objective,
        first,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": max_iterations, "maxfun": 2 * max_iterations, "gtol": TOLERANCE, "ftol": 64 * 2.0**-52},
    )
    weight, bias = _parts(torch.from_numpy(found.x).to(x.device), classes, width)
    return Fit(weight / scale, bias, bool(found.success))


def _parts(theta: Tensor, classes: int, width: int) -> tuple[Tensor, Tensor]:
    return theta[: classes * width].view(classes, width), theta[classes * width :]
