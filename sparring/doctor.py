"""What is installed, where it computes, and where the data sets are: quick, and nothing is changed."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from importlib import metadata
from pathlib import Path

from sparring import __version__

NEEDED = (
    "torch",
    "torchvision",
    "lightning",
    "numpy",
    "scikit-learn",
    "matplotlib",
    "pillow",
    "jsonargparse",
    "safetensors",
    "tensorboard",
)
EXTRAS = {"models": ("timm",), "dev": ("pytest", "hypothesis", "beartype", "ruff", "pyright")}
NO_FILES = ("digits", "synthetic", "folder")
"""Data sets without a place of their own."""
LEAST_TORCH = (2, 11)
LEAST_DISK = 2 * 2**30


def diagnose() -> tuple[list[str], list[str]]:
    """Lines of what was found, and one sentence for everything that must be mended."""
    lines, wrong = [f"sparring {__version__} on Python {platform.python_version()}, {platform.platform()}"], []
    for package in NEEDED:
        found = version(package)
        lines.append(f"{package:13} {found or 'MISSING'}")
        if found is None:
            wrong.append(
                f"{package} is not installed; mend it with: {Path(sys.executable).name} -m pip install {package}"
            )
    for extra, packages in EXTRAS.items():
        missing = [package for package in packages if version(package) is None]
        state = "installed" if not missing else f"without {', '.join(missing)} (pip install 'sparring[{extra}]')"
        lines.append(f"extra {extra:7} {state}")
    found = version("torch")
    if found is not None:
        if tuple(int(part) for part in found.split("+")[0].split(".")[:2]) < LEAST_TORCH:
            wrong.append(
                f"torch {found} is too old; mend it with: python -m pip install 'torch>=2.11' 'torchvision>=0.26'"
            )
        else:
            lines += _devices()
            lines += _data()
    free = shutil.disk_usage(Path.cwd()).free
    lines.append(f"free disk     {free / 2**30:.1f} GiB here, where run folders go")
    if free < LEAST_DISK:
        wrong.append(f"only {free / 2**30:.1f} GiB of disk are free here; free 2 GiB, or give another place with --out")
    return lines, wrong


def version(package: str) -> str | None:
    """The installed version of a package, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _devices() -> list[str]:
    import torch

    lines = [f"threads       {torch.get_num_threads()} of {os.cpu_count()} CPU cores"]
    if not torch.cuda.is_available():
        return [*lines, "device        cpu (no CUDA device was found)"]
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        name = torch.cuda.get_device_name(index)
        lines.append(f"device        cuda:{index} {name}, {free / 2**30:.0f} of {total / 2**30:.0f} GiB free")
    return [*lines, f"CUDA          {torch.version.cuda}"]


def _data() -> list[str]:
    """Where each data set is looked for without --data.root, and whether its folder is there."""
    from sparring.config import DataConfig
    from sparring.data import data_folder, data_names

    lines = []
    for name, line in data_names().items():
        if name not in NO_FILES:
            place = data_folder(DataConfig(name=name))
            line = f"{'files' if place.is_dir() and any(place.iterdir()) else 'nothing yet'} in {place}"
        lines.append(f"{name:13} {line}")
    return lines
