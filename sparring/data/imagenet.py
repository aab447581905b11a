"""ImageNet (ILSVRC 2012), its subset ImageNet-100, and Tiny-ImageNet, from the folders that people have them in.

ImageNet: train/<wnid>/*.JPEG, and val/<wnid>/*.JPEG or val/*.JPEG with one of two lists of the validation images' classes
beside it (VAL_LISTS); also below ILSVRC/Data/CLS-LOC, as Kaggle packs it. The test images are those of val: there
are no labels of others.
Tiny-ImageNet: tiny-imagenet-200.zip or its folder: train/<wnid>/images/*.JPEG, val/images/*.JPEG, val/val_annotations.txt.
"""

from __future__ import annotations

import csv
import itertools
import zipfile
from functools import cache
from importlib import resources
from pathlib import Path

from sparring.data.decode import EXTENSIONS
from sparring.data.download import alone
from sparring.data.folder import Listing
from sparring.data.splits import Splits, apart, first_folder, lines, listing, text

VAL_LISTS = ("LOC_val_solution.csv", "imagenet_2012_validation_synset_labels.txt")
"""Kaggle's list (image, class and boxes), or a class a line in the order of the images' names."""
KAGGLE = "ILSVRC/Data/CLS-LOC"
TINY, TINY_ZIP = "tiny-imagenet-200", "tiny-imagenet-200.zip"


@cache
def imagenet100_wnids() -> tuple[str, ...]:
    """The 100 classes of ImageNet-100, in the order of their file (imagenet100.txt)."""
    content = (resources.files("sparring.data") / "imagenet100.txt").read_text(encoding="utf-8")
    return tuple(line for line in content.splitlines() if line and not line.startswith("#"))


def imagenet(root: Path, seed: int) -> Splits | None:
    """All classes that train/ has."""
    base = first_folder(root, KAGGLE, needs="train")
    if base is None:
        return None
    return _imagenet(root, base, sorted(d.name for d in (base / "train").iterdir() if d.is_dir() and d.name[0] != "."))


def imagenet100(root: Path, seed: int) -> Splits | None:
    """The 100 classes of Tian et al. 2019 (CMC), of an ImageNet folder that may hold more."""
    base = first_folder(root, KAGGLE, needs="train")
    if base is None:
        return None
    wnids = sorted(imagenet100_wnids())
    missing = [wnid for wnid in wnids if not (base / "train" / wnid).is_dir()]
    if missing:
        raise ValueError(
            f"{base / 'train'} lacks {len(missing)} of the 100 classes of imagenet100, the first being {missing[0]}"
        )
    return _imagenet(root, base, wnids)


def _imagenet(root: Path, base: Path, classes: list[str]) -> Splits:
    if len(classes) < 2:
        raise ValueError(f"{base / 'train'} must hold a folder a class (such as n01440764), not {len(classes)}")
    train = in_folders(base / "train", classes, "")
    val = base / "val"
    if not val.is_dir():
        raise ValueError(f"{base} has train but no val; the 50,000 validation images are what is measured on")
    if any(entry.is_dir() for entry in val.iterdir()):
        return Splits(train, None, in_folders(val, classes, ""))
    files = pictures(val)
    wnid = _classes_of(val, files, (val, base, root, base.parent, root / "ILSVRC"))
    named = [(file, classes.index(wnid[file.stem])) for file in files if wnid[file.stem] in set(classes)]
    return Splits(train, None, listing(named, classes, str(val)))


