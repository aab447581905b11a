"""A user's own backbones, good and bad, as `python:tests.encoders.backbones.NAME` finds them."""

import torch
from torch import nn

not_a_function = 3


def small():
    return nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5))


def of_any_channels(channels, image_size, depth=2):
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * image_size**2, depth * 3))


class Maps(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 7, 1)

    def forward(self, x):
        return self.conv(x)


class Pair(Maps):
    def forward(self, x):
        return self.conv(x), x


class Tokens(Maps):
    def forward(self, x):
        return self.conv(x).flatten(2)


class Fixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3 * 16 * 16, 4)

    def forward(self, x):
        return self.linear(x.flatten(1))


def lazy():
    return nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def no_module():
    return torch.zeros(3)


def fails():
    raise RuntimeError("no such weights here")
