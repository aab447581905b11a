"""LARS against a loop of the paper's algorithm; what a configuration builds."""

import math

import pytest
import torch
from torch import nn

from sparring.config import OptimizerConfig
from sparring.training import LARS, build_optimizer


def lars_by_hand(w, gradients, *, lr, momentum, decay, adapt):
    """You et al. 2017, Algorithm 1, on a list of floats."""
    velocity = [0.0] * len(w)
    for g in gradients:
        local = 1.0
        if adapt:
            norm_w, norm_g = math.sqrt(sum(v * v for v in w)), math.sqrt(sum(v * v for v in g))
            local = 0.001 * norm_w / (norm_g + decay * norm_w + 1e-8)
        velocity = [momentum * v + lr * local * (gi + decay * wi) for v, gi, wi in zip(velocity, g, w, strict=True)]
        w = [wi - v for wi, v in zip(w, velocity, strict=True)]
    return w


@pytest.mark.parametrize("adapt", [True, False])
def test_lars_equals_the_papers_loop(adapt):
    torch.manual_seed(1)
    start, gradients = torch.randn(6, dtype=torch.float64), torch.randn(5, 6, dtype=torch.float64)
    p = nn.Parameter(start.clone())
    optimizer = LARS([{"params": [p], "adapt": adapt}], lr=0.7, momentum=0.9, weight_decay=0.01)
    for g in gradients:
        p.grad = g.clone()
        optimizer.step()
    expected = lars_by_hand(start.tolist(), gradients.tolist(), lr=0.7, momentum=0.9, decay=0.01, adapt=adapt)
    torch.testing.assert_close(p.data, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=0)


def test_lars_leaves_biases_and_batch_norms_without_adaptation_and_decay():
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    config = OptimizerConfig(name="lars", lr=0.5, momentum=0.0, weight_decay=0.1)
    optimizer = build_optimizer(network, config)
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    for p in network.parameters():
        p.grad = torch.ones_like(p)
    optimizer.step()
    for name in ("0.bias", "1.weight", "1.bias"):
        torch.testing.assert_close(network.get_parameter(name).data, before[name] - 0.5)
    moved = (network.get_parameter("0.weight").data - before["0.weight"]).norm() / before["0.weight"].norm()
    assert 0 < moved < 0.5 * 0.001 * 1.2


def test_lars_lets_weights_that_are_zero_move():
    p = nn.Parameter(torch.zeros(2, 2))
    p.grad = torch.ones(2, 2)
    LARS([p], lr=0.1).step()
    assert torch.equal(p.data, torch.full((2, 2), -0.1))


def test_sgd_and_adam_take_their_settings():
    network = nn.Linear(2, 2)
    sgd = build_optimizer(network, OptimizerConfig(name="sgd", lr=0.03, momentum=0.9, weight_decay=5e-4))
    adam = build_optimizer(network, OptimizerConfig(name="adam", lr=3e-4, momentum=0.9, weight_decay=0.0))
    assert isinstance(sgd, torch.optim.SGD)
    assert (sgd.defaults["lr"], sgd.defaults["momentum"], sgd.defaults["weight_decay"]) == (0.03, 0.9, 5e-4)
    assert isinstance(adam, torch.optim.Adam)
    assert adam.defaults["betas"] == (0.9, 0.999)
