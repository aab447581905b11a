"""What the folder of a run or of an evaluation holds, read without the library that made it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ROBUSTNESS_SCHEMA = 1
ROBUSTNESS_NEEDS = ("schema", "protocol", "label", "subject", "data", "clean")
LATENT_SCHEMA = 1
LATENT_NEEDS = (*ROBUSTNESS_NEEDS, "divergence", "strengths", "epochs", "counts", "map", "selection")
TRANSFER_SCHEMA = 1
TRANSFER_NEEDS = ("schema", "protocol", "label", "subject", "image_size", "sets")
COUNTS = ("clean_positives", "adversarial_positives", "clean_negatives", "adversarial_negatives")
"""What ASCL logs of the rows that its selector chose for an anchor (Fig. 4b)."""


@dataclass(frozen=True)
class RunFolder:
    """The files of a run, or of the evaluation of a foreign model; what is absent is empty."""

    path: Path
    config: dict[str, Any]
    config_text: str
    environment: dict[str, Any]
    metrics: list[dict[str, Any]]
    results: dict[str, Any]
    analysis: dict[str, Any]
    arrays: dict[str, np.ndarray]
    robustness: dict[str, Any] = field(default_factory=dict)
    robustness_arrays: dict[str, np.ndarray] = field(default_factory=dict)
    weights: dict[str, Any] = field(default_factory=dict)
    """Of a published checkpoint: which file it is, and how it was read."""
    latent: dict[str, Any] = field(default_factory=dict)
    transfer: dict[str, Any] = field(default_factory=dict)
    latent_arrays: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def is_run(self) -> bool:
        """Whether a run trained here wrote the folder; otherwise it holds an evaluation alone."""
        return bool(self.config)

    def setting(self, dotted: str) -> Any:
        """A value of the configuration, such as `data.name`; None if it is not there."""
        value: Any = self.config
        for key in dotted.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        return value


def own_folder(run: Path) -> Path:
    """The folder after which a run is called: recipes have theirs in `run` below one of its own."""
    return run.parent if run.name == "run" else run


def read_run(path: Path) -> RunFolder:
    """Read a folder with a config.yaml, a robustness.json, or both, or a published checkpoint's weights.json.

    Raises ValueError if it holds none of them, or if one of its files cannot be read.
    """
    import yaml

    path, text, config = Path(path), "", {}
    if (path / "config.yaml").is_file():
        text = (path / "config.yaml").read_text()
        config = yaml.safe_load(text)
        if not isinstance(config, dict) or not config:
            raise ValueError(f"{path / 'config.yaml'} holds no configuration")
    elif all((path / name).is_file() for name in ("config.json", "model.safetensors")):
        raise ValueError(
            f"{path} is an exported encoder, no run folder: `sparring evaluate weights:{path} --out FOLDER` measures it, and "
            "that FOLDER takes its place"
        )
    elif not any((path / name).is_file() for name in ("robustness.json", "weights.json")):
        raise ValueError(
            f"{path} is no run folder: it holds no config.yaml, nor the robustness.json of a model's evaluation"
        )
    analysis, arrays = _json(path / "analysis.json"), _arrays(path / "analysis.npz")
    if not arrays:
        analysis = {}  # the two are written together: one without the other is of another run, or cut off
    return RunFolder(
        path=path,
        config=config,
        config_text=text,
        environment=_json(path / "environment.json"),
        metrics=read_lines(path / "metrics.jsonl"),
        results=_json(path / "results.json"),
        analysis=analysis,
        arrays=arrays if analysis else {},
        robustness=_measured(path / "robustness.json", "robustness evaluation", ROBUSTNESS_NEEDS, ROBUSTNESS_SCHEMA),
        robustness_arrays=_arrays(path / "robustness.npz"),
        weights=_json(path / "weights.json"),
        latent=_measured(path / "latent.json", "look into a latent space", LATENT_NEEDS, LATENT_SCHEMA),
        transfer=_measured(path / "transfer.json", "transfer to other data sets", TRANSFER_NEEDS, TRANSFER_SCHEMA),
        latent_arrays=_arrays(path / "latent.npz"),
    )


def evaluations(run: RunFolder) -> list[tuple[dict[str, Any], dict[str, np.ndarray]]]:
    """The folder's robustness evaluations with their arrays, the newest first: robustness.json, then robustness-N.json."""
    if not run.robustness:
        return []
    found = [(run.robustness, run.robustness_arrays)]
    number = 1
    while (path := run.path / f"robustness-{number}.json").is_file():
        earlier = _measured(path, "robustness evaluation", ROBUSTNESS_NEEDS, ROBUSTNESS_SCHEMA)
        found.insert(1, (earlier, _arrays(path.with_suffix(".npz"))))
        number += 1
    return found


def clean_results(run: RunFolder) -> list[dict[str, Any]]:
    """results.json, then results-N.json, the newest first."""
    found, number = [run.results] if run.results else [], 1
    while (path := run.path / f"results-{number}.json").is_file():
        found.insert(1, _json(path))
        number += 1
    return found


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object of a file. Raises ValueError, with the file's name, if it holds none."""
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(read, dict):
        raise ValueError(f"{path} must hold a JSON object, not a {type(read).__name__}")
    return read


def _json(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}


def _measured(path: Path, what: str, needs: Sequence[str], schema: int) -> dict[str, Any]:
    if not path.is_file():
        return {}
    read = _json(path)
    missing = [key for key in needs if key not in read]
    if missing:
        raise ValueError(f"{path} is no {what}: it lacks {', '.join(missing)}")
    if read["schema"] != schema:
        raise ValueError(f"{path} has schema {read['schema']}; this version reads schema {schema}")
    return read


def _arrays(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        return {}
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} cannot be read as arrays: {error}") from None


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Records of metrics.jsonl; a last line cut off by a crash is left out."""
    lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError as error:
            if number < len(lines):
                raise ValueError(f"{path}, line {number} is not valid JSON: {error}") from None
    return records
