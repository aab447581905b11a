"""Checkpoint files of published layouts with first weights, for a smoke test of recipes whose weights the user brings."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import save_file
from torch import nn

from sparring.config import DataConfig
from sparring.data import load_images
from sparring.encoders.published.resnet import PublishedResNet
from sparring.measuring import WeightsConfig

LAYOUTS = ("torchvision", "simclr", "swav")
WIDTH, HEAD = 8, 16


def make_weights(
    layout: Literal["torchvision", "simclr", "swav"], file: Path, data: DataConfig
) -> tuple[Path, WeightsConfig]:
    """A narrow ResNet under the names of `layout`, of first weights, and how it is read: for the channels and classes of
    `data`. swav has its classifier in a file of its own, as published. The same arguments give the same bytes."""
    train, _ = load_images(data, seed=0)
    classes = len(train.classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(LAYOUTS.index(layout))
        network = PublishedResNet(train.channels, WIDTH, [1, 1, 1, 1], bottleneck=False, inner=WIDTH, groups=1, stem=7)
        classifier, head = nn.Linear(network.features, classes), nn.Linear(network.features, HEAD)
    tensors = dict(network.state_dict())
    config = WeightsConfig(layout=layout)
    if train.channels != 3:  # a layout's constants are those of colours
        config.mean, config.std = [0.5], [0.5]
    if layout == "swav":
        linear = file.with_name(f"linear-{file.name}")
        save_file({f"module.linear.{name}": value for name, value in classifier.state_dict().items()}, linear)
        tensors |= {f"projection_head.{name}": value for name, value in head.state_dict().items()}
        tensors["prototypes.weight"] = torch.eye(HEAD)
        config.linear = str(linear)
    else:
        tensors |= {f"fc.{name}": value for name, value in classifier.state_dict().items()}
    save_file(tensors, file)
    return file, config
