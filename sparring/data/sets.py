"""The data sets by name: what each is, and how it is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from sparring.config import DataConfig
from sparring.data import folder
from sparring.data.cifar import load_cifar
from sparring.data.decode import Progress
from sparring.data.fashion_mnist import load_fashion_mnist
from sparring.data.images import ImageSet, balanced, resized
from sparring.data.official import SOURCES, splits
from sparring.data.small import digits, textures
from sparring.data.views import nearest


@dataclass(frozen=True)
class About:
    """What is known of a data set before it is loaded."""

    line: str
    channels: int
    image_size: int | None
    """Side of the stored images; None: as the files have it."""
    classes: int | None = None
    """How many there are; None: as many as the folder has."""


ABOUT = {
    "digits": About(
        "scikit-learn's 1,797 handwritten digits, 8x8 (embedded, no download); brought to 16x16", 1, 16, 10
    ),
    "cifar10": About("CIFAR-10: 60,000 colour photographs of 10 classes, 32x32", 3, 32, 10),
    "cifar100": About("CIFAR-100: 60,000 colour photographs of 100 classes, 32x32", 3, 32, 100),
    "fashion-mnist": About("Fashion-MNIST: 70,000 grayscale pictures of 10 kinds of clothing, 28x28", 1, 28, 10),
    "tiny-imagenet": About("Tiny-ImageNet: 110,000 colour photographs of 200 classes, 64x64", 3, 64, 200),
    "imagenet": About(
        "ImageNet (ILSVRC 2012): 1,331,167 photographs of 1,000 classes, brought to 224x224", 3, 224, 1000
    ),
    "imagenet100": About("ImageNet-100: 100 of ImageNet's classes (Tian et al. 2019), brought to 224x224", 3, 224, 100),
    "cars": About("Stanford Cars: 16,185 photographs of 196 models of cars, brought to 224x224", 3, 224, 196),
    "aircraft": About("FGVC-Aircraft: 10,000 photographs of 100 variants of aircraft, brought to 224x224", 3, 224, 100),
    "dtd": About("Describable Textures: 5,640 photographs of 47 textures, brought to 224x224", 3, 224, 47),
    "pets": About("Oxford-IIIT Pet: 7,349 photographs of 37 breeds of cats and dogs, brought to 224x224", 3, 224, 37),
    "caltech101": About("Caltech-101: 9,144 pictures of 101 objects and background, brought to 224x224", 3, 224, 102),
    "flowers": About("Oxford 102 Flowers: 8,189 photographs of 102 flowers, brought to 224x224", 3, 224, 102),
    "folder": About("any folder of images (JPEG, PNG, ...), one sub-folder a class or without labels", 3, None),
    "synthetic": About("4 classes of striped textures, 16x16, made on the spot (for tests)", 3, 16, 4),
}


def data_names() -> dict[str, str]:
    """Every data set's name with one line about it."""
    return {name: about.line for name, about in ABOUT.items()}


def about(name: str) -> About:
    """Channels and usual size of data set `name`; ValueError with the nearest name if there is none such."""
    if name not in ABOUT:
        raise ValueError(f"data.name: {name!r} is none of {', '.join(ABOUT)}{nearest(name, ABOUT)}")
    return ABOUT[name]


EMBEDDED = ("digits", "synthetic")
"""Data sets without files."""


def check_source(config: DataConfig) -> None:
    """A ValueError for a setting of where images come from that the data set does not have."""
    name = config.name
    if config.root is not None and name in EMBEDDED:
        raise ValueError(f"data.root is {config.root}, but {name} has no files; for images of yours add --data folder")
    if config.test_root is not None and name != "folder":
        raise ValueError(f"data.test_root is {config.test_root}, but only an image folder (--data folder) has one")
    if config.skip_unreadable and name != "folder":
        raise ValueError(f"data.skip_unreadable is true, but {name} is no image folder (--data folder)")
    if config.resize is not None and name != "folder" and name not in SOURCES:
        raise ValueError(f"data.resize is {config.resize}, but {name} is no data set of image files")
    if config.download and name in (*EMBEDDED, "folder"):
        raise ValueError(f"data.download is true, but there is nothing to download for {name}")


