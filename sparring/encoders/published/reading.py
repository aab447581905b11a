"""A checkpoint file as a state dict and the little that it says beside it, read without running code."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sparring.encoders.weights import read_file

CONTAINERS = ("state_dict", "model", "net", "model_state_dict")
"""Under which of its names a checkpoint may hold the weights, the surest first."""
CONVERSION = "only if you trust it, convert it where its code is installed (docs/pretraining.md has the lines)"


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds."""

    tensors: dict[str, Tensor]
    container: str | None
    """Under which name the weights stood; None if the file is the state dict itself."""
    options: Mapping[str, Any]
    """The command line with which it was trained, where the file says so (SupContrast's `opt`)."""


def read_checkpoint(path: Path | str) -> Checkpoint:
    """The weights of a safetensors or PyTorch file, under the file's own names.

    argparse.Namespace, which SupContrast saves beside its weights and which holds attributes and runs nothing, is the only
    class that may stand in a file. Raises ValueError if the file is missing, damaged, holds no state dict, holds values
    that are not finite, or would have to be unpickled: the sentence says how to convert it.
    """
    path = Path(path)
    loaded = read_file(path, classes=(argparse.Namespace,), advice=CONVERSION)
    options = loaded.get("opt") if isinstance(loaded, Mapping) else None
    container, tensors = None, _state_dict(loaded)
    if tensors is None and isinstance(loaded, Mapping):
        container = next((name for name in CONTAINERS if _state_dict(loaded.get(name)) is not None), None)
        tensors = _state_dict(loaded.get(container))
    if tensors is None:
        holds = ", ".join(map(str, list(loaded)[:8])) if isinstance(loaded, Mapping) else f"a {type(loaded).__name__}"
        raise ValueError(
            f"{path} holds no state dict, neither by itself nor under {', '.join(CONTAINERS)}; it holds {holds or 'nothing'}"
        )
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise ValueError(f"{path}: {name} holds values that are not finite, so the encoder would give none either")
    return Checkpoint(tensors, container, vars(options) if isinstance(options, argparse.Namespace) else {})


def _state_dict(found: Any) -> dict[str, Tensor] | None:
    tensors = isinstance(found, Mapping) and bool(found) and all(isinstance(value, Tensor) for value in found.values())
    return dict(found) if tensors else None


def floats(tensor: Tensor) -> list[float]:
    """A vector as a list."""
    return [float(value) for value in tensor.flatten().to(torch.float64)]
