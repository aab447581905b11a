"""Fashion-MNIST (Xiao et al. 2017) from its four idx files, packed (.gz) or not."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import torch

from sparring.data.decode import Progress
from sparring.data.download import fetch
from sparring.data.images import ImageSet

URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
FILES = {
    "train-images-idx3-ubyte": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte": "bb300cfdad3c16e7a12a480ee83cd310",
}
"""Names, and MD5 of the packed files, which are checked when they are downloaded."""
DEBIAN = Path("/usr/share/dataset-fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts them."""
CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


def load_fashion_mnist(
    root: Path, *, download: bool, progress: Progress | None = None, url: str = URL, files: dict[str, str] | None = None
) -> tuple[ImageSet, ImageSet]:
    """Training and test images, uint8 [n 1 28 28], from `root`, torchvision's folders below it, or Debian's package."""
    files = files or FILES
    places = (root, root / "raw", root / "FashionMNIST" / "raw", DEBIAN)
    place = next((p for p in places if all(_find(p, name) for name in files)), None)
    if place is None and download:
        for name, checksum in files.items():
            if not _find(root, name):
                fetch(f"{url}{name}.gz", root / f"{name}.gz", checksum, progress)
        place = root
    if place is None:
        missing = next(name for name in files if not _find(root, name))
        raise ValueError(
            f"fashion-mnist is not in {root}: put {missing}.gz and the three other idx files (from {url}) there, "
            "install Debian's dataset-fashion-mnist, or ask for it with data.download"
        )
    train_images, train_labels, test_images, test_labels = (read_idx(p) for n in files if (p := _find(place, n)))
    return _images(train_images, train_labels, place), _images(test_images, test_labels, place)


def read_idx(file: Path) -> np.ndarray:
    """An idx file of bytes: two zero bytes, type 8, the number of axes, their lengths (big-endian), the values."""
    try:
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{file} is damaged ({error})") from error
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise ValueError(f"{file} is no idx file of unsigned bytes")
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise ValueError(f"{file} is truncated within its head")
    shape = tuple(np.frombuffer(content[4:start], dtype=">u4").tolist())
    if len(content) - start != math.prod(shape):
        raise ValueError(f"{file} is truncated: its head promises {shape}, but {len(content) - start} bytes follow")
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


def _find(folder: Path, name: str) -> Path | None:
    return next((f for f in (folder / name, folder / f"{name}.gz") if f.is_file()), None)


def _images(pixels: np.ndarray, labels: np.ndarray, place: Path) -> ImageSet:
    if pixels.ndim != 3 or labels.shape != pixels.shape[:1] or (labels.size and labels.max() >= len(CLASSES)):
        raise ValueError(f"{place}: images {pixels.shape} and labels {labels.shape} do not belong together")
    images = torch.from_numpy(pixels.copy()).unsqueeze(1)
    return ImageSet(images, torch.from_numpy(labels.astype(np.int64)), CLASSES, "fashion-mnist")
