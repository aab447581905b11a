"""Backbones of others: any torchvision or timm model name, any function that returns a module with features."""

from __future__ import annotations

import importlib

import torch
from torch import nn


class PooledFeatures(nn.Module):
    """A backbone whose feature maps [B, D, h, w] are averaged over the image; vectors [B, D] pass as they are."""

    def __init__(self, network: nn.Module, name: str):
        super().__init__()
        self.network = network
        self.name = name

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features [B, D]."""
        features = self.network(x)
        if not isinstance(features, torch.Tensor) or features.ndim not in (2, 4):
            shape = list(features.shape) if isinstance(features, torch.Tensor) else type(features).__name__
            raise ValueError(
                f"encoder.name {self.name}: the module must return features [B, D] or [B, D, h, w], not {shape}"
            )
        return features.mean(dim=(2, 3)) if features.ndim == 4 else features


def from_torchvision(name: str, channels: int) -> nn.Module:
    """torchvision's classification model `name`, untrained, without its last layer."""
    import torchvision

    try:
        network = torchvision.models.get_model(name, weights=None)
    except ValueError:
        raise ValueError(
            f"encoder.name: torchvision has no model {name!r}; see torchvision.models.list_models()"
        ) from None
    for attribute in ("fc", "classifier", "head", "heads"):
        last = getattr(network, attribute, None)
        if isinstance(last, nn.Sequential) and len(last) and isinstance(last[-1], nn.Linear):
            last[-1] = nn.Identity()
            break
        if isinstance(last, nn.Linear):
            setattr(network, attribute, nn.Identity())
            break
    else:
        raise ValueError(f"encoder.name: torchvision:{name} has no classification layer to leave out")
    _take_channels(network, channels)
    return network


def from_timm(name: str, channels: int) -> nn.Module:
    """timm's model `name`, untrained, pooled features."""
    try:
        import timm
    except ImportError:
        raise ValueError(f"encoder.name timm:{name} needs timm: pip install 'sparring[models]'") from None
    if not timm.is_model(name):
        raise ValueError(f"encoder.name: timm has no model {name!r}; see timm.list_models()")
    return timm.create_model(name, pretrained=False, num_classes=0, in_chans=channels)


def from_python(place: str) -> nn.Module:
    """What the function at `module.function` returns."""
    module, _, function = place.rpartition(".")
    try:
        network = getattr(importlib.import_module(module), function)() if module else None
    except (ImportError, AttributeError) as error:
        raise ValueError(f"encoder.name python:{place} cannot be imported: {error}") from error
    if not isinstance(network, nn.Module):
        raise ValueError(f"encoder.name python:{place} must be MODULE.FUNCTION, a function that returns an nn.Module")
    return network


def feature_width(backbone: nn.Module, channels: int, image_size: int) -> int:
    """The width of h, from one forward in evaluation mode that leaves the module as it was."""
    modes = {module: module.training for module in backbone.modules()}
    try:
        backbone.eval()
        with torch.no_grad():
            return backbone(torch.zeros(1, channels, image_size, image_size)).shape[1]
    finally:
        for module, mode in modes.items():
            module.training = mode


def _take_channels(network: nn.Module, channels: int) -> None:
    """Rebuild the first convolution for another number of channels."""
    for parent in network.modules():
        for name, conv in parent.named_children():
            if isinstance(conv, nn.Conv2d):
                if conv.in_channels != channels:
                    fresh = nn.Conv2d(
                        channels,
                        conv.out_channels,
                        conv.kernel_size,  # pyright: ignore[reportArgumentType]
                        conv.stride,  # pyright: ignore[reportArgumentType]
                        conv.padding,  # pyright: ignore[reportArgumentType]
                        bias=conv.bias is not None,
                    )
                    nn.init.kaiming_normal_(fresh.weight, mode="fan_out", nonlinearity="relu")
                    setattr(parent, name, fresh)
                return
