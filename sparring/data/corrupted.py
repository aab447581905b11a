"""The official corrupted test sets as they are unpacked: CIFAR-10-C, CIFAR-100-C, ImageNet-C (Hendrycks & Dietterich 2019).

ROOT/gaussian_noise.npy ... and ROOT/labels.npy    CIFAR-C: uint8 [5 n, 32, 32, 3], severity 1 first; labels likewise
ROOT/gaussian_noise/1/WNID/*.JPEG                  ImageNet-C, also below its archives' folders noise, blur, weather, ...

Nothing but the asked severity is read, and no pickle is ever opened. All checks that need no pixel are made on opening.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from sparring.data.decode import EXTENSIONS, in_threads, picture_size
from sparring.data.images import ImageSet, StreamedImages, balanced
from sparring.data.views import nearest

CORRUPTIONS = (
    "gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "snow",
    "frost", "fog", "brightness", "contrast", "elastic_transform", "pixelate", "jpeg_compression",
)  # fmt: skip
"""The 15 of the benchmark, in the order of the paper's tables."""
EXTRA = ("speckle_noise", "gaussian_blur", "spatter", "saturate")
"""Those that the official files have for validation; no benchmark figure includes them."""
SEVERITIES = (1, 2, 3, 4, 5)
ARCHIVES = ("noise", "blur", "weather", "digital", "extra")
"""ImageNet-C's archives, which some unpack to a folder each."""


@dataclass(frozen=True)
class CorruptedSet:
    """A corrupted test set: the same n images under every corruption at every severity."""

    name: str
    """The folder's name, as figures show it."""
    table: Literal["cifar", "imagenet"]
    """Which table of strengths the files were made with."""
    names: tuple[str, ...]
    """Which of the 15 corruptions are there, in the paper's order."""
    extra: tuple[str, ...]
    """Which of the four validation corruptions are there; `load` knows them too."""
    classes: tuple[str, ...]
    labels: Int64[Tensor, " n"]
    """Of the n images, the same under every corruption; index into `classes`."""
    index: Int64[Tensor, " n"]
    """Which of the folder's test images these are."""
    read: Callable[[str, int, Tensor], Tensor | StreamedImages]
    """The images `index` of one corruption at one severity."""
    severities: tuple[int, ...] = SEVERITIES

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def missing(self) -> tuple[str, ...]:
        """Which of the 15 corruptions the folder lacks."""
        return tuple(name for name in CORRUPTIONS if name not in self.names)

    def load(self, name: str, severity: int) -> ImageSet:
        """The images under corruption `name` at `severity`: in memory (CIFAR-C) or streamed (ImageNet-C).

        ValueError if the folder has no such corruption, or has changed or been damaged since it was opened.
        """
        known = self.names + self.extra
        if name not in known:
            raise ValueError(f"corruption: {name!r} is none of {', '.join(known)} in {self.name}{nearest(name, known)}")
        if severity not in self.severities:
            raise ValueError(f"severity: {severity}; it is one of {', '.join(map(str, self.severities))}")
        images = self.read(name, severity, self.index)
        return ImageSet(images, self.labels, self.classes, f"{self.name}, {name} {severity}")

    def select(self, index: Int64[Tensor, " k"]) -> CorruptedSet:
        """Only these of the images, under every corruption."""
        if not len(index):
            raise ValueError("index: it is empty; a corrupted test set needs one image at least")
        if index.min() < 0 or index.max() >= len(self):
            raise ValueError(f"index: {index.min()} to {index.max()}, but {self.name} has images 0 to {len(self) - 1}")
        return replace(self, labels=self.labels[index], index=self.index[index])

    def subset(self, n: int, seed: int | None = None) -> CorruptedSet:
        """The first `n` images, or with `seed` a seeded draw of `n`, of each class as many as of any other."""
        if not 1 <= n <= len(self):
            raise ValueError(f"n: {n}, but {self.name} has 1 to {len(self)} images a corruption")
        return self.select(torch.arange(n) if seed is None else balanced(self.labels, n, seed, "corrupted"))


