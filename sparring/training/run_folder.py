"""The files of a run: config.yaml (complete, rerunnable), environment.json, metrics.jsonl, results.json, log.txt."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from sparring import configuration
from sparring.config import RunConfig

LOCK = ".lock"
FIRST_STAGE, PSEUDO_LABELS = "stage-1", "pseudo-labels.npz"
"""Of a run whose labels are clusters (see pseudo_labels.py)."""
OURS = {
    LOCK,
    FIRST_STAGE,
    PSEUDO_LABELS,
    "pseudo-labels.json",
    "analysis.json",
    "analysis.npz",
    "autoattack",
    "checkpoints",
    "config.yaml",
    "environment.json",
    "latent.json",
    "latent.npz",
    "log.txt",
    "metrics.jsonl",
    "report.html",
    "results.json",
    "robustness.json",
    "robustness.npz",
    "tensorboard",
    "transfer.json",
    "weights.safetensors",
}
"""What a run folder holds; an earlier evaluation's results-1.json, robustness-1.json and so on beside it."""
NUMBERED = ("results-", "robustness-", "latent-", "transfer-")
PACKAGES = ("torch", "torchvision", "lightning", "numpy", "scikit-learn", "timm", "pyautoattack")


def choose_folder(config: RunConfig) -> Path:
    """The folder of a new run: `config.out`, or runs/METHOD-DATA-seedN, numbered if taken."""
    if config.out is not None:
        return Path(config.out)
    plain = Path("runs") / f"{config.method.name}-{config.data.name}-seed{config.training.seed}"
    number, folder = 1, plain
    while folder.exists():
        number += 1
        folder = plain.with_name(f"{plain.name}-{number}")
    return folder


def check_out(config: RunConfig) -> None:
    """Raises ValueError if `config.out` is taken: nothing is overwritten without being asked."""
    folder = None if config.out is None else Path(config.out)
    if folder is None or not folder.exists():
        return
    if not folder.is_dir():
        raise ValueError(f"out is {config.out}, which is a file, not a folder")
    if not any(folder.iterdir()):
        return
    if not config.overwrite:
        raise ValueError(
            f"out is {config.out}, which exists: choose another folder, or --overwrite true to replace that run"
        )
    if not (folder / "config.yaml").is_file():
        raise ValueError(
            f"out is {config.out}, which exists but holds no config.yaml: only a run folder is overwritten"
        )
    foreign = sorted(path.name for path in folder.iterdir() if not is_ours(path))
    if foreign:
        raise ValueError(
            f"out is {config.out}, which holds {foreign[0]}, no file of a run: only a folder of a run and nothing else is "
            "overwritten"
        )
    load_config(folder)


def is_ours(path: Path) -> bool:
    """Whether a file of a run folder is one that sparring writes, by its name."""
    numbered = path.name.startswith(NUMBERED) and path.suffix in (".json", ".npz")
    return path.name in OURS or numbered


def keep_earlier(run: Path, name: str) -> None:
    """Give earlier figures, NAME.json with NAME.npz, the next free name: NAME-1.json, NAME-2.json and so on."""
    if not (run / f"{name}.json").exists():
        return
    number = 1
    while (run / f"{name}-{number}.json").exists():
        number += 1
    for suffix in (".npz", ".json"):
        if (run / f"{name}{suffix}").exists():
            (run / f"{name}{suffix}").rename(run / f"{name}-{number}{suffix}")


@contextmanager
def held(run: Path, advice: str = "wait for it") -> Iterator[None]:
    """Keep other processes out of a run folder, which is made if absent; a ValueError with the advice if one is in it."""
    run.mkdir(parents=True, exist_ok=True)
    with (run / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"{run} is being written by another process: {advice}") from None
        try:
            yield
        finally:
            (run / LOCK).unlink(missing_ok=True)


def create(config: RunConfig, folder: Path) -> None:
    """Describe a new run in its folder; what an earlier run left there (`check_out` allowed it) is removed, nothing else."""
    for path in folder.iterdir():
        if path.name != LOCK and is_ours(path):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    save_config(config, folder / "config.yaml")
    write_json(folder / "environment.json", environment(config.training.seed))


def save_config(config: RunConfig, path: Path) -> None:
    """Everything the run depends on; where it was written and what it continued does not belong to it."""
    rerunnable = replace(config, out=None, overwrite=False, resume=None)
    path.write_text(configuration.to_yaml(rerunnable))


def load_config(run: Path) -> RunConfig:
    """The configuration of a run folder; a ValueError if there is none or if it is not one of ours."""
    path = Path(run) / "config.yaml"
    if not path.is_file() and (Path(run) / "weights.json").is_file():
        raise ValueError(
            f"{run} is no run folder: it holds figures of a checkpoint file, which is measured as weights:FILE"
        )
    if not path.is_file():
        hint = f" (an export is measured as weights:{run})" if (Path(run) / "model.safetensors").is_file() else ""
        raise ValueError(f"{run} is no run folder: it holds no config.yaml{hint}")
    return configuration.build(configuration.read_yaml(path))


def environment(seed: int) -> dict[str, Any]:
    """What a figure depends on beside its configuration: versions, hardware, the commit of this package."""
    versions = {}
    for name in ("sparring", *PACKAGES):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    versions["torch"] = str(torch.__version__)  # says which CUDA it was built for, too
    gpus = (
        [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    )
    return {
        "versions": versions,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu(),
        "cpu_count": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": gpus,
        "cuda": torch.version.cuda,
        "commit": commit(),
        "seed": seed,
        "command": sys.argv,
    }


def cpu() -> str:
    """The processor's name, where the system tells it."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def commit() -> str | None:
    """The git commit of this package's sources, with `-dirty` if they were changed; None outside a repository."""
    place = Path(__file__).parent

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=place, capture_output=True, text=True, check=True).stdout.strip()

    try:
        # An environment inside somebody's repository is not a checkout of this one.
        git("ls-files", "--error-unmatch", Path(__file__).name)
        return git("rev-parse", "HEAD") + ("-dirty" if git("status", "--porcelain", "--", "..") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def write_json(path: Path, values: Any) -> None:
    """Write a JSON file that is whole or absent."""
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.writing")  # two runners may write it at once
    with temporary.open("w") as file:
        file.write(json.dumps(values, indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())  # a machine that loses its power leaves no renamed but empty file
    temporary.replace(path)


def append_line(path: Path, record: dict[str, Any]) -> None:
    """Add one record to a file of JSON lines."""
    with path.open("a") as file:
        file.write(json.dumps(record) + "\n")


def keep_epochs(path: Path, epochs: int) -> None:
    """Drop the records of epoch `epochs` (counted from 0) and later, which a resumed run writes again."""
    if not path.is_file():
        return
    kept = []
    for line in path.read_text().splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue  # cut off by the crash from which the run resumes
        if record["epoch"] < epochs:
            kept.append(line + "\n")
    temporary = path.with_name(f".{path.name}.writing")
    temporary.write_text("".join(kept))
    temporary.replace(path)


def load_pseudo_labels(run: Path, images: int) -> Int[Tensor, " n"]:
    """The clusters of a run's training images; a ValueError if they are not as many."""
    with np.load(run / PSEUDO_LABELS, allow_pickle=False) as file:
        found = torch.from_numpy(file["cluster"]).long()
    if found.shape != (images,):
        raise ValueError(f"{run / PSEUDO_LABELS} holds clusters of {len(found)} images, but there are {images}")
    return found