def _classes_of(val: Path, files: list[Path], places: tuple[Path, ...]) -> dict[str, str]:
    """The class of each image of a flat val folder, by the image's name."""
    solution, labels = (next((p / name for p in places if (p / name).is_file()), None) for name in VAL_LISTS)
    if solution is not None:
        rows = list(csv.reader(text(solution).splitlines()))[1:]
        if any(len(row) < 2 or not row[1].strip() for row in rows):
            raise ValueError(f"{solution} must have lines such as 'ILSVRC2012_val_00000001,n01751748 1 2 3 4'")
        wnid = {image: boxes.split()[0] for image, boxes, *_ in rows}
    elif labels is not None:
        order = [row[0] for row in lines(labels, 1, "a class such as n01440764")]
        if len(order) != len(files):
            raise ValueError(f"{labels} has {len(order):,} lines, but {val} holds {len(files):,} images")
        wnid = {file.stem: name for file, name in zip(files, order, strict=True)}
    else:
        raise ValueError(
            f"{val} holds images and no folders, and nothing says their classes: sort them into val/<wnid>/, or put "
            f"{VAL_LISTS[0]} (from Kaggle) or {VAL_LISTS[1]} (a class a line, in the order of the images) beside it"
        )
    unknown = [file for file in files if file.stem not in wnid]
    if unknown:
        raise ValueError(f"{solution or labels} does not name {unknown[0].name}, which {val} holds")
    return wnid


def tiny_imagenet(root: Path, seed: int) -> Splits | None:
    """200 classes of 500 training images, 64 x 64; the 10,000 validation images are the test ones."""
    base = first_folder(root, TINY, needs="wnids.txt") or unpacked(root)
    if base is None:
        return None
    classes = sorted(row[0] for row in lines(base / "wnids.txt", 1, "a class such as n01440764"))
    twice = next((name for before, name in itertools.pairwise(classes) if before == name), None)
    if twice:
        raise ValueError(f"{base / 'wnids.txt'} names the class {twice} twice")
    rows = [row[:2] for row in lines(base / "val" / "val_annotations.txt", 6, "IMAGE CLASS and a box")]
    unknown = next((wnid for _, wnid in rows if wnid not in set(classes)), None)
    if unknown:
        raise ValueError(f"{base / 'val' / 'val_annotations.txt'} names the class {unknown}, which wnids.txt has not")
    number = {wnid: label for label, wnid in enumerate(classes)}
    named = [(base / "val" / "images" / image, number[wnid]) for image, wnid in rows]
    test = listing(named, classes, "val_annotations.txt")
    return apart(Splits(in_folders(base / "train", classes, "images"), None, test))


def unpacked(root: Path) -> Path | None:
    """The folder of tiny-imagenet-200.zip, which is unpacked beside it: whole, or not at all.

    Of several processes at once one unpacks it, and the others wait.
    """
    archive, folder = root / TINY_ZIP, root / TINY
    if not archive.is_file():
        return None
    with alone(folder) as part:
        if (folder / "wnids.txt").is_file():
            return folder
        try:
            with zipfile.ZipFile(archive) as content:
                content.extractall(part)
        except (zipfile.BadZipFile, EOFError) as error:
            raise ValueError(f"{archive} is damaged ({error}); fetch it again") from error
        if not (part / TINY / "wnids.txt").is_file():
            raise ValueError(f"{archive} lacks {TINY}/wnids.txt: it is not the official archive")
        try:
            (part / TINY).rename(folder)
        except OSError as error:
            raise ValueError(f"{archive} cannot be unpacked to {folder} ({error}); remove what is there") from error
    return folder


def in_folders(base: Path, classes: list[str], inner: str) -> Listing:
    """The images of base/CLASS/inner of every class."""
    named: list[tuple[Path, int]] = []
    for label, name in enumerate(classes):
        files = pictures(base / name / inner)
        if not files:
            raise ValueError(f"{base / name / inner} holds no images; class {name} needs some")
        named += [(file, label) for file in files]
    return listing(named, classes, str(base))


def pictures(folder: Path) -> list[Path]:
    """The image files of a folder by their names; none if it is absent."""
    if not folder.is_dir():
        return []
    return sorted(f for f in folder.iterdir() if f.suffix.lower() in EXTENSIONS and not f.name.startswith("."))
