"""Data sets in their official layouts, with few classes and images, made of one-colour pictures."""

import shutil
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat


def picture(file, size=(24, 16), colour=(200, 10, 60)):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(file)
    return file


def tiny_imagenet(root: Path, wnids=("n01", "n02", "n03"), each=2, tests=4):
    base = root / "tiny-imagenet-200"
    for number, wnid in enumerate(wnids):
        for i in range(each):
            picture(base / "train" / wnid / "images" / f"{wnid}_{i}.JPEG", (64, 64), (40 * number, 9, 9))
        (base / "train" / wnid / f"{wnid}_boxes.txt").write_text("n01_0.JPEG\t0\t10\t63\t58\n")
    rows = []
    for i in range(tests):
        picture(base / "val" / "images" / f"val_{i}.JPEG", (64, 64))
        rows.append(f"val_{i}.JPEG\t{wnids[i % len(wnids)]}\t0\t32\t44\t62\n")
    (base / "val" / "val_annotations.txt").write_text("".join(rows))
    (base / "wnids.txt").write_text("\n".join(reversed(wnids)) + "\n")
    return base


def imagenet(root: Path, wnids=("n01440764", "n01443537", "n01484850"), flat=False):
    for wnid in wnids:
        for i in range(2):
            picture(root / "train" / wnid / f"{wnid}_{i}.JPEG")
    for number, wnid in enumerate(reversed(wnids), start=1):
        folder = root / "val" if flat else root / "val" / wnid
        picture(folder / f"ILSVRC2012_val_{number:08d}.JPEG")
    return root


def aircraft(root: Path, variants=("707-320", "Boeing 717", "F/A-18")):
    data = root / "fgvc-aircraft-2013b" / "data"
    data.mkdir(parents=True)
    (data / "variants.txt").write_text("\n".join(variants) + "\n")
    number = 34958
    for split in ("train", "val", "test"):
        rows = []
        for variant in reversed(variants):
            number += 1
            picture(data / "images" / f"{number:07d}.jpg")
            rows.append(f"{number:07d} {variant}\n")
        (data / f"images_variant_{split}.txt").write_text("".join(rows))
    return data


def dtd(root: Path, textures=("banded", "blotchy")):
    base = root / "dtd" / "dtd"
    for split in ("train", "val", "test"):
        rows = []
        for texture in reversed(textures):
            picture(base / "images" / texture / f"{texture}_{split}.jpg")
            rows.append(f"{texture}/{texture}_{split}.jpg\n")
        (base / "labels").mkdir(exist_ok=True)
        (base / "labels" / f"{split}1.txt").write_text("".join(rows))
    return base


def pets(root: Path, breeds=("Abyssinian", "american_bulldog", "yorkshire_terrier")):
    base = root / "oxford-iiit-pet"
    (base / "annotations").mkdir(parents=True)
    for split, first in (("trainval", 100), ("test", 1)):
        rows = []
        for number, breed in enumerate(breeds, start=1):
            for i in range(2):
                picture(base / "images" / f"{breed}_{first + i}.jpg")
                rows.append(f"{breed}_{first + i} {number} 1 1\n")
        (base / "annotations" / f"{split}.txt").write_text("".join(rows))
    return base


def cars(root: Path, models=("AM General Hummer SUV 2000", "Acura RL Sedan 2012")):
    base = root / "stanford_cars"
    (base / "devkit").mkdir(parents=True)
    savemat(base / "devkit" / "cars_meta.mat", {"class_names": np.array(models, dtype=object)})
    fields = [("bbox_x1", "O"), ("class", "O"), ("fname", "O")]
    places = {"cars_train": "devkit/cars_train_annos.mat", "cars_test": "cars_test_annos_withlabels.mat"}
    for folder, file in places.items():
        rows = np.array([(39, 1 + i % len(models), f"{i + 1:05d}.jpg") for i in range(3)], dtype=fields)
        for row in rows:
            picture(base / folder / row["fname"])
        savemat(base / file, {"annotations": rows})
    return base


def flowers(root: Path):
    base = root / "flowers-102"
    for number in range(1, 9):
        picture(base / "jpg" / f"image_{number:05d}.jpg")
    savemat(base / "imagelabels.mat", {"labels": np.array([[1, 2, 1, 2, 2, 1, 1, 2]], dtype=np.uint8)})
    parts = {"trnid": [2, 1], "valid": [3, 4], "tstid": [5, 6, 7, 8]}
    savemat(base / "setid.mat", {key: np.array([ids], dtype=np.uint16) for key, ids in parts.items()})
    return base


def caltech101(root: Path, classes=("BACKGROUND_Google", "Faces", "wrench"), each=33):
    base = root / "caltech101" / "101_ObjectCategories"
    first = picture(root / "one.jpg", (9, 8))
    for name in classes:
        (base / name).mkdir(parents=True)
        for i in range(1, each + 1):
            shutil.copy(first, base / name / f"image_{i:04d}.jpg")
    first.unlink()
    return base


MAKE = {
    "tiny-imagenet": tiny_imagenet,
    "imagenet": imagenet,
    "aircraft": aircraft,
    "dtd": dtd,
    "pets": pets,
    "cars": cars,
    "flowers": flowers,
    "caltech101": caltech101,
}
