"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009) from their official archives, binary or Python version, packed or unpacked.

The binary version is plain records: one label byte (CIFAR-100: coarse, then fine), 3,072 pixel bytes. The Python
version is made of pickles, which could run code when loaded: they are read only if their MD5 is the official one, and
even then by an unpickler that knows arrays and nothing else.
"""

from __future__ import annotations

import io
import pickle
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sparring.data.decode import Progress
from sparring.data.download import fetch, md5
from sparring.data.images import ImageSet

URL = "https://www.cs.toronto.edu/~kriz/"


@dataclass(frozen=True)
class Official:
    """Names and MD5 checksums of one data set's files."""

    binary: str
    binary_md5: str
    binary_folder: str
    python: str
    python_folder: str
    python_md5: dict[str, str]
    """Of each file of the Python version: training files, the test file, the names of classes."""
    classes: str
    label_bytes: int
    label_key: str
    names_key: str
    url: str = URL


CIFAR = {
    "cifar10": Official(
        binary="cifar-10-binary.tar.gz",
        binary_md5="c32a1d4ab5d03f1284b67883e8d87530",
        binary_folder="cifar-10-batches-bin",
        python="cifar-10-python.tar.gz",
        python_folder="cifar-10-batches-py",
        python_md5={
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
            "test_batch": "40351d587109b95175f43aff81a1287e",
            "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
        },
        classes="batches.meta.txt",
        label_bytes=1,
        label_key="labels",
        names_key="label_names",
    ),
    "cifar100": Official(
        binary="cifar-100-binary.tar.gz",
        binary_md5="03b5dce01913d631647c71ecec9e9cb8",
        binary_folder="cifar-100-binary",
        python="cifar-100-python.tar.gz",
        python_folder="cifar-100-python",
        python_md5={
            "train": "16019d7e3df5f24257cddd939b257f8d",
            "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
            "meta": "7973b15100ade9c7d40fb424638fde48",
        },
        classes="fine_label_names.txt",
        label_bytes=2,
        label_key="fine_labels",
        names_key="fine_label_names",
    ),
}
SIDE = 32


def load_cifar(
    name: str, root: Path, *, download: bool, progress: Progress | None = None, official: Official | None = None
) -> tuple[ImageSet, ImageSet]:
    """Training and test images of `name` (cifar10, cifar100) from what lies in `root`, downloaded if asked for."""
    official = official or CIFAR[name]
    present = _present(root, official)
    if present is None and download:
        fetch(official.url + official.binary, root / official.binary, official.binary_md5, progress)
        present = root / official.binary
    if present is None:
        raise ValueError(
            f"{name} is not in {root}: put {official.binary} or {official.python} (from {official.url}) or the folder "
            f"{official.binary_folder} or {official.python_folder} there, or ask for it with data.download"
        )
    binary = present.name in (official.binary, official.binary_folder)
    *train, test, names = official.python_md5
    if binary:
        train, test, names = [f"{file}.bin" for file in train], f"{test}.bin", official.classes
    content = _content(present, [*train, test, names])
    if binary:
        classes = tuple(content[names].decode().split())
        parts = {file: _records(content[file], file, official.label_bytes) for file in (*train, test)}
    else:
        for file, checksum in official.python_md5.items():
            if md5(content[file]) != checksum:
                raise ValueError(
                    f"{file} in {present} is a pickle whose MD5 is not the official {checksum}; it could run code and is not read"
                )
        classes = tuple(_unpickle(content[names])[official.names_key])
        parts = {file: _batch(_unpickle(content[file]), official.label_key) for file in (*train, test)}
    pixels, labels = (np.concatenate(arrays) for arrays in zip(*(parts[file] for file in train), strict=True))
    return _images(pixels, labels, classes, name), _images(*parts[test], classes, name)


def _present(root: Path, official: Official) -> Path | None:
    for folder in (official.binary_folder, official.python_folder):
        for candidate in (root / folder, root):  # root may be the folder itself
            if candidate.name == folder and candidate.is_dir():
                return candidate
    return next((root / f for f in (official.binary, official.python) if (root / f).is_file()), None)


def _content(place: Path, names: list[str]) -> dict[str, bytes]:
    """The named files of a folder or of an archive; nothing is unpacked onto the disk."""
    if place.is_dir():
        missing = [name for name in names if not (place / name).is_file()]
        if missing:
            raise ValueError(f"{place} lacks the file {missing[0]}")
        return {name: (place / name).read_bytes() for name in names}
    content: dict[str, bytes] = {}
    try:
        with tarfile.open(place) as archive:
            for member in archive:
                name = Path(member.name).name
                if name in names and (stream := archive.extractfile(member)):
                    content[name] = stream.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ValueError(f"{place} is damaged ({error})") from error
    missing = [name for name in names if name not in content]
    if missing:
        raise ValueError(f"{place} lacks the file {missing[0]}")
    return content


def _records(content: bytes, file: str, label_bytes: int) -> tuple[np.ndarray, np.ndarray]:
    length = label_bytes + 3 * SIDE * SIDE
    if not content or len(content) % length:
        raise ValueError(f"{file} has {len(content)} bytes, no multiple of a record's {length}: it is truncated")
    records = np.frombuffer(content, dtype=np.uint8).reshape(-1, length)
    return records[:, label_bytes:], records[:, label_bytes - 1]


class _ArraysOnly(pickle.Unpickler):
    """Reads numbers, texts, lists and NumPy arrays; whatever else a pickle asks for is refused."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        wanted = module_name.removeprefix("numpy.").removeprefix("core.").removeprefix("_core."), global_name
        if wanted == ("multiarray", "_reconstruct"):
            return np.empty(0).__reduce__()[0]
        if wanted in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, global_name)
        raise ValueError(f"the pickle asks for {module_name}.{global_name}, which no CIFAR file needs; it is not read")


def _unpickle(content: bytes) -> dict[str, Any]:
    return _ArraysOnly(io.BytesIO(content), encoding="latin1").load()


def _batch(entry: dict[str, Any], key: str) -> tuple[np.ndarray, np.ndarray]:
    return entry["data"], np.asarray(entry[key])


def _images(pixels: np.ndarray, labels: np.ndarray, classes: tuple[str, ...], name: str) -> ImageSet:
    images = torch.from_numpy(pixels.reshape(-1, 3, SIDE, SIDE).copy())
    return ImageSet(images, torch.from_numpy(labels.astype(np.int64)), classes, name)
