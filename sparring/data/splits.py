"""The official parts of a data set, as lists of files: which image is for training, for validation, for the test."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from sparring.data.folder import Listing

SIZED = 1000
"""So many files are told apart by their sizes too; the others by their names alone."""


@dataclass(frozen=True)
class Splits:
    """Training, validation (None where the publishers name none) and test images; all share their classes."""

    train: Listing
    val: Listing | None
    test: Listing

    @property
    def sizes(self) -> tuple[int, int, int]:
        """How many images each part has, in this order."""
        return len(self.train.files), len(self.val.files) if self.val else 0, len(self.test.files)

    @property
    def train_and_val(self) -> Listing:
        """What is trained on once everything is chosen."""
        if self.val is None:
            return self.train
        assert self.train.labels is not None and self.val.labels is not None
        labels = torch.cat([self.train.labels, self.val.labels])
        return Listing(self.train.files + self.val.files, labels, self.train.classes)


def listing(named: Iterable[tuple[Path, int]], classes: Sequence[str], what: str) -> Listing:
    """Files with their class; ValueError, naming the first, if there are none, one is missing or named twice."""
    pairs = list(named)
    if not pairs:
        raise ValueError(f"{what} names no images")
    files = [file for file, _ in pairs]
    twice = [file for file, count in Counter(files).items() if count > 1]
    if twice:
        raise ValueError(f"{what} names {twice[0].name} {files.count(twice[0])} times; an image belongs there once")
    present: dict[Path, set[str]] = {}
    for folder in {file.parent for file in files}:
        present[folder] = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    missing = [file for file in files if file.name not in present[file.parent]]
    if missing:
        raise ValueError(
            f"{missing[0]} is missing ({len(missing):,} of the {len(files):,} images that {what} names); unpack the "
            "archive again"
        )
    for file, label in pairs:
        if not 0 <= label < len(classes):
            raise ValueError(f"{what} gives {file.name} class {label + 1}, but there are {len(classes)}")
    return Listing(tuple(files), torch.tensor([label for _, label in pairs]), tuple(classes))


def apart(splits: Splits) -> Splits:
    """The same; ValueError if an image is in two parts."""
    parts = [("training", splits.train), ("validation", splits.val), ("test", splits.test)]
    seen: dict[Path, str] = {}
    for name, part in parts:
        for file in part.files if part else ():
            if file in seen:
                raise ValueError(f"{file} is both a {seen[file]} and a {name} image; the split files are damaged")
            seen[file] = name
    return splits


def lines(file: Path, columns: int, what: str, *, rest: bool = False) -> list[list[str]]:
    """The words of each line of a text file; with `rest` the last column takes the rest of the line.

    ValueError if the file is absent, or a line has other than `columns` words.
    """
    found = []
    for number, line in enumerate(text(file).splitlines(), start=1):
        words = line.split(None, columns - 1) if rest else line.split()
        if not words:
            continue
        if len(words) != columns:
            raise ValueError(f"{file}, line {number} is {line[:60]!r}, not {what}")
        found.append([word.strip() for word in words])
    return found


def text(file: Path) -> str:
    """A text file; ValueError if it is absent or none."""
    if not file.is_file():
        raise ValueError(f"{file} is missing; unpack the archive again")
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is damaged: it is no text ({error.reason})") from error


def matlab(file: Path, *variables: str) -> list[np.ndarray]:
    """Variables of a .mat file; ValueError if it is absent, damaged or lacks one. Nothing in it is run."""
    from scipy.io import loadmat

    if not file.is_file():
        raise ValueError(f"{file} is missing")
    try:
        content = loadmat(file, squeeze_me=True)
    except Exception as error:  # scipy's readers raise ValueError, TypeError, struct.error, zlib.error and more
        raise ValueError(f"{file} is damaged: no .mat file can be read from it ({error})") from error
    for variable in variables:
        if variable not in content:
            raise ValueError(f"{file} is damaged: it lacks {variable!r}")
    return [np.atleast_1d(content[variable]) for variable in variables]


def first_folder(root: Path, *names: str, needs: str) -> Path | None:
    """The first of root and root/NAME that holds `needs`."""
    return next((place for place in (root, *(root / name for name in names)) if (place / needs).exists()), None)


def told_apart(files: Mapping[str, Path]) -> str:
    """Tells images from others, wherever they are mounted: of all their files' names, and of some of their sizes."""
    sized = sorted(files)[:: 1 + len(files) // SIZED]
    said = [*sorted(files), *(str(files[name].stat().st_size) for name in sized)]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:8]
