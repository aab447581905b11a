"""From a configuration to an encoder."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from torch import nn

from sparring import norms
from sparring.config import EncoderConfig
from sparring.encoders.bridge import bridge, check_model, feature_width, find_function, nearest
from sparring.encoders.cnn import CNN, WIDTHS
from sparring.encoders.encoder import ContrastiveEncoder
from sparring.encoders.head import build_head
from sparring.encoders.prototypes import Prototypes
from sparring.encoders.resnet import LAYERS, ResNet20, cifar_resnet
from sparring.encoders.wide_resnet import WideResNet, depth_and_width

MORE = {
    "wrn-34-10": "WideResNet-34-10 for 32-pixel images, 46.2 million parameters, 640 features",
    "wrn-28-10": "WideResNet-28-10 for 32-pixel images, 36.5 million parameters, 640 features",
    "wrn-DEPTH-WIDTH": "a WideResNet of any depth 6 n + 4 and any width, such as wrn-16-8; 64 WIDTH features",
    "cnn": "Carlini & Wagner's CNN of MNIST: 4 convolutions of 32 and 64 channels, 2 linear layers, 200 features",
    "cnn-cifar": "Carlini & Wagner's CNN of CIFAR-10: 4 convolutions of 64 and 128 channels, 2 linear layers, 256 features",
}
ADV_MOMENTUM = 0.01
"""CLAE's, where a configuration says nothing."""
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
    return ours | MORE | BRIDGES


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
    elif name.startswith("wrn-"):
        depth_and_width(name)
    elif name not in known or name in BRIDGES:
        raise ValueError(f"encoder.name is {name!r}; it must be one of {', '.join(known)}{nearest(name, known)}")


def build_encoder(
    config: EncoderConfig,
    *,
    channels: int,
    image_size: int,
    dual: bool,
    classes: int | None = None,
    prototypes: int | None = None,
    queue: int = 0,
) -> ContrastiveEncoder:
    """The encoder that a resolved configuration describes; with `dual`, every batch norm has an adversarial twin, with
    `classes`, a linear layer from h to class scores stands beside the head, with `prototypes`, so many of them stand
    behind it, and `queue` earlier embeddings of each view.

    First weights come from torch's global random state, the same ones with and without `dual`, and for backbone and
    head the same ones with and without `classes` and `prototypes`. The backbone is tried on one image of the given size in
    pixels.

    Raises ValueError for an unknown name (naming the nearest), a wrong head, mean and std that do not fit the images'
    channels, less than two classes or prototypes, a backbone that cannot take such images, and `dual` without any batch norm.
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
    if classes is not None and classes < 2:
        raise ValueError(f"classes is {classes}; a classifier tells at least 2 apart (None: no classifier)")
    check_name(config.name)
    backbone = _backbone(config.name, channels, image_size)
    features = feature_width(backbone, config.name, channels, image_size)
    head, dim = build_head(config.head, features, config.dim, config.hidden)
    classifier = (
        None if classes is None else nn.Linear(features, classes)
    )  # after the head: it changes no other first weight
    compared = None if prototypes is None else Prototypes(prototypes, dim, queue)
    architecture: dict[str, Any] = {
        "encoder": asdict(config),
        "channels": channels,
        "image_size": image_size,
        "dual": dual,
        "classes": classes,
        "prototypes": prototypes,
        "queue": queue,
    }
    encoder = ContrastiveEncoder(
        backbone,
        head,
        mean,
        std,
        features=features,
        dim=dim,
        classifier=classifier,
        prototypes=compared,
        architecture=architecture,
    )
    if dual:
        try:
            norms.convert(encoder, ADV_MOMENTUM if config.adv_momentum is None else config.adv_momentum)
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
        classes=architecture.get("classes"),  # not said by files written before there were classifiers
        prototypes=architecture.get("prototypes"),
        queue=architecture.get("queue", 0),
    )


def _backbone(name: str, channels: int, image_size: int) -> nn.Module:
    if name == "resnet20":
        return ResNet20(channels)
    if name.startswith("wrn-"):
        return WideResNet(*depth_and_width(name), channels)
    if name in WIDTHS:
        return CNN(name, channels, image_size)
    return cifar_resnet(name, channels) if name in LAYERS else bridge(name, channels, image_size)