def open_corrupted(
    root: str | Path, *, classes: Sequence[str] | None = None, image_size: int = 224, workers: int = 2
) -> CorruptedSet:
    """The corrupted test set in folder `root`, of the kind that its layout shows; nothing but heads is read.

    `classes` are the classes in the order of the model's outputs. CIFAR-C stores labels only, so their number must
    agree; left out, classes are named "0", "1", ... ImageNet-C's folders are chosen by these names (WNIDs), so a model
    of 100 of the 1,000 classes sees only those; left out, all folders in alphabetical order. ImageNet-C is streamed:
    the shorter side brought to `image_size`, the centre cropped (its files are 224 x 224), by `workers` processes.

    Raises ValueError in one sentence for a folder that is incomplete, damaged or of neither layout. It may lack some
    of the corruptions (see `missing`), but none of the severities.
    """
    root = Path(root)
    if not root.is_dir():
        raise ValueError(f"{root} is no folder; it must be an unpacked CIFAR-10-C, CIFAR-100-C or ImageNet-C")
    if classes is not None and len(set(classes)) != len(classes):
        raise ValueError("classes: a name stands there twice; every class needs its own")
    if any(root.glob("*.npy")):
        return _open_arrays(root, classes)
    return _open_folders(root, classes, image_size, workers)


def _open_arrays(root: Path, classes: Sequence[str] | None) -> CorruptedSet:
    if not (root / "labels.npy").is_file():
        raise ValueError(f"{root} lacks labels.npy, without which its images have no class")
    names, extra = (tuple(n for n in known if (root / f"{n}.npy").is_file()) for known in (CORRUPTIONS, EXTRA))
    _require(names + extra, root)
    labels = _labels(root / "labels.npy", classes)
    for name in names + extra:
        _array(root, len(labels), name)
    named = tuple(classes) if classes is not None else tuple(str(k) for k in range(1 + int(labels.max())))
    return CorruptedSet(
        name=root.resolve().name,
        table="cifar",
        names=names,
        extra=extra,
        classes=named,
        labels=labels,
        index=torch.arange(len(labels)),
        read=partial(_read_array, root, len(labels)),
    )


def _labels(file: Path, classes: Sequence[str] | None) -> Int64[Tensor, " n"]:
    """The labels of one severity, after a check that they are the same at all five and name every class."""
    stored = _mapped(file)
    if stored.ndim != 1 or not np.issubdtype(stored.dtype, np.integer):
        raise ValueError(f"{file} has shape {stored.shape} of {stored.dtype}; it must be one list of whole numbers")
    if not len(stored) or len(stored) % len(SEVERITIES):
        raise ValueError(f"{file} has {len(stored)} labels; it must have those of five severities, a multiple of 5")
    labels = torch.from_numpy(stored.astype(np.int64)).view(len(SEVERITIES), -1)
    count = len(classes) if classes is not None else 1 + int(labels.max())
    if labels.min() < 0 or labels.max() >= count:
        raise ValueError(f"{file} has labels {labels.min()} to {labels.max()}, outside the {count} classes")
    if len(found := labels.unique()) != count:
        raise ValueError(f"{file} has {len(found)} different labels, but there are {count} classes")
    if not (labels == labels[0]).all():
        raise ValueError(f"{file} differs between severities; it must hold the same labels five times")
    return labels[0].clone()


def _array(root: Path, n: int, name: str) -> np.memmap:
    """One corruption's file, mapped but not read, after a check of its shape and type."""
    file = root / f"{name}.npy"
    array = _mapped(file)
    side = array.shape[1] if array.ndim == 4 else 32
    expected = (len(SEVERITIES) * n, side, side, 3)
    if array.shape != expected:
        raise ValueError(f"{file} has shape {array.shape}; with the labels there it must be {expected}")
    if array.dtype != np.uint8:
        raise ValueError(f"{file} holds {array.dtype}; it must hold uint8 (pixels 0 to 255)")
    return array


