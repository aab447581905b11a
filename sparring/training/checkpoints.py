"""Checkpoints that are whole or absent: weights (safetensors) and the state to continue from, to the bit.

RUN/checkpoints/epoch-0010/ holds what 10 finished epochs left (`epoch-0010-step-00003`: three steps of the next epoch
too, after a signal): weights.safetensors, state.pt (tensors, numbers and names only) and digests.json. Weights of every
checkpoint are kept; the optimiser's state only of the last two, because it is up to twice as large.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sparring.encoders import save_weights

FOLDER = "checkpoints"
WEIGHTS, STATE, DIGESTS = "weights.safetensors", "state.pt", "digests.json"
NAME = re.compile(r"epoch-(\d+)(?:-step-(\d+))?$")


@dataclass(frozen=True)
class State:
    """Where a run stands: `epoch` finished epochs and `step` steps of the next one, whose sums of terms are `sums`."""

    epoch: int
    step: int
    optimizer: dict[str, Any]
    sums: torch.Tensor | None = None


def position(checkpoint: Path) -> tuple[int, int]:
    """Finished epochs and steps, from a checkpoint's name."""
    match = NAME.match(checkpoint.name)
    if match is None:
        raise ValueError(f"{checkpoint} is no checkpoint: its name must look like epoch-0010")
    return int(match[1]), int(match[2] or 0)


def checkpoints(run: Path) -> list[Path]:
    """The checkpoints of a run folder, oldest first."""
    folder = Path(run) / FOLDER
    return sorted((p for p in folder.glob("epoch-*") if NAME.match(p.name)), key=position)


def latest(run: Path) -> Path:
    """The newest checkpoint of a run folder; a ValueError if there is none."""
    found = checkpoints(run)
    if not found and not (Path(run) / "config.yaml").is_file():
        raise ValueError(f"{run} is no run folder: it holds neither checkpoints nor a config.yaml")
    if not found:
        raise ValueError(
            f"{run} holds no checkpoint: it stopped before the first one was written, or they were removed; begin again with "
            f"--config {run / 'config.yaml'}"
        )
    return found[-1]


def save(run: Path, encoder: nn.Module, state: State) -> Path:
    """Write a checkpoint beside the earlier ones; it appears under its name only when all of it is on the disk.

    Raises OSError with one sentence if it cannot be written; then the earlier checkpoints are as they were.
    """
    folder = Path(run) / FOLDER
    name = f"epoch-{state.epoch:04d}" + (f"-step-{state.step:05d}" if state.step else "")
    writing, final = folder / f".writing-{name}", folder / name
    try:
        shutil.rmtree(writing, ignore_errors=True)
        writing.mkdir(parents=True)
        save_weights(encoder, writing / WEIGHTS)
        saved = {"epoch": state.epoch, "step": state.step, "optimizer": state.optimizer, "sums": state.sums}
        packed = io.BytesIO()  # torch.save to a full disk would complain of its own positions, not of the disk
        torch.save(saved, packed)
        (writing / STATE).write_bytes(packed.getvalue())
        digests = {name: _digest(writing / name) for name in (WEIGHTS, STATE)}
        (writing / DIGESTS).write_text(json.dumps(digests))
        for path in (*writing.iterdir(), writing):
            _flush(path)
        if final.exists():
            shutil.rmtree(final)
        writing.rename(final)
        _flush(folder)
    except (OSError, RuntimeError) as error:
        shutil.rmtree(writing, ignore_errors=True)
        kept = checkpoints(run)
        previous = f"the previous checkpoint {kept[-1]} is whole" if kept else "there is no earlier checkpoint"
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error).splitlines()[0]
        raise OSError(f"the checkpoint {final} could not be written ({reason}); {previous}") from error
    _thin(run, final)
    return final


def load_state(checkpoint: Path) -> State:
    """The state to continue from. Raises ValueError if any file of the checkpoint is damaged or missing."""
    verify(checkpoint)
    if not (checkpoint / STATE).is_file():
        raise ValueError(f"{checkpoint} keeps weights only, the optimiser's state of the last two checkpoints is kept")
    try:
        saved = torch.load(checkpoint / STATE, map_location="cpu", weights_only=True)
        return State(int(saved["epoch"]), int(saved["step"]), saved["optimizer"], saved["sums"])
    except Exception as error:
        raise ValueError(_damaged(checkpoint, f"{STATE} cannot be read")) from error


def verify(checkpoint: Path) -> None:
    """Raises ValueError, offering the checkpoint before it, unless the files are those that were written."""
    try:
        digests = json.loads((checkpoint / DIGESTS).read_text())
    except (OSError, ValueError):
        raise ValueError(_damaged(checkpoint, f"{DIGESTS} is missing or unreadable")) from None
    for name, digest in digests.items():
        path = checkpoint / name
        if not path.is_file() and name == WEIGHTS:
            raise ValueError(_damaged(checkpoint, f"{name} is missing"))
        if path.is_file() and _digest(path) != digest:
            raise ValueError(_damaged(checkpoint, f"{name} is not what was written"))


def _damaged(checkpoint: Path, reason: str) -> str:
    before = [p for p in checkpoints(checkpoint.parent.parent) if position(p) < position(checkpoint)]
    offer = f"the one before it is {before[-1]}" if before else "there is no earlier one"
    return f"the checkpoint {checkpoint} is damaged ({reason}); {offer}"


def _thin(run: Path, newest: Path) -> None:
    """Removes what a new checkpoint makes useless: states older than the last two, and checkpoints inside an epoch."""
    for old in checkpoints(run)[:-2]:
        (old / STATE).unlink(missing_ok=True)
    for old in checkpoints(run):
        if position(old)[1] and position(old) < position(newest):
            shutil.rmtree(old)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    """What was written reaches the disk before anything is renamed."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
