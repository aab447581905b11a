"""The figures of a run that belong to one of its checkpoints and one of its batch norms, newest first."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparring.reporting.run_folder import ROBUSTNESS_SCHEMA, TRANSFER_SCHEMA


@dataclass(frozen=True)
class Figures:
    """What was measured of an exported encoder; empty where nothing was."""

    clean: list[tuple[str, dict[str, Any]]]
    """Protocol and its entry of results.json."""
    robust: list[dict[str, Any]]
    """Whole robustness.json files."""
    transfer: list[dict[str, Any]]
    """Whole transfer.json files."""
    others: int
    """Figures of the same run that belong to another checkpoint or batch norm, and are left out."""


def figures_of(run: Path, checkpoint: str, domain: str) -> Figures:
    """From results.json, robustness.json, transfer.json and the earlier ones beside them. Of the same protocol, and of the same
    attacks on the same classifier, the newest. Raises ValueError for a file that is not valid JSON."""
    clean: dict[str, dict[str, Any]] = {}
    robust: dict[str, dict[str, Any]] = {}
    transfer: dict[str, dict[str, Any]] = {}
    others = 0
    for read in _newest_first(run, "results"):
        for name, entry in read.items():
            if not isinstance(entry, dict) or "accuracy" not in entry:
                continue
            if entry.get("checkpoint") == checkpoint and entry.get("domain", "clean") == domain:
                clean.setdefault(f"{name}/{entry.get('protocol')}", entry | {"name": name})
            else:
                others += 1
    for name, kept, schema in (
        ("robustness", robust, ROBUSTNESS_SCHEMA),
        ("transfer", transfer, TRANSFER_SCHEMA),
    ):
        for read in _newest_first(run, name):
            subject = read.get("subject", {})
            if read.get("schema") != schema:
                continue
            if subject.get("checkpoint") == checkpoint and subject.get("domain") == domain:
                kept.setdefault(_measured(read), read)
            else:
                others += _count(read)
    return Figures(
        [(entry["name"], entry) for entry in clean.values()], [*robust.values()], [*transfer.values()], others
    )


def _count(read: dict[str, Any]) -> int:
    """How many figures a robustness.json or transfer.json holds."""
    entries = [read.get("clean"), read.get("worst_case"), read.get("corruptions")]
    for group in (read.get("attacks"), (read.get("representation") or {}).get("attacks"), read.get("sets")):
        entries += (group or {}).values()
    return sum(1 for entry in entries if entry and "left_out" not in entry)


def _measured(read: dict[str, Any]) -> str:
    """What was measured of what, by which a later measurement of the same takes an earlier one's place."""
    attacks = sorted(str(entry.get("words")) for entry in (read.get("attacks") or {}).values())
    parts = [read["label"], read["subject"].get("words"), attacks, sorted(read.get("sets") or {})]
    return json.dumps([*parts, bool(read.get("corruptions")), bool(read.get("representation"))])


def _newest_first(run: Path, name: str) -> list[dict[str, Any]]:
    """NAME.json, then NAME-N.json from the highest N."""
    numbered = [path for path in run.glob(f"{name}-*.json") if re.fullmatch(rf"{name}-\d+\.json", path.name)]
    paths = [run / f"{name}.json", *sorted(numbered, key=lambda path: -int(path.stem.rpartition("-")[2]))]
    found = []
    for path in paths:
        if path.is_file():
            try:
                found.append(json.loads(path.read_text()))
            except json.JSONDecodeError as error:
                raise ValueError(f"{path} is not valid JSON: {error}") from None
    return found
