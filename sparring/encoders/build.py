"""From a configuration to an encoder."""

from __future__ import annotations

import difflib
from dataclasses import asdict
from typing import Any

from torch import nn

from sparring import norms
from sparring.config import EncoderConfig
from sparring.encoders.bridge import PooledFeatures, feature_width, from_python, from_timm, from_torchvision
from sparring.encoders.encoder import ContrastiveEncoder
from sparring.encoders.head import build_head
from sparring.encoders.resnet import LAYERS, ResNet20, cifar_resnet

PREFIXES = {
    "torchvision": "torchvision:NAME, any torchvision classification model, untrained",
    "timm": "timm:NAME, any timm model, untrained (pip install 'sparring[models]')",
    "python": "python:MODULE.FUNCTION, a function of yours that returns an nn.Module with features",
}


def encoder_names() -> dict[str, str]:
    """Every encoder with one line about it."""
    ours = {"resnet20": "He et al. 2016 for CIFAR, 0.27 million parameters, 64 features"}
    ours |= {
        name: f"ResNet-{name[6:]} with a 3x3 stem for 32-pixel images, {512 * block.expansion} features"
        for name, (block, _) in LAYERS.items()
    }
    return ours | {f"{prefix}:": line for prefix, line in PREFIXES.items()}


def build_encoder(config: EncoderConfig, *, channels: int, image_size: int, dual: bool) -> ContrastiveEncoder:
    """The encoder of a resolved configuration; with `dual`, every batch norm has an adversarial twin.

    Raises ValueError for an unknown name (naming the nearest), a wrong head, or mean and std that do not fit the images'
    channels. First weights come from torch's global random state.
    """
    assert config.name is not None and config.head is not None and config.dim is not None
    mean, std = config.mean, config.std
    if mean is None or std is None or len(mean) != channels or len(std) != channels:
        raise ValueError(
            f"encoder.mean is {mean} and encoder.std {std}; the images need {channels} values each, one a channel"
        )
    backbone = _backbone(config.name, channels)
    features = feature_width(backbone, channels, image_size)
    head, dim = build_head(config.head, features, config.dim, config.hidden)
    architecture: dict[str, Any] = {
        "encoder": asdict(config),
        "channels": channels,
        "image_size": image_size,
        "dual": dual,
    }
    encoder = ContrastiveEncoder(
        backbone, head, mean=mean, std=std, features=features, dim=dim, architecture=architecture
    )
    if dual:
        norms.convert(encoder, config.adv_momentum)
    return encoder


def rebuild(architecture: dict[str, Any]) -> ContrastiveEncoder:
    """The encoder of an `architecture` dict, with fresh weights."""
    return build_encoder(
        EncoderConfig(**architecture["encoder"]),
        channels=architecture["channels"],
        image_size=architecture["image_size"],
        dual=architecture["dual"],
    )


def check_name(name: str) -> None:
    """Raises ValueError unless `name` is one of ours or has a bridge's prefix."""
    prefix, _, rest = name.partition(":")
    if name in ("resnet20", *LAYERS) or (prefix in PREFIXES and rest):
        return
    known = ["resnet20", *LAYERS, *(f"{p}:NAME" for p in PREFIXES)]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"encoder.name is {name!r}; it must be one of {', '.join(known)}{hint}")


def _backbone(name: str, channels: int) -> nn.Module:
    check_name(name)
    prefix, _, rest = name.partition(":")
    if name == "resnet20":
        return ResNet20(channels)
    if name in LAYERS:
        return cifar_resnet(name, channels)
    if prefix == "torchvision":
        return PooledFeatures(from_torchvision(rest, channels), name)
    if prefix == "timm":
        return PooledFeatures(from_timm(rest, channels), name)
    return PooledFeatures(from_python(rest), name)
