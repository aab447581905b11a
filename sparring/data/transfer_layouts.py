"""The official layouts of six small data sets of photographs, read as lists of files with their splits.

Each function takes a folder and gives the splits, or None if the data set is not there; what is there but damaged raises
ValueError. Splits are the publishers'; where they name no validation images there are none here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from sparring.data.decode import EXTENSIONS
from sparring.data.folder import Listing
from sparring.data.splits import Splits, apart, first_folder, lines, listing, matlab, text
from sparring.data.views import seeded

CALTECH_TRAINING = 30
"""Training images a class of Caltech-101; the publishers name none."""


def aircraft(root: Path, seed: int) -> Splits | None:
    """FGVC-Aircraft 2013b (Maji et al. 2013), 100 variants: data/{variants.txt, images_variant_SPLIT.txt, images/}."""
    base = first_folder(root, "fgvc-aircraft-2013b", needs="data/variants.txt")
    if base is None:
        return None
    data = base / "data"
    classes = [line.strip() for line in text(data / "variants.txt").splitlines() if line.strip()]

    def part(split: str) -> Listing:
        file = data / f"images_variant_{split}.txt"
        rows = lines(file, 2, "an image's number and its variant", rest=True)
        return listing(((data / "images" / f"{i}.jpg", place(v, classes, file)) for i, v in rows), classes, file.name)

    return apart(Splits(part("train"), part("val"), part("test")))


def dtd(root: Path, seed: int) -> Splits | None:
    """Describable Textures (Cimpoi et al. 2014), 47 of them, the first of its ten splits: images/CLASS/, labels/train1.txt."""
    base = first_folder(root, "dtd", "dtd/dtd", needs="labels/train1.txt")
    if base is None:
        return None
    named = {split: lines(base / f"labels/{split}1.txt", 1, "CLASS/IMAGE.jpg") for split in ("train", "val", "test")}
    classes = sorted({Path(row[0]).parent.name for rows in named.values() for row in rows})

    def part(split: str) -> Listing:
        files = [base / "images" / row[0] for row in named[split]]
        return listing(((file, classes.index(file.parent.name)) for file in files), classes, f"{split}1.txt")

    return apart(Splits(part("train"), part("val"), part("test")))


def pets(root: Path, seed: int) -> Splits | None:
    """Oxford-IIIT Pet (Parkhi et al. 2012), 37 breeds: images/ and annotations/{trainval,test}.txt."""
    base = first_folder(root, "oxford-iiit-pet", needs="annotations/trainval.txt")
    if base is None:
        return None
    named = {
        split: lines(base / f"annotations/{split}.txt", 4, "IMAGE CLASS SPECIES BREED")
        for split in ("trainval", "test")
    }
    breeds: dict[int, str] = {}
    for split, rows in named.items():
        for image, number, *_ in rows:
            known = breeds.setdefault(
                _number(number, base / f"annotations/{split}.txt"), breed := image.rpartition("_")[0]
            )
            if known != breed:
                raise ValueError(f"{base}/annotations/{split}.txt gives class {number} to {breed}, earlier to {known}")
    if sorted(breeds) != list(range(1, len(breeds) + 1)):
        raise ValueError(f"{base}/annotations: {len(breeds)} breeds must have the numbers 1 to {len(breeds)}")
    classes = [breeds[number] for number in sorted(breeds)]

    def part(split: str) -> Listing:
        rows = named[split]
        return listing(((base / "images" / f"{row[0]}.jpg", int(row[1]) - 1) for row in rows), classes, f"{split}.txt")

    return apart(Splits(part("trainval"), None, part("test")))


def cars(root: Path, seed: int) -> Splits | None:
    """Stanford Cars (Krause et al. 2013), 196 models: cars_train/, cars_test/, devkit/*.mat and the test labels."""
    base = first_folder(root, "stanford_cars", needs="devkit/cars_train_annos.mat")
    if base is None:
        return None
    labelled = "cars_test_annos_withlabels.mat"
    test = next((f for f in (base / labelled, base / "devkit" / labelled) if f.is_file()), None)
    if test is None:
        raise ValueError(
            f"{base} lacks {labelled}: the devkit's own test annotations have no labels, this file has them"
        )
    (names,) = matlab(base / "devkit" / "cars_meta.mat", "class_names")
    classes = [str(name) for name in names]

    def part(file: Path, folder: str) -> Listing:
        (rows,) = matlab(file, "annotations")
        if not {"fname", "class"} <= set(getattr(rows.dtype, "names", None) or ()):
            raise ValueError(f"{file} is damaged: its annotations lack fname or class")
        images = base / folder / folder if (base / folder / folder).is_dir() else base / folder
        return listing(((images / str(row["fname"]), int(row["class"]) - 1) for row in rows), classes, file.name)

    return apart(Splits(part(base / "devkit" / "cars_train_annos.mat", "cars_train"), None, part(test, "cars_test")))


def flowers(root: Path, seed: int) -> Splits | None:
    """Oxford 102 Flowers (Nilsback and Zisserman 2008): jpg/image_00001.jpg, ..., imagelabels.mat, setid.mat."""
    base = first_folder(root, "flowers-102", needs="imagelabels.mat")
    if base is None:
        return None
    (labels,) = matlab(base / "imagelabels.mat", "labels")
    parts = matlab(base / "setid.mat", "trnid", "valid", "tstid")
    classes = [f"flower {number}" for number in range(1, int(labels.max()) + 1)]

    def part(numbers: np.ndarray, what: str) -> Listing:
        outside = [number for number in numbers.tolist() if not 1 <= number <= labels.size]
        if outside:
            raise ValueError(
                f"{base / 'setid.mat'} names image {outside[0]}, but imagelabels.mat has {labels.size} labels"
            )
        rows = ((base / "jpg" / f"image_{n:05d}.jpg", int(labels[n - 1]) - 1) for n in numbers.tolist())
        return listing(rows, classes, f"setid.mat ({what})")

    train, val, test = (part(n, w) for n, w in zip(parts, ("training", "validation", "test"), strict=True))
    return apart(Splits(train, val, test))


def caltech101(root: Path, seed: int) -> Splits | None:
    """Caltech-101 (Fei-Fei et al. 2004), 101 objects and the background class: 101_ObjectCategories/CLASS/*.jpg.

    There is no official split. As Kornblith et al. 2019: 30 images of each of the 102 classes for training, all others
    for the test; here a draw that follows from `seed`.
    """
    base = first_folder(root, "caltech101", "caltech-101", "caltech101/caltech-101", needs="101_ObjectCategories")
    if base is None:
        return None
    place = base / "101_ObjectCategories"
    classes = sorted(folder.name for folder in place.iterdir() if folder.is_dir() and not folder.name.startswith("."))
    train: list[tuple[Path, int]] = []
    test: list[tuple[Path, int]] = []
    for label, name in enumerate(classes):
        files = sorted(f for f in (place / name).iterdir() if f.suffix.lower() in EXTENSIONS and f.name[0] != ".")
        if len(files) <= CALTECH_TRAINING:
            raise ValueError(
                f"{place / name} holds {len(files)} images; {CALTECH_TRAINING} are for training, and one at least for the test"
            )
        order = torch.randperm(len(files), generator=seeded(seed, "caltech101", label)).tolist()
        train += [(files[i], label) for i in sorted(order[:CALTECH_TRAINING])]
        test += [(files[i], label) for i in sorted(order[CALTECH_TRAINING:])]
    return Splits(listing(train, classes, str(place)), None, listing(test, classes, str(place)))


def place(name: str, classes: list[str], file: Path) -> int:
    """Where a class stands; ValueError if it is none."""
    if name not in classes:
        raise ValueError(f"{file} names the class {name!r}, which is none of the {len(classes)}")
    return classes.index(name)


def _number(word: str, file: Path) -> int:
    if not word.isdecimal():
        raise ValueError(f"{file}: {word!r} is no number of a class")
    return int(word)
