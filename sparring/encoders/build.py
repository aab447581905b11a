"""From a configuration to an encoder."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from torch import nn

from sparring import norms
from sparring.config import EncoderConfig
from sparring.encoders.bridge import bridge, check_model, feature_width, find_function, nearest
from sparring.encoders.encoder import ContrastiveEncoder
from sparring.encoders.head import build_head
from sparring.encoders.resnet import LAYERS, ResNet20, cifar_resnet

BRIDGES = {
    "torchvision:NAME": "any classifier of torchvision without its last layer, untrained",
    "timm:NAME": "any timm model without its classifier, untrained (pip install 'sparring[models]')",
    "python:MODULE.FUNCTION": "what a function of yours returns: an nn.Module from images to features",
}


def encoder_names() -> dict[str, str]:
    """Every encoder with one line about it."""
    ours = {"resnet20": "ResNet-20 for 32-pixel images, 0.27 million parameters, 64 features"}
    ours |= {
        name: f"ResNet-{name[6:]} with a 3x3 stem for 32-pixel images, {512 * block.expansion} features"
        for name, (block, _) in LAYERS.items()
    }
    return ours | BRIDGES


def check_name(name: str) -> None:
    """Raises ValueError unless there is an encoder `name`, naming the nearest; nothing is built.

    A model of torchvision or timm is looked up in its package, a function of the user's is imported.
    """
    known = encoder_names()
    package, _, rest = name.partition(":")
    if rest and package in ("torchvision", "timm"):
        check_model(package, rest)
    elif rest and package == "python":
        find_function(rest)
    elif name not in known or name in BRIDGES:
        raise ValueError(f"encoder.name is {name!r}; it must be one of {', '.join(known)}{nearest(name, known)}")


def build_encoder(config: EncoderConfig, *, channels: int, image_size: int, dual: bool) -> ContrastiveEncoder:
    """The encoder that a resolved configuration describes; with `dual`, every batch norm has an adversarial twin.

    First weights come from torch's global random state, the same ones with and without `dual`. The backbone is tried
    on one image of the given size in pixels.

    Raises ValueError for an unknown name (naming the nearest), a wrong head, mean and std that do not fit the images'
    channels, a backbone that cannot take such images, and `dual` without any batch norm.
    """
    if config.name is None or config.head is None or config.dim is None:
        raise ValueError(
            f"encoder.name, head and dim must be given, not {config.name}, {config.head}, {config.dim} "
            "(sparring.training.resolve fills in the method's)"
        )
    if channels < 1 or image_size < 1:
        raise ValueError(f"images must have at least one channel and one pixel, not {channels} x {image_size}")
    mean, std = config.mean, config.std
    if mean is None or std is None or len(mean) != channels or len(std) != channels:
        raise ValueError(
            f"encoder.mean is {mean} and encoder.std {std}; the images need {channels} values each, one a channel"
        )
    check_name(config.name)
    backbone = _backbone(config.name, channels, image_size)
    features = feature_width(backbone, config.name, channels, image_size)
    head, dim = build_head(config.head, features, config.dim, config.hidden)
    architecture: dict[str, Any] = {
        "encoder": asdict(config),
        "channels": channels,
        "image_size": image_size,
        "dual": dual,
    }
    encoder = ContrastiveEncoder(backbone, head, mean, std, features=features, dim=dim, architecture=architecture)
    if dual:
        try:
            norms.convert(encoder, config.adv_momentum)
        except ValueError as error:
            raise ValueError(f"encoder.name {config.name} cannot have two batch norms: {error}") from error
    return encoder


def rebuild(architecture: dict[str, Any]) -> ContrastiveEncoder:
    """The encoder of an `architecture` dict, with fresh weights."""
    return build_encoder(
        EncoderConfig(**architecture["encoder"]),
        channels=architecture["channels"],
        image_size=architecture["image_size"],
        dual=architecture["dual"],
    )


def _backbone(name: str, channels: int, image_size: int) -> nn.Module:
    if name == "resnet20":
        return ResNet20(channels)
    return cifar_resnet(name, channels) if name in LAYERS else bridge(name, channels, image_size)
