"""Data sets that are read as they are published: where each comes from, how its folder is read, how many images it has."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sparring.data import transfer_layouts as layouts
from sparring.data.decode import Progress
from sparring.data.download import alone, fetch
from sparring.data.imagenet import TINY_ZIP, imagenet, imagenet100, tiny_imagenet
from sparring.data.splits import Splits, told_apart

Read = Callable[[Path, int], Splits | None]
"""From a folder and a seed to the splits; None if the data set is not there."""


@dataclass(frozen=True)
class Source:
    """One published data set."""

    read: Read
    sizes: tuple[int, int, int]
    """Published numbers of training, validation and test images."""
    layout: str
    """What must lie in its folder."""
    where: str
    """Who publishes it."""
    torchvision: tuple[str, str] | None = None
    """The class of torchvision.datasets that downloads it, and the folder that it makes; None if nothing here does."""
    why_not: str = ""
    """Why it cannot be downloaded."""


OXFORD = "https://www.robots.ox.ac.uk/~vgg/data/"
TINY_URL, TINY_MD5 = f"http://cs231n.stanford.edu/{TINY_ZIP}", "90528d7ca1a48142e341f4ef8d21d0de"
NO_IMAGENET = "its licence asks everybody to register there"

SOURCES = {
    "tiny-imagenet": Source(
        tiny_imagenet,
        (100_000, 0, 10_000),
        f"{TINY_ZIP}, or its folder with train/<wnid>/images/, val/images/, val/val_annotations.txt and wnids.txt",
        TINY_URL,
    ),
    "imagenet": Source(
        imagenet,
        (1_281_167, 0, 50_000),
        "train/<wnid>/ and val/<wnid>/ (or val/ with a list of classes beside it)",
        "https://image-net.org/download.php",
        why_not=NO_IMAGENET,
    ),
    "imagenet100": Source(
        imagenet100,
        (126_689, 0, 5_000),
        "an ImageNet folder, train/<wnid>/ and val/<wnid>/, of which 100 classes are taken",
        "https://image-net.org/download.php",
        why_not=NO_IMAGENET,
    ),
    "cars": Source(
        layouts.cars,
        (8_144, 0, 8_041),
        "cars_train/, cars_test/, devkit/{cars_meta.mat, cars_train_annos.mat} and cars_test_annos_withlabels.mat",
        "https://ai.stanford.edu/~jkrause/cars/car_dataset.html",
        why_not="its publishers' links are dead; copies exist elsewhere",
    ),
    "aircraft": Source(
        layouts.aircraft,
        (3_334, 3_333, 3_333),
        "data/{images/, variants.txt, images_variant_train.txt, ..._val.txt, ..._test.txt}",
        f"{OXFORD}fgvc-aircraft/",
        ("FGVCAircraft", "fgvc-aircraft-2013b"),
    ),
    "dtd": Source(
        layouts.dtd,
        (1_880, 1_880, 1_880),
        "images/<texture>/ and labels/{train1.txt, val1.txt, test1.txt}",
        f"{OXFORD}dtd/",
        ("DTD", "dtd"),
    ),
    "pets": Source(
        layouts.pets,
        (3_680, 0, 3_669),
        "images/ and annotations/{trainval.txt, test.txt}",
        f"{OXFORD}pets/",
        ("OxfordIIITPet", "oxford-iiit-pet"),
    ),
    "caltech101": Source(
        layouts.caltech101,
        # Of 9,144 pictures: 8,677 of objects and 467 of background. SimCLR (appendix B.8) counts 6,085 test images, so
        # 9,145 files: the archive has one more, BACKGROUND_Google/tmp, which is no picture.
        (3_060, 0, 6_084),
        "101_ObjectCategories/<class>/, BACKGROUND_Google among them",
        "https://data.caltech.edu/records/mzrjq-6wc02",
        ("Caltech101", "caltech101"),
    ),
    "flowers": Source(
        layouts.flowers,
        (1_020, 1_020, 6_149),
        "jpg/, imagelabels.mat and setid.mat",
        f"{OXFORD}flowers/102/",
        ("Flowers102", "flowers-102"),
    ),
}


def splits(name: str, root: Path, *, seed: int, download: bool = False, progress: Progress | None = None) -> Splits:
    """The splits of the data set `name` (of SOURCES) below `root`; `seed` draws Caltech-101's training images.

    ValueError in one sentence if it is not there (and from where to get it), or damaged; a warning if it has other than
    the published numbers of images, since figures on it are then not the data set's.
    """
    source = SOURCES[name]
    found = source.read(root, seed) if root.is_dir() else None
    if found is None and download:
        _download(name, root, progress)
        found = source.read(root, seed)
    if found is None:
        raise ValueError(absent(name, root))
    _seen[name, root] = other = _other(name, root, found)
    if other is not None:
        warnings.warn(
            f"{name} in {root}: {other.words} (training, validation where there is one, test): figures on it are not "
            f"figures on {name}",
            stacklevel=2,
        )
    return found


OTHER_NUMBERS = "not the published numbers of images"


@dataclass(frozen=True)
class OtherCopy:
    """A copy of a data set that has other than the published numbers of images."""

    words: str
    """Which it has, beside every figure."""
    digest: str
    """Tells it from other such copies, wherever they are mounted."""


_seen: dict[tuple[str, Path], OtherCopy | None] = {}
"""What each folder held when it was last read: a million files are listed once."""


def other_copy(name: str, root: Path) -> OtherCopy | None:
    """The copy of the data set `name` (of SOURCES) below `root`; None if it is the published one, or not there."""
    if (name, root) not in _seen:
        found = SOURCES[name].read(root, 0) if root.is_dir() else None
        if found is None:
            return None
        _seen[name, root] = _other(name, root, found)
    return _seen[name, root]


def _other(name: str, root: Path, found: Splits) -> OtherCopy | None:
    if found.sizes == SOURCES[name].sizes:
        return None
    have, published = (", ".join(f"{n:,}" for n in sizes if n) for sizes in (found.sizes, SOURCES[name].sizes))
    parts = (part.files for part in (found.train, found.val, found.test) if part)
    files = {os.path.relpath(file, root): file for part in parts for file in part}
    return OtherCopy(f"{OTHER_NUMBERS}: {have} instead of {published}", told_apart(files))


def absent(name: str, root: Path) -> str:
    """That a data set is not there, what belongs there, and where to get it."""
    source = SOURCES[name]
    how = f"it is not downloaded here ({source.why_not})" if source.why_not else "or ask for it with data.download"
    return f"{name} is not in {root}: put {source.layout} there (from {source.where}){'; ' if source.why_not else ', '}{how}"


def _download(name: str, root: Path, progress: Progress | None) -> None:
    source = SOURCES[name]
    if source.why_not:
        raise ValueError(absent(name, root))
    root.mkdir(parents=True, exist_ok=True)
    if source.torchvision is None:
        fetch(TINY_URL, root / TINY_ZIP, TINY_MD5, progress)
        return
    from torchvision import datasets

    reader, made = source.torchvision
    with alone(root / made) as part:
        if source.read(root, 0) is not None:
            return
        if (root / made).exists():
            raise ValueError(f"{name} is not whole in {root / made}: remove that folder to have it downloaded")
        try:
            part.mkdir()
            getattr(datasets, reader)(part, download=True)
            (part / made).rename(root / made)
        except (RuntimeError, OSError) as error:
            raise ValueError(
                f"{name} could not be downloaded to {root} ({error}); try again, or get it from {source.where}"
            ) from error
