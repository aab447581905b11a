"""The classifier of a published model: what a bridge leaves behind of it, or a file of its own."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sparring.encoders.bridge import check_model
from sparring.encoders.published.reading import read_checkpoint


def left_by_bridge(name: str) -> tuple[set[str], tuple[list[float], list[float]] | None]:
    """Keys of `torchvision:NAME` or `timm:NAME` that stand behind the representation, and its mean and std if it has them.

    Nothing is allocated: the whole model is built on the meta device. A python: backbone leaves nothing behind.
    """
    package, _, model = name.partition(":")
    if package == "python":
        return set(), None
    check_model(package, model)
    library: Any = importlib.import_module(package)
    with torch.device("meta"):
        if package == "torchvision":
            whole = library.models.get_model(model, weights=None)
            linear = [place for place, part in whole.named_modules() if isinstance(part, nn.Linear | nn.Conv2d)]
            behind = {key for key in whole.state_dict() if key.startswith(("aux", "AuxLogits", f"{linear[-1]}."))}
            return behind, None
        whole = library.create_model(model, pretrained=False)
        headless = library.create_model(model, pretrained=False, num_classes=0)
    published = library.get_pretrained_cfg(model)
    constants = None if published is None else (list(published.mean), list(published.std))
    return set(whole.state_dict()) - set(headless.state_dict()), constants


def classifier_of(tensors: Mapping[str, Tensor], features: int | None = None) -> nn.Linear | None:
    """The linear classifier of this weight and bias; None if they are no such layer, or not one on `features`."""
    weight = tensors.get("weight")
    if weight is None or weight.ndim != 2 or set(tensors) - {"weight", "bias"}:
        return None
    if features is not None and weight.shape[1] != features:
        return None
    return nn.Linear(weight.shape[1], weight.shape[0], bias="bias" in tensors)


def read_linear(path: Path, features: int) -> tuple[nn.Linear, dict[str, str]]:
    """The linear layer in a file that holds nothing else, such as facebookresearch/swav's eval_linear writes it, and whose
    keys it got. Raises ValueError for another file, and for a layer on another number of features."""
    tensors = read_checkpoint(path).tensors
    keys = {key.rpartition(".")[2]: key for key in tensors}
    layer = classifier_of({name: tensors[key] for name, key in keys.items()}) if len(keys) == len(tensors) else None
    if layer is None:
        raise ValueError(
            f"encoder.linear is {path}, which holds {', '.join(list(tensors)[:4])}, not the weight and bias of one linear layer"
        )
    if layer.in_features != features:
        raise ValueError(
            f"encoder.linear is {path}, a classifier on {layer.in_features:,} features, but the encoder has {features:,}"
        )
    layer.load_state_dict({name: tensors[key] for name, key in keys.items()})
    return layer, {f"classifier.{name}": f"{path.name}: {key}" for name, key in keys.items()}
