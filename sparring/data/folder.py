"""Any folder of images: one sub-folder a class, or images without labels.

ROOT/train/CLASS/*.jpg  and  ROOT/test/CLASS/*.jpg  (or val)      or      ROOT and TEST_ROOT
ROOT/CLASS/*.jpg        a seeded tenth of every class is held out for evaluation
ROOT/*.jpg              no labels; a seeded tenth is held out
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Int64
from torch import Tensor

from sparring.data.decode import EXTENSIONS, Progress, decode, in_threads, picture_size
from sparring.data.images import ImageSet, StreamedImages, held_out

MEMORY_BUDGET = 2 * 2**30
"""Bytes of uint8 images beyond which `loading="auto"` streams a folder instead of keeping it in memory."""
NAMED = 20
"""How many left-out files a warning names."""
SYSTEM_FILES = {"thumbs.db", "desktop.ini"}


@dataclass(frozen=True)
class Listing:
    """The image files of a folder with their classes, in the order of their names; nothing is read yet."""

    files: tuple[Path, ...]
    labels: Int64[Tensor, " n"] | None
    classes: tuple[str, ...]

    def select(self, index: Int64[Tensor, " k"]) -> Listing:
        """Only these files."""
        labels = None if self.labels is None else self.labels[index]
        return replace(self, files=tuple(self.files[i] for i in index.tolist()), labels=labels)


def list_folders(
    root: str, test_root: str | None, *, seed: int, skip_unreadable: bool = False
) -> tuple[Listing, Listing]:
    """Training and evaluation files below `root` (and `test_root`), by the layouts above."""
    base = Path(root)
    first = base / "train" if (base / "train").is_dir() else base
    train = list_folder(first, skip=skip_unreadable)
    second = Path(test_root) if test_root else next((d for d in (base / "test", base / "val") if d.is_dir()), None)
    if second is None or (first is base and not test_root):
        if len(train.files) < 2:
            raise ValueError(
                f"{first} holds one image; at least two are needed, of which one is held out for evaluation"
            )
        kept, out = held_out(train.labels, len(train.files), 0.1, seed)
        if not len(kept):
            raise ValueError(
                f"{first} holds one image a class: none is left for training; name evaluation images by data.test_root"
            )
        return train.select(kept), train.select(out)
    test = list_folder(second, skip=skip_unreadable)
    if train.labels is None or test.labels is None:
        return replace(train, labels=None, classes=()), replace(test, labels=None, classes=())
    unknown = sorted(set(test.classes) - set(train.classes))
    if unknown:
        raise ValueError(f"{second} has a class {unknown[0]!r} that {first} has not")
    place = torch.tensor([train.classes.index(name) for name in test.classes])
    return train, replace(test, labels=place[test.labels], classes=train.classes)


def list_folder(root: Path, *, skip: bool = False) -> Listing:
    """The images of one folder. A file that is none by its extension raises ValueError, or is left out with `skip`."""
    if not root.is_dir():
        raise ValueError(f"{root} is no folder; data.root must name a folder of images")
    folders = sorted(d for d in root.iterdir() if d.is_dir() and not d.name.startswith("."))
    direct = [f for f in _files(root) if f.suffix.lower() in EXTENSIONS]
    if not folders:
        files = _images(root, skip)
        if not files:
            raise ValueError(f"{root} holds no images (extensions {' '.join(sorted(EXTENSIONS))})")
        return Listing(tuple(files), None, ())
    if direct:
        raise ValueError(
            f"{root} holds images ({direct[0].name}) beside folders ({folders[0].name}); give either, not both"
        )
    found = [_images(folder, skip, deep=True) for folder in folders]
    for folder, files in zip(folders, found, strict=True):
        if not files:
            raise ValueError(f"{folder} holds no images; every folder below {root} is a class")
    if len(folders) == 1:
        raise ValueError(
            f"{root} has the single class {folders[0].name!r}; labels need two classes at least: "
            f"give {folders[0]} itself as root to train without labels"
        )
    labels = torch.arange(len(folders)).repeat_interleave(torch.tensor([len(files) for files in found]))
    return Listing(tuple(f for files in found for f in files), labels, tuple(d.name for d in folders))


def _files(folder: Path, deep: bool = False) -> list[Path]:
    found = folder.rglob("*") if deep else folder.iterdir()
    return sorted(f for f in found if f.is_file() and not f.name.startswith(".") and f.name.lower() not in SYSTEM_FILES)


def _images(folder: Path, skip: bool, deep: bool = False) -> list[Path]:
    files = _files(folder, deep)
    images = [f for f in files if f.suffix.lower() in EXTENSIONS]
    if len(images) < len(files) and images:
        other = next(f for f in files if f.suffix.lower() not in EXTENSIONS)
        if not skip:
            raise ValueError(
                f"{other} is no image by its extension; remove it, or skip such files with data.skip_unreadable"
            )
        _warn_skipped([f for f in files if f.suffix.lower() not in EXTENSIONS])
    return images


def read(
    listing: Listing,
    name: str,
    *,
    image_size: int | None,
    resize: int | None = None,
    stream: bool | None = None,
    workers: int = 2,
    skip_unreadable: bool = False,
    progress: Progress | None = None,
) -> ImageSet:
    """The images of a listing, in memory or streamed (`stream`; None: streamed when they would exceed MEMORY_BUDGET).

    `resize` is what the shorter side is brought to before the centre is cropped, `image_size` if None. Streaming reads the
    heads of all files first, so that a file that is no image is found before any work; with `skip_unreadable` it decodes
    every file once, to find the damaged ones too.
    """
    size = image_size if image_size is not None else _common_size(listing, skip_unreadable, progress)
    if stream is None:
        stream = len(listing.files) * 3 * size * size > MEMORY_BUDGET
    work = partial(decode, size=size, resize=resize)
    if stream:
        check = (lambda f: work(f).numel()) if skip_unreadable else picture_size
        kept = in_threads(check, listing.files, skip=skip_unreadable, progress=progress)
    else:
        kept = in_threads(work, listing.files, skip=skip_unreadable, progress=progress)
    good = torch.tensor([result is not None for result in kept])
    if not good.all():
        _warn_skipped([listing.files[i] for i in (~good).nonzero()[:, 0].tolist()])
        if not good.any():
            raise ValueError(f"none of {len(kept)} files can be read as an image, the first being {listing.files[0]}")
        listing = listing.select(good.nonzero()[:, 0])
    if stream:
        return ImageSet(
            StreamedImages(listing.files, size, workers, resize=resize), listing.labels, listing.classes, name
        )
    images = torch.stack([image for image in kept if isinstance(image, Tensor)])
    return ImageSet(images, listing.labels, listing.classes, name)


def _common_size(listing: Listing, skip: bool, progress: Progress | None) -> int:
    """The side that all images share; ValueError if they differ or are not square."""
    sizes = in_threads(picture_size, listing.files, skip=skip, progress=progress)
    known = [(file, size) for file, size in zip(listing.files, sizes, strict=True) if size is not None]
    if not known:
        raise ValueError(f"none of {len(sizes)} files can be read as an image, the first being {listing.files[0]}")
    (first, (width, height)) = known[0]
    for file, size in known:
        if size != (width, height):
            raise ValueError(
                f"images differ in size: {first} has {width} x {height} pixels, {file} {size[0]} x {size[1]}; "
                "give data.image_size to have all resized and centre-cropped"
            )
    if width != height:
        raise ValueError(
            f"images are {width} x {height} pixels; give data.image_size to have them resized and centre-cropped"
        )
    return width


def _warn_skipped(files: list[Path]) -> None:
    named = ", ".join(map(str, files[:NAMED])) + (", ..." if len(files) > NAMED else "")
    warnings.warn(f"{len(files)} file(s) left out because they are no readable image: {named}", stacklevel=3)
