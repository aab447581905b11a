"""Weights on disk: safetensors with the architecture beside them, read strictly, and never a pickle that runs code."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from sparring.encoders.build import rebuild
from sparring.encoders.encoder import ContrastiveEncoder

SHOWN = 3
"""How many differing keys an error names."""


def save_weights(encoder: nn.Module, path: Path | str) -> None:
    """Write the state dict and `encoder.architecture`; the file is whole or absent."""
    path = Path(path)
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in encoder.state_dict().items()}
    metadata = {"architecture": json.dumps(getattr(encoder, "architecture", {}))}
    writing = path.with_name(f".{path.name}.writing")
    try:
        writing.write_bytes(save(tensors, metadata))
        writing.replace(path)
    finally:
        writing.unlink(missing_ok=True)


def load_encoder(path: Path | str) -> ContrastiveEncoder:
    """The encoder that `save_weights` wrote, rebuilt from the architecture beside its weights."""
    _, architecture = read_weights(Path(path))
    if not architecture:
        raise ValueError(f"{path} does not say which architecture its weights belong to; build it and use load_weights")
    encoder = rebuild(architecture)
    load_weights(encoder, path)
    return encoder


def load_weights(encoder: nn.Module, path: Path | str) -> None:
    """Load a state dict strictly: safetensors, or a PyTorch file that holds tensors only.

    Raises ValueError if the file is missing, damaged or would run code, or if keys or shapes differ (the first ones
    named); the encoder is then as it was.
    """
    tensors, architecture = read_weights(Path(path))
    own = encoder.state_dict()
    missing, unexpected = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    shapes = [
        f"{key} is {list(tensors[key].shape)} in the file and {list(own[key].shape)} in the encoder"
        for key in own
        if key in tensors and own[key].shape != tensors[key].shape
    ]
    if missing or unexpected or shapes:
        problems = [f"missing {', '.join(missing[:SHOWN])}"] * bool(missing)
        problems += [f"unexpected {', '.join(unexpected[:SHOWN])}"] * bool(unexpected)
        problems += shapes[:SHOWN]
        raise ValueError(
            f"{path} does not fit this encoder: {'; '.join(problems)}{_advice(missing, unexpected, architecture)}"
        )
    encoder.load_state_dict(tensors)


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a weights file, and the architecture beside them ({} if it holds none)."""
    if not path.is_file():
        raise ValueError(f"{path}: there is no such weights file")
    if path.suffix == ".safetensors":
        try:
            with safe_open(path, framework="pt") as file:
                architecture = json.loads((file.metadata() or {}).get("architecture", "{}"))
                return {key: file.get_tensor(key) for key in file.keys()}, architecture  # noqa: SIM118
        except (SafetensorError, ValueError) as error:
            raise ValueError(f"{path} is damaged or no safetensors file: {error}") from error
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} is refused: it holds more than tensors, and loading it could run code; "
            "save its state_dict as safetensors"
        ) from error
    except (RuntimeError, EOFError, ValueError) as error:
        raise ValueError(f"{path} is damaged or no weights file: {str(error).splitlines()[0]}") from error
    if isinstance(loaded, Mapping) and isinstance(loaded.get("state_dict"), Mapping):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, Mapping) or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise ValueError(f"{path} holds no state dict: a mapping of names to tensors is expected")
    return dict(loaded), {}


def _advice(missing: list[str], unexpected: list[str], architecture: dict[str, Any]) -> str:
    if any(".adv." in key for key in unexpected):
        return (
            "; the file has two batch norms (clean and adv) and the encoder one: extract a domain first (norms.extract)"
        )
    if any(".adv." in key for key in missing):
        return "; the encoder has two batch norms (clean and adv) and the file one: load it before norms.convert"
    name = architecture.get("encoder", {}).get("name")
    return f"; the file was written for {name}" if name else ""
