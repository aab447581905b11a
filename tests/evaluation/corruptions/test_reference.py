"""Every corruption at every severity of both tables equals, value for value, the original's steps as plain loops."""

from __future__ import annotations

from importlib import resources

import numpy as np
import pytest
from PIL import Image

from sparring.evaluation.corruptions import NAMES, SEVERITIES, TABLES, corrupt
from tests.evaluation.corruptions.images import smooth_images
from tests.reference import corruptions as reference

SETTINGS = {"cifar": reference.CIFAR, "imagenet": reference.IMAGENET}
ORIGINAL_SIDE = {"cifar": 32, "imagenet": 224}


def settings_of(table: str, name: str, severity: int, side: int):
    settings = SETTINGS[table][name][severity - 1]
    if name == "elastic_transform":
        return tuple(value * side / ORIGINAL_SIDE[table] for value in settings)
    return settings


def photographs(table: str, grey: bool) -> list:
    textures = []
    for name in ("frost1.png", "frost2.png", "frost3.png", "frost4.jpg", "frost5.jpg"):
        path = resources.files("sparring.evaluation.corruptions") / "textures" / name
        with path.open("rb") as file:
            picture = Image.open(file).convert("RGB")
        if table == "cifar":  # OpenCV's bilinear shrinking by 5 reads the source at 5 (i + 1/2) - 1/2 = 5 i + 2
            columns, rows = ([5 * i + 2 for i in range(round(side * 0.2))] for side in picture.size)
            picture = Image.fromarray(np.asarray(picture)[np.ix_(rows, columns)])
        array = np.asarray(picture.convert("L"))[None] if grey else np.moveaxis(np.asarray(picture), -1, 0)
        textures.append(array)
    return textures


def expected(image: np.ndarray, table: str, name: str, severity: int, index: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng([seed, NAMES.index(name), severity, index])
    extra = (photographs(table, grey=len(image) == 1),) if name == "frost" else ()
    settings = settings_of(table, name, severity, min(image.shape[1:]))
    return np.array(getattr(reference, name)(image.tolist(), settings, rng, *extra))


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("name", NAMES)
def test_equals_the_loops(name, table):
    images = smooth_images(2, 10, 13, seed=1)
    for severity in SEVERITIES:
        out = corrupt(images, name, severity, table=table, seed=5, start=3)
        for i, image in enumerate(images.numpy()):
            np.testing.assert_array_equal(
                out[i].numpy(), expected(image, table, name, severity, 3 + i, 5), f"{severity}"
            )


@pytest.mark.parametrize("name", NAMES)
def test_equals_the_loops_on_grey_images(name):
    image = smooth_images(1, 12, 9, channels=1, seed=2)
    for severity in (1, 5):
        out = corrupt(image, name, severity)
        np.testing.assert_array_equal(out[0].numpy(), expected(image[0].numpy(), "cifar", name, severity, 0, 0))


@pytest.mark.parametrize("table", TABLES)
def test_the_tables_are_the_published_ones(table):
    assert TABLES[table].keys() == SETTINGS[table].keys()
    for name, settings in TABLES[table].items():
        for severity, ours in zip(SEVERITIES, settings, strict=True):
            theirs = settings_of(table, name, severity, 1)
            if name == "frost":
                assert ours == (*theirs, 5 if table == "cifar" else 1)
            else:
                assert ours == pytest.approx(theirs, rel=1e-12), (name, severity)
