"""Weights on disk: safetensors with the architecture beside them, read strictly, and never a pickle that runs code."""

from __future__ import annotations

import json
import os
import pickle
import warnings
from collections.abc import Mapping, Sequence
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
    """Write the state dict and `encoder.architecture` as safetensors; the file is whole, or what it was before.

    Tensors that stand in two places are written twice. Raises OSError if the disk is full or the folder is missing.
    """
    path = Path(path)
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in encoder.state_dict().items()}
    metadata = {"architecture": json.dumps(getattr(encoder, "architecture", {}))}
    writing = path.with_name(f".{path.name}.writing")
    try:
        with writing.open("wb") as file:
            file.write(save(tensors, metadata))
            file.flush()
            os.fsync(file.fileno())
        writing.replace(path)
    finally:
        writing.unlink(missing_ok=True)


def load_encoder(path: Path | str) -> ContrastiveEncoder:
    """The encoder that `save_weights` wrote, rebuilt from the architecture beside its weights.

    The global random state stays as it was. Raises ValueError as `load_weights` does; if the file does not say which
    architecture it belongs to; and for a python: backbone, whose code a file must not choose.
    """
    _, architecture = read_weights(Path(path))
    if not architecture:
        raise ValueError(
            f"{path} does not say which architecture it belongs to; build the encoder and use load_weights"
        )
    try:
        name = str(architecture["encoder"]["name"])
        if name.startswith("python:"):
            raise ValueError(
                f"{path} belongs to {name}, and a weights file must not choose which code runs; build the encoder "
                "yourself and use load_weights"
            )
        with torch.random.fork_rng(devices=[]):
            encoder = rebuild(architecture)
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{path} describes its architecture in words that this version does not know: {error}"
        ) from error
    load_weights(encoder, path)
    return encoder


