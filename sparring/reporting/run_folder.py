"""What a run folder holds, read without the library that made it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class RunFolder:
    """The files of a run; what is absent is empty."""

    path: Path
    config: dict[str, Any]
    config_text: str
    environment: dict[str, Any]
    metrics: list[dict[str, Any]]
    results: dict[str, Any]
    analysis: dict[str, Any]
    arrays: dict[str, np.ndarray]

    def setting(self, dotted: str) -> Any:
        """A value of the configuration, such as `data.name`; None if it is not there."""
        value: Any = self.config
        for key in dotted.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        return value


def read_run(path: Path) -> RunFolder:
    """Read a run folder. Raises ValueError if it is none, or if one of its files cannot be read."""
    import yaml

    path = Path(path)
    if not (path / "config.yaml").is_file():
        raise ValueError(f"{path} is no run folder: it holds no config.yaml")
    text = (path / "config.yaml").read_text()
    config = yaml.safe_load(text)
    if not isinstance(config, dict):
        raise ValueError(f"{path / 'config.yaml'} holds no configuration")
    analysis, arrays = _json(path / "analysis.json"), {}
    if analysis and (path / "analysis.npz").is_file():
        with np.load(path / "analysis.npz", allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    else:
        analysis = {}  # the two are written together: one without the other is of another run, or cut off
    return RunFolder(
        path=path,
        config=config,
        config_text=text,
        environment=_json(path / "environment.json"),
        metrics=_lines(path / "metrics.jsonl"),
        results=_json(path / "results.json"),
        analysis=analysis,
        arrays=arrays,
    )


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from None


def _lines(path: Path) -> list[dict[str, Any]]:
    """Records of metrics.jsonl; a last line cut off by a crash is left out."""
    lines = path.read_text().splitlines() if path.is_file() else []
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError as error:
            if number < len(lines):
                raise ValueError(f"{path}, line {number} is not valid JSON: {error}") from None
    return records
