"""Backbones of others: any torchvision or timm model name, any function that returns a module with features.

torchvision and timm models come without weights and without their last layer: h is what that layer would have read.
Both packages are imported when a name asks for them.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn


class PooledFeatures(nn.Module):
    """A backbone whose feature maps [B, D, h, w] are averaged over the image; vectors [B, D] pass as they are."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Features [B, D]. Raises TypeError for anything but a tensor with two or four axes."""
        features = self.network(x)
        if not isinstance(features, Tensor):
            raise TypeError(f"features must be one tensor [B, D] or [B, D, h, w], not a {type(features).__name__}")
        if features.ndim not in (2, 4):
            raise TypeError(f"features must be [B, D] or [B, D, h, w], not of shape {list(features.shape)}")
        return features.mean(dim=(2, 3)) if features.ndim == 4 else features


def bridge(name: str, channels: int, image_size: int) -> nn.Module:
    """The backbone `torchvision:NAME`, `timm:NAME` or `python:MODULE.FUNCTION`.

    Raises ValueError for a name that is not there (with the nearest) and for a model that cannot be built.
    """
    package, _, rest = name.partition(":")
    if package == "python":
        build = find_function(rest)
        offered = {"channels": channels, "image_size": image_size}
        options = {key: value for key, value in offered.items() if key in _parameters(build)}
    else:
        check_model(package, rest)
        options = {"channels": channels, "image_size": image_size}
        build = functools.partial(_torchvision if package == "torchvision" else _timm, rest)
    try:
        network = build(**options)
    except Exception as error:
        raise ValueError(
            f"encoder.name {name} cannot be built for {channels} x {image_size} x {image_size}: {error}"
        ) from error
    if not isinstance(network, nn.Module):
        raise ValueError(f"encoder.name {name} must return an nn.Module, not a {type(network).__name__}")
    return PooledFeatures(network)


def check_model(package: str, name: str) -> None:
    """Raises ValueError unless `package`, torchvision or timm, is installed and has a model `name`."""
    try:
        library = importlib.import_module(package)
    except ImportError as error:
        raise ValueError(f"encoder.name {package}:{name} needs {package}: pip install 'sparring[models]'") from error
    # timm's names without tags of weights, and torchvision's classifiers, are those that can be built untrained
    known = library.list_models() if package == "timm" else library.models.list_models(module=library.models)
    if name not in known:
        listing = "timm.list_models()" if package == "timm" else "torchvision.models.list_models()"
        raise ValueError(f"encoder.name: {package} has no model {name!r}{nearest(name, known)} (see {listing})")


def find_function(place: str, field: str = "encoder.name") -> Callable[..., Any]:
    """The function at MODULE.FUNCTION, looked for in the working directory too.

    It is called with `channels` and `image_size`, if it has parameters of these names. Raises ValueError if there is none.
    """
    name = f"{field} python:{place}"
    module_name, _, function = place.rpartition(".")
    if not module_name:
        raise ValueError(f"{name} must be python:MODULE.FUNCTION, a function that returns an nn.Module")
    if not {"", os.getcwd()} & set(sys.path):  # noqa: PTH109
        sys.path.append(os.getcwd())  # noqa: PTH109
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # a user's file may fail in any way
        raise ValueError(f"{name}: {module_name} cannot be imported: {type(error).__name__}: {error}") from error
    found = getattr(module, function, None)
    if not callable(found):
        missing = "is no function" if hasattr(module, function) else f"is not there{nearest(function, vars(module))}"
        raise ValueError(f"{name}: {function!r} {missing} in {module_name}")
    return found


def feature_width(backbone: nn.Module, name: str, channels: int, image_size: int) -> int:
    """The width of h, from one forward of a black image in evaluation mode that leaves the module as it was.

    Raises ValueError if the backbone cannot take such an image or returns no features [B, D].
    """
    modes = [(module, module.training) for module in backbone.modules()]
    place = next(backbone.parameters(), torch.zeros(()))
    try:
        with torch.no_grad():
            width = backbone.eval()(torch.zeros(1, channels, image_size, image_size).to(place))
        if not isinstance(width, Tensor) or width.ndim != 2:
            raise TypeError("features must be one tensor [B, D]")
        return width.shape[1]
    except Exception as error:
        raise ValueError(
            f"encoder.name {name} cannot encode an image of {channels} x {image_size} x {image_size}: {error}"
        ) from error
    finally:
        for module, mode in modes:
            module.training = mode


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint at the known word that `word` was probably meant to be, or nothing."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _torchvision(name: str, channels: int, image_size: int) -> nn.Module:
    from torchvision import models

    options: dict[str, Any] = {}
    if name in ("googlenet", "inception_v3"):
        options = {"aux_logits": False, "init_weights": True}
    elif name.startswith("vit_"):
        options = {"image_size": image_size}
    elif name.startswith("maxvit_"):
        options = {"input_size": (image_size, image_size)}
    network = models.get_model(name, weights=None, **options)
    layers = {place: part for place, part in network.named_modules() if isinstance(part, nn.Linear | nn.Conv2d)}
    _replace(network, list(layers)[-1], nn.Identity())  # the classifier, a 1x1 convolution in SqueezeNet
    first, conv = next((place, part) for place, part in layers.items() if isinstance(part, nn.Conv2d))
    if conv.in_channels != channels:
        _replace(network, first, _with_channels(conv, channels))
    return network


def _timm(name: str, channels: int, image_size: int) -> nn.Module:
    import timm

    pretrained = timm.get_pretrained_cfg(name)
    options: dict[str, Any] = {"img_size": image_size} if pretrained is not None and pretrained.fixed_input_size else {}
    return timm.create_model(name, pretrained=False, num_classes=0, in_chans=channels, **options)


def _with_channels(conv: nn.Conv2d, channels: int) -> nn.Conv2d:
    """The same convolution of other channels, with He initialisation."""
    fresh = nn.Conv2d(
        channels,
        conv.out_channels,
        conv.kernel_size,  # pyright: ignore[reportArgumentType]
        conv.stride,  # pyright: ignore[reportArgumentType]
        conv.padding,  # pyright: ignore[reportArgumentType]
        bias=conv.bias is not None,
    )
    nn.init.kaiming_normal_(fresh.weight, mode="fan_out", nonlinearity="relu")
    return fresh


def _replace(network: nn.Module, place: str, part: nn.Module) -> None:
    parent, _, name = place.rpartition(".")
    setattr(network.get_submodule(parent), name, part)


def _parameters(function: Callable[..., Any]) -> Iterable[str]:
    try:
        return inspect.signature(function).parameters
    except ValueError:  # a builtin that does not say
        return ()
