"""Which run a resumption continues, and what may differ from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from sparring.config import NO_FIGURE, ROOTS, RunConfig
from sparring.training.checkpoints import FOLDER, checkpoints, latest, position
from sparring.training.run_folder import FIRST_STAGE, load_config

FREE = (*NO_FIGURE, *ROOTS, "training.checkpoint_every", "training.probe_every", "training.device")
"""Fields that may differ: the remaining epochs do not feel when checkpoints and probes come, though figures along the way are
taken there; a device rounds otherwise, and without this no run could move to another. So may all of `evaluation`."""


def run_and_checkpoint(place: str | Path, field: str = "resume") -> tuple[Path, Path]:
    """The run folder and the checkpoint that `place` names: a run folder (its newest) or one of its checkpoints."""
    path = Path(place)
    if path.parent.name == FOLDER:
        position(path)
        if not path.is_dir():
            found = ", ".join(each.name for each in checkpoints(path.parent.parent)) or "none"
            raise ValueError(f"{field} is {place}, but there is no such checkpoint; there are: {found}")
        return path.parent.parent, path
    if not path.is_dir():
        raise ValueError(f"{field} is {place}, but there is no such run folder")
    load_config(path)
    return path, latest(path)


def run_to_continue(place: str | Path) -> tuple[Path, Path | None]:
    """As `run_and_checkpoint`; None in place of a checkpoint for a run that stopped while its first stage was trained."""
    path = Path(place)
    if (path / FIRST_STAGE).is_dir() and not checkpoints(path):
        load_config(path)
        return path, None
    return run_and_checkpoint(place)


def check_given(config: RunConfig, given: Iterable[str]) -> None:
    """A ValueError if a field of `given` (dotted names that a person wrote) differs from the run that `config` resumes.

    `resumed` cannot tell a default from a given value that equals it; whoever read the words can.
    """
    assert config.resume is not None
    run, _ = run_to_continue(config.resume)
    stored, now = _flat(load_config(run)), _flat(config)
    for field in given:
        if field not in now or now[field] is None or field == "training.epochs" or _free(field):
            continue
        if now[field] != stored[field]:
            raise ValueError(
                f"{config.resume} cannot be resumed with another configuration: {field} is {stored[field]!r} there, "
                f"not {now[field]!r}"
            )


def resumed(config: RunConfig) -> RunConfig:
    """The stored configuration of the run to continue, with the few given fields that may differ.

    A field that is left at its default counts as not given. More `training.epochs` than before are allowed unless the
    schedule depends on their number (cosine); any other difference is a ValueError that names the fields.
    """
    assert config.resume is not None
    run, _ = run_to_continue(config.resume)
    stored = load_config(run)
    if config.out is not None and Path(config.out) != run:
        raise ValueError(f"out is {config.out}, but a resumed run continues in its own folder, {run}")
    differing = []
    for field, value in _flat(config).items():
        old = _flat(stored)[field]
        # A configuration read from the run's own file gives every field: what equals it is no change.
        if value == _flat(RunConfig())[field] or value == old:
            continue
        if field == "training.epochs":
            if stored.optimizer.schedule == "cosine":
                raise ValueError(
                    f"training.epochs is {value}, but the run's cosine schedule was drawn for {old} epochs"
                )
            if value < old:
                raise ValueError(f"training.epochs is {value}, but the run to resume was started for {old}")
        elif not _free(field):
            differing.append(f"{field} ({old!r} there, {value!r} now)")
            continue
        group, name = field.split(".")
        setattr(getattr(stored, group), name, value)
    if differing:
        raise ValueError(f"{config.resume} cannot be resumed with another configuration: {', '.join(differing)} differ")
    return replace(stored, resume=config.resume)


def _free(field: str) -> bool:
    return field in FREE or field.startswith("evaluation.")


def _flat(config: RunConfig) -> dict[str, Any]:
    """Every field of every group by its dotted name."""
    groups = {name: group for name, group in vars(config).items() if hasattr(group, "__dataclass_fields__")}
    return {f"{name}.{key}": value for name, group in groups.items() for key, value in vars(group).items()}
