from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from sparring.analysis import statistics


class Two(nn.Module):
    def __init__(self, clean: nn.Module, adv: nn.Module) -> None:
        super().__init__()
        self.clean, self.adv = clean, adv


def test_finds_layers_with_both_batch_norms_and_no_others():
    network = nn.Sequential(
        Two(nn.BatchNorm2d(4), nn.BatchNorm2d(4)),
        nn.BatchNorm2d(4),
        nn.Sequential(Two(nn.BatchNorm1d(2), nn.BatchNorm1d(2))),
        Two(nn.Linear(2, 2), nn.BatchNorm1d(2)),
        Two(nn.BatchNorm1d(2, track_running_stats=False), nn.BatchNorm1d(2)),
    )
    network[0].adv.running_mean.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    network[0].adv.running_var.fill_(9.0)
    network[0].clean.running_var.fill_(4.0)
    found = statistics(network)
    assert list(found) == ["0", "2.0"]
    layer = found["0"]
    np.testing.assert_array_equal(layer.adv_mean, [1, 2, 3, 4])
    np.testing.assert_array_equal(layer.clean_mean, 0)
    np.testing.assert_array_equal(layer.adv_var, 9)
    assert layer.mean_gap == pytest.approx((1 + 2 + 3 + 4) / 4 / 2)
    assert layer.var_ratio == pytest.approx(9 / 4)


def test_arrays_are_copies():
    network = nn.Sequential(Two(nn.BatchNorm1d(2), nn.BatchNorm1d(2)))
    layer = statistics(network)["0"]
    network[0].clean.running_mean.fill_(5.0)
    np.testing.assert_array_equal(layer.clean_mean, 0)


def test_a_plain_network_has_none():
    assert statistics(nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))) == {}