def load_images(config: DataConfig, *, seed: int, progress: Progress | None = None) -> tuple[ImageSet, ImageSet]:
    """Training and evaluation images. `seed` decides held-out parts and subsets, nothing else.

    `progress` is called with (done, total): files of a folder, bytes of a download. ValueError in one sentence when
    something is missing, damaged or contradictory.
    """
    about(config.name)
    check_source(config)
    for field in ("image_size", "resize", "train_images", "test_images"):
        value = getattr(config, field)
        if value is not None and value < 1:
            raise ValueError(f"data.{field}: {value}; it must be at least 1")
    if config.name == "folder" or config.name in SOURCES:
        return _load_files(config, seed, progress)
    size = config.image_size or ABOUT[config.name].image_size or 0
    if config.name == "synthetic":
        train, test = textures(size)
    elif config.name == "digits":
        train, test = digits(size, seed)
    elif config.name == "fashion-mnist":
        train, test = load_fashion_mnist(data_folder(config), download=config.download, progress=progress)
    else:
        train, test = load_cifar(config.name, data_folder(config), download=config.download, progress=progress)
    train = _subset(train, config.train_images, seed, "train_images")
    test = _subset(test, config.test_images, seed, "test_images")
    return _resized(train, size), _resized(test, size)


def data_folder(config: DataConfig) -> Path:
    """The folder of a data set's files; left open, one of the user's own."""
    return Path(config.root).expanduser() if config.root else Path.home() / ".cache" / "sparring" / config.name


def _load_files(config: DataConfig, seed: int, progress: Progress | None) -> tuple[ImageSet, ImageSet]:
    """Of a folder or a published data set: what is trained on is then its training and validation images together."""
    if config.name == "folder":
        if not config.root:
            raise ValueError("data.root: the folder of images must be named")
        listings = folder.list_folders(config.root, config.test_root, seed=seed, skip_unreadable=config.skip_unreadable)
        name, size = f"folder:{Path(config.root).resolve().name}", config.image_size
    else:
        parts = splits(config.name, data_folder(config), seed=seed, download=config.download, progress=progress)
        listings, name = (parts.train_and_val, parts.test), config.name
        size = config.image_size or ABOUT[name].image_size
    if config.resize is not None and (size is None or config.resize < size):
        least = "given together with data.image_size" if size is None else f"at least data.image_size, {size}"
        raise ValueError(f"data.resize: {config.resize}; it must be {least}")
    limits = {"train_images": config.train_images, "test_images": config.test_images}
    sets: list[ImageSet] = []
    for (field, limit), listing in zip(limits.items(), listings, strict=True):
        if limit is not None:
            labels = torch.zeros(len(listing.files), dtype=torch.int64) if listing.labels is None else listing.labels
            listing = listing.select(balanced(_enough(labels, limit, field), limit, seed, field))
        sets.append(
            folder.read(
                listing,
                name,
                # Evaluation images are brought to the size of the training images.
                image_size=size or (sets[0].image_size if sets else None),
                resize=config.resize if field == "test_images" else None,
                stream={"auto": None, "memory": False, "stream": True}[config.loading],
                workers=config.workers,
                skip_unreadable=config.skip_unreadable,
                progress=progress,
            )
        )
    return sets[0], sets[1]


def _subset(images: ImageSet, limit: int | None, seed: int, field: str) -> ImageSet:
    if limit is None:
        return images
    assert images.labels is not None
    return images.select(balanced(_enough(images.labels, limit, field), limit, seed, field))


def _enough(labels: torch.Tensor, limit: int, field: str) -> torch.Tensor:
    if limit > len(labels):
        raise ValueError(f"data.{field}: {limit}, but there are only {len(labels)} images")
    return labels


def _resized(images: ImageSet, size: int) -> ImageSet:
    assert isinstance(images.images, torch.Tensor)
    return ImageSet(resized(images.images, size), images.labels, images.classes, images.name)
