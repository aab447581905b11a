"""What a cell was trained and measured with: written beside its figures, and compared where its files are met again."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparring.config import NO_FIGURE, ROOTS
from sparring.recipes.measurements import Robust, Transferred, changed, versions
from sparring.recipes.place import identified
from sparring.reporting.run_folder import read_json

if TYPE_CHECKING:
    from sparring.recipes.cell import Cell

SAID = 4
"""At most so many differences are named."""


def of_cell(cell: Cell) -> dict[str, Any]:
    """Settings that differ from the defaults, of the training and of each measurement with its protocols' versions."""
    found: dict[str, Any] = {"training": changed(identified(cell.config))}
    robust, measured = 0, {}
    for each in cell.measurements():
        name = each.key if isinstance(each, Transferred) else each.stage
        if isinstance(each, Robust):
            robust += 1
            name += f" {robust}"
        measured[name] = each.conditions
    return plain(found | {"measured": measured})


def differences(cell: Cell, found: Mapping[str, Any]) -> list[str]:
    """In what a cell's JSON was trained or measured otherwise than it would be now, in words.

    One of an earlier version says but its configuration, of which the settings that both versions know are compared.
    """
    if "conditions" in found:
        ours, theirs = of_cell(cell), found["conditions"]
        said = _differing(ours["training"], theirs["training"])
        for name in ours["measured"].keys() & theirs["measured"].keys():
            said += _differing(ours["measured"][name], theirs["measured"][name], f"{name}: ")
    else:
        from sparring.training import resolve

        given = cell.row.given is not None  # nothing is trained: no views are made, and nothing was resolved
        config = cell.config if given else resolve(cell.config)
        now, before = (flat(plain(each)) for each in (asdict(config), found["config"]))
        free = {*NO_FIGURE, *ROOTS, *(["data.views"] if given else [])}  # `evaluation.` is the measurements'
        shared = [key for key in now if key in before and key not in free and not key.startswith("evaluation.")]
        said = _differing({key: now[key] for key in shared}, {key: before[key] for key in shared})
    more = [f"and {len(said) - SAID} more"] if len(said) > SAID else []
    return [*said[:SAID], *more]


def to_add(cell: Cell, found: Mapping[str, Any]) -> set[str]:
    """What can be measured now and is not in a cell's JSON."""
    if "conditions" in found:
        return of_cell(cell)["measured"].keys() - found["conditions"]["measured"].keys()
    return found.get("left_out", {}).keys() - cell.left_out().keys()


def _differing(ours: Mapping[str, Any], theirs: Mapping[str, Any], before: str = "") -> list[str]:
    now, then = flat(ours), flat(theirs)
    return [
        f"{before}{key} is {then.get(key, 'the default')} there and {now.get(key, 'the default')} here"
        for key in dict.fromkeys([*now, *then])
        if now.get(key) != then.get(key)
    ]


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted names."""
    found = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


def plain(values: Any) -> Any:
    """As JSON gives it back."""
    return json.loads(json.dumps(values))


def once(file: Path, conditions: dict[str, Any], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The figures that `file` holds if they were taken under these conditions, else those that `make` makes, then kept."""
    from sparring.training.run_folder import write_json

    if not kept(file, conditions):
        if file.exists() and _read(file) is None:
            warnings.warn(f"{file} is damaged: measured again", stacklevel=2)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, {"conditions": conditions, "figures": make()})
    return figures_in(file)


def kept(file: Path, conditions: dict[str, Any]) -> bool:
    """Whether `file` holds figures taken under these conditions; a damaged one holds none.

    Those of an earlier version say but the versions of their protocols, which must be today's; its name tells the settings.
    """
    read = _read(file) if file.exists() else None
    if read is None:
        return False
    if "conditions" in read:
        return read["conditions"] == plain(conditions)
    today = versions()
    return all(today.get(name, version) == version for name, version in _labels(read))


def figures_in(file: Path) -> dict[str, Any]:
    """The figures of a measurement's file."""
    read = read_json(file)
    return read["figures"] if "conditions" in read else read


def _read(file: Path) -> dict[str, Any] | None:
    try:
        read = read_json(file)
    except ValueError:
        return None
    return None if "conditions" in read and not isinstance(read.get("figures"), dict) else read


def _labels(read: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Names and versions of the protocols that an entry, or one in it, names."""
    for key, value in read.items():
        if isinstance(value, dict):
            yield from _labels(value)
        elif key in ("label", "protocol") and (label := re.match(r"(\S+) v(\d+)", str(value))):
            yield label[1], int(label[2])