def load_weights(encoder: nn.Module, path: Path | str) -> None:
    """Load a state dict strictly: safetensors, or a PyTorch file that holds tensors only.

    Raises ValueError if the file is missing, damaged or would run code, or if keys or shapes differ (the first ones and
    both architectures are named); the encoder is then as it was. Warns if the weights were trained on images that were
    normalised by other constants.
    """
    tensors, architecture = read_weights(Path(path))
    own = encoder.state_dict()
    missing = [key for key in own if key not in tensors]
    unexpected = [key for key in tensors if key not in own]
    shapes = [
        f"{key} is {list(tensors[key].shape)} in the file and {list(own[key].shape)} in the encoder"
        for key in own
        if key in tensors and own[key].shape != tensors[key].shape
    ]
    ours = getattr(encoder, "architecture", {})
    if missing or unexpected or shapes:
        problems = [_some("the file lacks", missing), _some("the encoder lacks", unexpected), "; ".join(shapes[:SHOWN])]
        problems += [_advice(own, tensors), f"file: {_words(architecture)}, encoder: {_words(ours)}"]
        raise ValueError(f"{path} does not fit this encoder: {'; '.join(filter(None, problems))}")
    theirs = architecture.get("encoder", {})
    for constant in ("mean", "std"):
        if theirs and ours and theirs.get(constant) != ours["encoder"][constant]:
            warnings.warn(
                f"{path} was trained with encoder.{constant} {theirs.get(constant)}, this encoder normalises by "
                f"{ours['encoder'][constant]}",
                stacklevel=2,
            )
    encoder.load_state_dict(tensors)


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a weights file, and the architecture beside them ({} if it holds none)."""
    if not _is_pickled(path):
        return _safetensors(path)
    loaded = read_file(path)
    if not isinstance(loaded, Mapping) or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise ValueError(f"{path} holds no state dict: a mapping of names to tensors is expected")
    return dict(loaded), {}


def architecture_of(path: Path) -> dict[str, Any]:
    """What a weights file that `save_weights` wrote says of its encoder; {} for any other file."""
    return {} if _is_pickled(path) else _safetensors(path)[1]


def read_file(path: Path, *, classes: Sequence[type] = (), advice: str = "save its state dict as safetensors") -> Any:
    """What a weights file holds: tensors by name, or whatever a PyTorch file made of tensors and plain values holds.

    Code in a file is never run; `classes` are those whose instances may stand in it all the same. Raises ValueError if the
    file is missing, damaged or refused, the last with the `advice`.
    """
    if not _is_pickled(path):
        return _safetensors(path)[0]
    try:
        # an open file, because torch.load chooses a reader by the name of a path
        with (
            path.open("rb") as file,
            warnings.catch_warnings(action="ignore"),
            torch.serialization.safe_globals(list(classes)),
        ):
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        if isinstance(error, pickle.UnpicklingError) or "TorchScript" in str(error):
            raise ValueError(
                f"{path} is refused: it holds more than tensors, and loading it could run code; {advice}"
            ) from error
        raise ValueError(
            f"{path} is damaged or cut off: it begins like a PyTorch file, but cannot be read whole"
        ) from error


def _is_pickled(path: Path) -> bool:
    if not path.is_file():
        raise ValueError(f"{path}: there is no such weights file")
    with path.open("rb") as file:
        start = file.read(9)
    if not start:
        raise ValueError(f"{path} is empty: no weights file")
    # by content, since a pickle may have any name; in safetensors the ninth byte opens the header, a JSON object
    return start[8:] != b"{" and start.startswith((b"PK", b"\x80"))


def _safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safe_open(path, framework="pt") as file:
            architecture = json.loads((file.metadata() or {}).get("architecture", "{}"))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError) as error:
        with path.open("rb") as file:
            like = file.read(9)[8:] == b"{"
        what = "is damaged or cut off: it begins like safetensors, but cannot be read whole"
        raise ValueError(
            f"{path} {what if like else 'is no weights file, neither safetensors nor of PyTorch'}"
        ) from error
    return tensors, architecture if isinstance(architecture, dict) else {}


def _some(problem: str, keys: list[str]) -> str:
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return f"{problem} {', '.join(keys[:SHOWN])}{more}" if keys else ""


def _advice(own: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> str:
    """What to do if only one of the two has a second batch norm, or a classifier."""

    def dual(keys: Mapping[str, Tensor]) -> bool:
        return any(".adv." in key and key.replace(".adv.", ".clean.") in keys for key in keys)

    def classifies(keys: Mapping[str, Tensor]) -> bool:
        return any(key.startswith("classifier.") for key in keys)

    def clusters(keys: Mapping[str, Tensor]) -> bool:
        return "prototypes.weight" in keys

    if dual(tensors) and not dual(own):
        return "the file has two batch norms (clean and adv), the encoder one: norms.extract makes one of two"
    if dual(own) and not dual(tensors):
        return "the encoder has two batch norms (clean and adv), the file one: load it before norms.convert"
    if classifies(tensors) and not classifies(own):
        return "the file has a classifier, the encoder none: build it with the file's number of classes"
    if classifies(own) and not classifies(tensors):
        return "the encoder has a classifier, the file none: build it without classes"
    if clusters(tensors) and not clusters(own):
        return "the file has prototypes, the encoder none: build it with the file's number of prototypes"
    if clusters(own) and not clusters(tensors):
        return "the encoder has prototypes, the file none: build it without prototypes"
    return ""


def _words(architecture: Mapping[str, Any]) -> str:
    encoder = architecture.get("encoder")
    if not isinstance(encoder, Mapping):
        return "not described"
    hidden = f"-{encoder['hidden']}" if encoder.get("hidden") else ""
    norm = "two batch norms" if architecture.get("dual") else "one batch norm"
    classes = f", {architecture['classes']} classes" if architecture.get("classes") else ""
    return (
        f"{encoder.get('name')} for {architecture.get('channels')} channels with head "
        f"{encoder.get('head')}{hidden}-{encoder.get('dim')}{classes} and {norm}"
    )