def _mapped(file: Path) -> np.memmap:
    try:
        return np.lib.format.open_memmap(file, mode="r")
    except (ValueError, OSError) as error:
        raise ValueError(
            f"{file} is cut off or no array file ({str(error).splitlines()[0]}); unpack it again"
        ) from error


def _read_array(root: Path, n: int, name: str, severity: int, index: Tensor) -> UInt8[Tensor, "k 3 H W"]:
    part = _array(root, n, name)[(severity - 1) * n : severity * n]
    return torch.from_numpy(part[index.numpy()]).permute(0, 3, 1, 2).contiguous()


def _open_folders(root: Path, classes: Sequence[str] | None, image_size: int, workers: int) -> CorruptedSet:
    if image_size < 1:
        raise ValueError(f"image_size: {image_size}; it must be at least 1")
    found = {n: path for n in CORRUPTIONS + EXTRA if (path := _corruption_folder(root, n)) is not None}
    _require(tuple(found), root)
    parts = [path / str(severity) for path in found.values() for severity in SEVERITIES]
    for part in parts:
        if not part.is_dir():
            raise ValueError(f"{part} is missing; every corruption must have the severities 1 to 5")
    wnids = _class_folders(parts[0])
    if not wnids:
        raise ValueError(f"{parts[0]} holds no folders; every class must have its own")
    for part in parts[1:]:
        if different := sorted(set(wnids) ^ set(_class_folders(part))):
            raise ValueError(
                f"{part} and {parts[0]} differ in their classes: only one of them has the folder {different[0]}"
            )
    if classes is not None and (lacking := [name for name in classes if name not in wnids]):
        raise ValueError(f"{root} has no folder of the class {lacking[0]!r}{nearest(lacking[0], wnids)}")
    named = tuple(classes) if classes is not None else wnids
    files = _files(parts[0], named)
    place = {name: k for k, name in enumerate(named)}
    return CorruptedSet(
        name=root.resolve().name,
        table="imagenet",
        names=tuple(n for n in found if n in CORRUPTIONS),
        extra=tuple(n for n in found if n in EXTRA),
        classes=named,
        labels=torch.tensor([place[file.split("/")[0]] for file in files]),
        index=torch.arange(len(files)),
        read=partial(_read_folder, found, named, files, image_size, workers),
    )


def _corruption_folder(root: Path, name: str) -> Path | None:
    return next((p for p in (root / name, *(root / archive / name for archive in ARCHIVES)) if p.is_dir()), None)


def _class_folders(part: Path) -> tuple[str, ...]:
    return tuple(sorted(d.name for d in part.iterdir() if d.is_dir() and not d.name.startswith(".")))


def _files(part: Path, classes: tuple[str, ...]) -> tuple[str, ...]:
    """Images of the classes' folders as CLASS/FILE, class by class."""
    files: list[str] = []
    for name in classes:
        own = sorted(f.name for f in (part / name).iterdir() if f.suffix.lower() in EXTENSIONS and f.name[0] != ".")
        if not own:
            raise ValueError(f"{part / name} holds no images; every folder of a severity is a class")
        files += [f"{name}/{file}" for file in own]
    return tuple(files)


def _read_folder(
    found: dict[str, Path],
    classes: tuple[str, ...],
    files: tuple[str, ...],
    image_size: int,
    workers: int,
    name: str,
    severity: int,
    index: Tensor,
) -> StreamedImages:
    part = found[name] / str(severity)
    if different := sorted(set(files) ^ set(_files(part, classes))):
        first = next(iter(found.values())) / str(SEVERITIES[0])
        raise ValueError(f"{part} and {first} differ in their images: only one of them has {different[0]}")
    chosen = tuple(part / files[i] for i in index.tolist())
    in_threads(picture_size, chosen)
    return StreamedImages(chosen, image_size, workers)


def _require(names: tuple[str, ...], root: Path) -> None:
    if not names:
        raise ValueError(
            f"{root} has none of the known corruptions (such as {CORRUPTIONS[0]}.npy of CIFAR-C or the folder "
            f"{CORRUPTIONS[0]} of ImageNet-C)"
        )
