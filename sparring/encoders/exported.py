"""The folder that `sparring export` writes, read back: config.json says what model.safetensors holds; no code is run."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch

from sparring.encoders.build import rebuild
from sparring.encoders.encoder import ContrastiveEncoder
from sparring.encoders.weights import read_weights

CONFIG, WEIGHTS = "config.json", "model.safetensors"
SCHEMA = 1
NEEDS = ("schema", "format", "prefix", "architecture", "domain", "sha256")
WHOLE = "safetensors"
"""The format that holds head and classifier too, under our names; the others hold the backbone under its library's."""


def is_export(place: Path | str) -> bool:
    """Whether a folder has the two files of an export."""
    return all((Path(place) / name).is_file() for name in (CONFIG, WEIGHTS))


def read_config(folder: Path | str) -> dict[str, Any]:
    """What config.json says. Raises ValueError if it is missing, damaged, or describes another file than the one there."""
    folder = Path(folder)
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            run = " (a run folder is exported first: sparring export RUN --out FOLDER)"
            hint = run if (folder / "config.yaml").is_file() else ""
            raise ValueError(f"{folder} is no exported encoder: it holds no {name}{hint}")
    try:
        config = json.loads((folder / CONFIG).read_text())
    except ValueError as error:
        raise ValueError(f"{folder / CONFIG} is not valid JSON: {error}") from None
    missing = [key for key in NEEDS if not isinstance(config, dict) or key not in config]
    if missing:
        raise ValueError(f"{folder / CONFIG} does not describe an exported encoder: it lacks {', '.join(missing)}")
    if config["schema"] != SCHEMA:
        raise ValueError(f"{folder / CONFIG} has schema {config['schema']}; this version reads schema {SCHEMA}")
    if digest(folder / WEIGHTS) != config["sha256"]:
        raise ValueError(f"{folder / WEIGHTS} is damaged, or not the file that {CONFIG} describes: export it again")
    return config


def load_exported(folder: Path | str) -> ContrastiveEncoder:
    """The exported encoder in evaluation mode, one batch norm a layer; without a head, z is h of unit length.

    The global random state stays as it was. Raises ValueError as `read_config` and `read_weights` do; for a python:
    backbone, whose code a file must not choose; and if the file's tensors are not those of the architecture.
    """
    folder = Path(folder)
    config = read_config(folder)
    tensors, _ = read_weights(folder / WEIGHTS)
    try:
        name = str(config["architecture"]["encoder"]["name"])
        if name.startswith("python:"):
            raise ValueError(
                f"{folder} belongs to {name}, and a folder must not choose which code runs; build that network yourself "
                f"and load {WEIGHTS} into it"
            )
        with torch.random.fork_rng(devices=[]):
            encoder = rebuild(config["architecture"])
        encoder.load_state_dict({f"{config['prefix']}{key}": value for key, value in tensors.items()})
    except (KeyError, TypeError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0]
        raise ValueError(f"{folder / WEIGHTS} does not fit the architecture in {CONFIG}: {first}") from error
    return encoder.eval()


def initial_weights(folder: Path | str) -> Path:
    """The file from which training may start. Raises ValueError for a format that holds the backbone alone."""
    found = read_config(folder)["format"]
    if found != WHOLE:
        raise ValueError(
            f"init_from is {folder}, an export in the format {found}, which holds the backbone alone; export it with "
            f"--format {WHOLE}"
        )
    return Path(folder) / WEIGHTS


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
