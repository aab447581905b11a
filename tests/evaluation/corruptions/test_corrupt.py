"""The call itself: shapes, random numbers, pieces of a set, textures, bad input."""

from __future__ import annotations

import hashlib
import sys
from importlib import resources

import pytest
import torch

from sparring.evaluation.corruptions import NAMES, SEVERITIES, TABLES, corrupt
from tests.evaluation.corruptions.images import smooth_images

RANDOM = (*NAMES[:3], "glass_blur", "motion_blur", "snow", "frost", "fog", "elastic_transform")

TEXTURES = {
    "frost1.png": "6ead634ace1f366d77e87078b465863c",
    "frost2.png": "98f0d2b1d74a048d3bc9c7ecfd886939",
    "frost3.png": "b3ed8eb147824261888e730f916c0d8b",
    "frost4.jpg": "d70b9d6aa0b1fe7bd8133b113787e078",
    "frost5.jpg": "50984ae2c871b7df2c28f1d71ca460a0",
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (2, 1, 8, 31), (2, 3, 40, 9), (1, 3, 70, 70), (0, 3, 32, 32)])
def test_any_size_comes_back_as_it_went_in(name, shape):
    images = smooth_images(*(shape[0], *shape[2:]), channels=shape[1]) if shape[0] else torch.zeros(shape).byte()
    before = images.clone()
    for table in TABLES:
        for severity in (1, 5):
            out = corrupt(images, name, severity, table=table)
            assert out.shape == images.shape and out.dtype == torch.uint8
    assert torch.equal(images, before)


@pytest.mark.parametrize("name", NAMES)
def test_an_image_is_corrupted_alike_in_any_company(name, monkeypatch):
    images = smooth_images(7, 16, 12)
    together = corrupt(images, name, 3, seed=1)
    torch.testing.assert_close(corrupt(images[:2], name, 3, seed=1), together[:2], rtol=0, atol=0)
    torch.testing.assert_close(corrupt(images[4:], name, 3, seed=1, start=4), together[4:], rtol=0, atol=0)
    monkeypatch.setattr(sys.modules[corrupt.__module__], "BLOCK", 2 * images[0].numel())
    torch.testing.assert_close(corrupt(images, name, 3, seed=1), together, rtol=0, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_decides(name):
    images = smooth_images(3)
    state = torch.get_rng_state()
    first = corrupt(images, name, 4, seed=0)
    assert torch.equal(first, corrupt(images, name, 4, seed=0))
    assert torch.equal(first, corrupt(images, name, 4, seed=1)) == (name not in RANDOM)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("name", RANDOM)
def test_equal_images_get_random_numbers_of_their_own(name):
    out = corrupt(smooth_images(1).expand(4, 3, 32, 32), name, 4)
    assert any(not torch.equal(out[0], other) for other in out[1:])


def test_strided_images_are_read_as_they_look():
    images = smooth_images(3)
    last = images.contiguous(memory_format=torch.channels_last)
    for name in NAMES:
        assert torch.equal(corrupt(last, name, 2), corrupt(images, name, 2))


@pytest.mark.parametrize("name", TEXTURES)
def test_the_textures_lie_in_the_package_unchanged(name):
    texture = resources.files("sparring.evaluation.corruptions") / "textures" / name
    assert hashlib.md5(texture.read_bytes()).hexdigest() == TEXTURES[name]


def test_the_textures_come_with_their_licence():
    textures = resources.files("sparring.evaluation.corruptions") / "textures"
    assert "hendrycks/robustness" in (textures / "NOTICE").read_text()
    assert "Apache License" in (textures / "LICENSE").read_text()


def test_there_are_fifteen_at_five_severities():
    assert len(NAMES) == 15 and SEVERITIES == (1, 2, 3, 4, 5)
    assert all(len(settings) == 5 for table in TABLES.values() for settings in table.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "gausian_noise"}, "'gausian_noise'; did you mean gaussian_noise"),
        ({"name": "vignette"}, "corruption must be one of gaussian_noise, .*, not 'vignette'$"),
        ({"severity": 0}, "severity must be one of 1, 2, 3, 4, 5, not 0"),
        ({"severity": 6}, "severity must be one of 1, 2, 3, 4, 5, not 6"),
        ({"table": "tiny"}, "table must be one of cifar, imagenet, not 'tiny'"),
        ({"images": torch.rand(1, 3, 32, 32)}, "dtype torch.uint8 .0 to 255., not of torch.float32"),
        ({"images": torch.zeros(3, 32, 32).byte()}, r"shape .*, not \[3, 32, 32\]"),
        ({"images": torch.zeros(1, 32, 32, 3).byte()}, r"shape .*, not \[1, 32, 32, 3\]"),
        ({"images": torch.zeros(1, 3, 7, 32).byte()}, r"sides of at least 8, not \[1, 3, 7, 32\]"),
        ({"seed": -1}, "seed must be 0 or larger, not -1"),
        ({"start": -1}, "start must be 0 or larger, not -1"),
    ],
)
def test_bad_input_is_one_sentence(change, message):
    arguments = {"images": smooth_images(1), "name": "fog", "severity": 1} | change
    with pytest.raises(ValueError, match=message) as error:
        corrupt(**arguments)
    assert "\n" not in str(error.value)
