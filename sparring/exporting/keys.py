"""Under which names a backbone's tensors stand: ours, or torchvision's or timm's where they have the network."""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import Tensor, nn

from sparring.encoders import ContrastiveEncoder
from sparring.encoders.bridge import PooledFeatures, bridge
from sparring.encoders.exported import WEIGHTS, WHOLE
from sparring.encoders.resnet import LAYERS

LIBRARIES = ("torchvision", "timm")
FORMATS = (WHOLE, *LIBRARIES)
SHARED = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
"""The same networks with the same keys in both libraries."""
LARGEST_DIFFERENCE = 1e-5
"""Of features in the library's own network, over their largest value: rounding, nothing else."""


def model_of(name: str, library: str) -> str:
    """What `library` calls the encoder `name`; a ValueError if it has no such network."""
    package, _, rest = name.partition(":")
    if name in LAYERS:
        return name
    if package == library or (package in LIBRARIES and rest in SHARED):
        return rest
    raise ValueError(
        f"format is {library}, but {name} is no network of {library}: use --format {WHOLE} ({', '.join(LAYERS)} and "
        f"{library}:NAME have {library}'s keys)"
    )


def prefix_of(encoder: ContrastiveEncoder) -> str:
    """What stands before the backbone's own names in our state dict."""
    return "backbone.network." if isinstance(encoder.backbone, PooledFeatures) else "backbone."


def bare(encoder: ContrastiveEncoder) -> dict[str, Tensor]:
    """The backbone's tensors under its own names."""
    prefix = prefix_of(encoder)
    found = {key: value for key, value in encoder.state_dict().items() if key.startswith(prefix)}
    return {key.removeprefix(prefix): value for key, value in found.items()}


def check_same(encoder: ContrastiveEncoder, library: str, images: Tensor) -> float:
    """Load the backbone strictly into the library's own network, and compare features; the relative difference.

    Raises ValueError if keys or shapes differ, and RuntimeError if the features do.
    """
    name = encoder.architecture["encoder"]["name"]
    with torch.random.fork_rng(devices=[]):
        theirs = bridge(f"{library}:{model_of(name, library)}", images.shape[1], images.shape[-1])
    network: Any = theirs.get_submodule("network")
    if name in LAYERS:
        width = network.conv1.out_channels
        network.conv1 = nn.Conv2d(images.shape[1], width, 3, padding=1, bias=False)
        network.maxpool = nn.Identity()
    try:
        network.load_state_dict(bare(encoder))
    except RuntimeError as error:
        first = " ".join(str(error).split())[:200]
        raise ValueError(f"format is {library}, but {name} does not fit {library}'s network: {first}") from error
    with torch.no_grad():
        ours, found = encoder.represent(images), theirs.eval()(encoder.normalize(images))
    difference = ((ours - found).abs().max() / ours.abs().max().clamp_min(1e-12)).item()
    if not difference <= LARGEST_DIFFERENCE:
        raise RuntimeError(
            f"{library}'s {model_of(name, library)} gives other features than the encoder (largest difference "
            f"{difference:.2g} of the largest feature): it is not exported; use --format {WHOLE}"
        )
    return difference


def loading_lines(name: str, library: str, channels: int, image_size: int) -> list[str]:
    """Python that makes the library's network into which model.safetensors goes strictly."""
    model = model_of(name, library)
    if library == "timm":
        timm: Any = importlib.import_module("timm")
        known = timm.get_pretrained_cfg(model)
        options = f", in_chans={channels}" if channels != 3 and name not in LAYERS else ""
        options += f", img_size={image_size}" if known is not None and known.fixed_input_size else ""
        lines = [f'network = timm.create_model("{model}", num_classes=0{options})']
    else:
        models: Any = importlib.import_module("torchvision.models")
        options = f", image_size={image_size}" if model.startswith("vit_") else ""
        options = f", input_size=({image_size}, {image_size})" if model.startswith("maxvit_") else options
        options = ", aux_logits=False, init_weights=True" if model in ("googlenet", "inception_v3") else options
        with torch.device("meta"):
            whole = models.get_model(model, weights=None)
        layers = [(place, part) for place, part in whole.named_modules() if isinstance(part, nn.Linear | nn.Conv2d)]
        lines = [f'network = torchvision.models.get_model("{model}"{options})']
        lines.append(_exchange(layers[-1][0], "torch.nn.Identity()"))
        if channels != 3 and name not in LAYERS:
            lines.append(_exchange(layers[0][0], _convolution(layers[0][1], channels)))
    if name in LAYERS:
        lines += [
            f"network.conv1 = torch.nn.Conv2d({channels}, 64, 3, padding=1, bias=False)",
            "network.maxpool = torch.nn.Identity()",
        ]
    imports = [f"import {each}" for each in sorted(("torch", library))]
    lines += [f'network.load_state_dict(load_file("{WEIGHTS}"))', "network.eval()"]
    return [*imports, "from safetensors.torch import load_file", "", *lines]


def _exchange(place: str, by: str) -> str:
    """The line that puts another layer in a place."""
    parent, _, last = place.rpartition(".")
    return f'setattr(network.get_submodule("{parent}"), "{last}", {by})' if parent else f"network.{last} = {by}"


def _convolution(conv: nn.Module, channels: int) -> str:
    """The same convolution of other channels, as it is written."""
    assert isinstance(conv, nn.Conv2d)
    sizes = f"{conv.kernel_size}, {conv.stride}, {conv.padding}, bias={conv.bias is not None}"
    return f"torch.nn.Conv2d({channels}, {conv.out_channels}, {sizes})"
