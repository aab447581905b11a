"""What is known of the corruptions without looking at their code: moments, closed forms, invariances, monotone severity."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import integrate, stats

from sparring.evaluation.corruptions import NAMES, SEVERITIES, TABLES, corrupt
from sparring.evaluation.corruptions.blur import disk, motion
from sparring.evaluation.corruptions.digital import elastic_transform
from sparring.evaluation.corruptions.weather import plasma_fractal
from tests.evaluation.corruptions.images import smooth_images

GREY = torch.full((16, 3, 32, 32), 102, dtype=torch.uint8)

FLAT_OR_FALLING = {
    # 1 to 3 move pixels once under blurs of less than half a pixel (7.8, 8.0, 7.9), 4 and 5 twice under the blurs of 2 and 3
    ("cifar", "glass_blur"): (1, 2, 4),
    # 3 and 4 have the same sigma; the longer radius adds a tail without weight (11.53, 11.57)
    ("cifar", "motion_blur"): (3,),
    # the weight of the image falls while that of the texture stays or rises (49.8, 44.8, 43.2 and 72.7, 68.5)
    ("cifar", "frost"): (3, 4),
    ("imagenet", "frost"): (3,),
    # the affine shift falls with every severity (18, 17, 15, 13, 10), or from 2 to 3 to a tenth (43, 13)
    ("cifar", "elastic_transform"): (1, 2, 3, 4),
    ("imagenet", "elastic_transform"): (2,),
    # fewer rounds: 2, 1 (12.8, 11.7) and 3, 2 (19.9, 17.4)
    ("imagenet", "glass_blur"): (1, 3),
    # more flakes, but a threshold of 0.9 instead of 0.5 (71.3, 70.6)
    ("imagenet", "snow"): (2,),
    # equal thickness (41.4, 41.6)
    ("imagenet", "fog"): (3,),
}
"""Severities after which the original's own settings do not change more: mean changes in levels, on the images below."""


def clipped_normal(mean: float, sigma: float) -> tuple[float, float]:
    """Mean and standard deviation of clip(N(mean, sigma^2), 0, 1)."""
    normal = stats.norm(mean, sigma)

    def moment(power):
        return integrate.quad(lambda v: v**power * normal.pdf(v), 0, 1)[0] + normal.sf(1)

    return moment(1), math.sqrt(moment(2) - moment(1) ** 2)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("severity", SEVERITIES)
def test_gaussian_noise_has_the_moments_of_a_clipped_normal(table, severity):
    out = corrupt(GREY, "gaussian_noise", severity, table=table).double() / 255
    mean, deviation = clipped_normal(0.4, TABLES[table]["gaussian_noise"][severity - 1])
    assert out.mean().item() == pytest.approx(mean - 0.5 / 255, abs=0.006)
    assert out.std().item() == pytest.approx(deviation, rel=0.02)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_shot_noise_has_the_variance_of_photon_counts(severity):
    photons = TABLES["cifar"]["shot_noise"][severity - 1]
    out = corrupt(GREY, "shot_noise", severity).double() / 255
    assert out.mean().item() == pytest.approx(0.4 - 0.5 / 255, abs=0.003)
    assert out.std().item() == pytest.approx(math.sqrt(0.4 / photons), rel=0.02)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("severity", SEVERITIES)
def test_impulse_noise_replaces_the_stated_share(table, severity):
    share = TABLES[table]["impulse_noise"][severity - 1]
    out = corrupt(GREY, "impulse_noise", severity, table=table)
    for value in (0, 255):
        tolerance = 4 * math.sqrt(share / 2 / out.numel())
        assert (out == value).double().mean().item() == pytest.approx(share / 2, abs=tolerance)
    assert set(out.unique().tolist()) == {0, 102, 255}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("severity", SEVERITIES)
def test_the_disk_is_symmetric_and_sums_to_one(table, severity):
    """At radius 8 and 10 the original's sum is 1.013 and 1.011: its smoothing mirrors the disk's tips at the window's edge."""
    radius, sigma = TABLES[table]["defocus_blur"][severity - 1]
    kernel = disk(radius, sigma)
    total = {8: 1.01298, 10: 1.01079}.get(radius, 1.0)
    assert kernel.sum() == pytest.approx(total, abs=1e-5)
    for turned in (kernel.T, kernel[::-1], kernel[:, ::-1]):
        np.testing.assert_allclose(kernel, turned, atol=1e-15)
    if sigma == 0.1:
        inside = np.count_nonzero(kernel > 1e-9)
        middle = len(kernel) // 2
        assert inside == sum(
            i * i + j * j <= radius**2 for i in range(-middle, middle + 1) for j in range(-middle, middle + 1)
        )


def test_motion_weights_are_half_a_gaussian_in_one_direction():
    """A white column, blurred at 0 degrees: its light appears to its left only, as much of it as the weights say."""
    x = np.zeros((1, 1, 8, 32), dtype=np.uint8)
    x[..., 20] = 255
    out = motion(x, 6, 2.0, np.array([0.0]))[0, 0, 3].astype(int)
    weights = np.exp(-(np.arange(13) ** 2) / 8)
    np.testing.assert_array_equal(out[20:7:-1], np.round(255 * weights / weights.sum()))
    assert not out[21:].any()
    assert abs(out.sum() - 255) <= 6


def test_motion_goes_down_at_90_degrees():
    x = np.zeros((1, 1, 32, 8), dtype=np.uint8)
    x[:, :, 20] = 255
    out = motion(x, 6, 2.0, np.array([90.0]))[0, 0, :, 3]
    assert out[8:21].argmax() == 12
    assert not out[21:].any()


@pytest.mark.parametrize(
    "name", ["zoom_blur", "motion_blur", "glass_blur", "elastic_transform", "contrast", "pixelate"]
)
@pytest.mark.parametrize("table", TABLES)
def test_a_constant_image_stays_itself(name, table):
    images = torch.tensor([0, 7, 102, 255], dtype=torch.uint8).view(4, 1, 1, 1).expand(4, 3, 17, 36)
    for severity in SEVERITIES:
        assert torch.equal(corrupt(images, name, severity, table=table), images)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_brightness_is_added_to_the_largest_channel(severity):
    images = smooth_images(4)
    added = TABLES["cifar"]["brightness"][severity - 1] * 255
    value, out = images.amax(dim=1).double(), corrupt(images, "brightness", severity).amax(dim=1).double()
    assert torch.equal(out, (value + added + 1e-6).clamp(max=255).floor())


def test_brightness_makes_black_grey():
    out = corrupt(torch.zeros(1, 3, 8, 8, dtype=torch.uint8), "brightness", 4)
    assert (out == 51).all()


@pytest.mark.parametrize(("table", "side"), [("cifar", 32), ("imagenet", 224)])
def test_pixelate_repeats_the_mean_of_boxes(table, side):
    """At the original's sizes enlarging by boxes is taking the nearest pixel."""
    image = smooth_images(1, side, side)
    picture = Image.fromarray(image[0].permute(1, 2, 0).numpy())
    for severity, share in zip(SEVERITIES, TABLES[table]["pixelate"], strict=True):
        small = picture.resize((int(side * share), int(side * share)), Image.Resampling.BOX)
        expected = np.asarray(small.resize((side, side), Image.Resampling.NEAREST))
        out = corrupt(image, "pixelate", severity, table=table)[0].permute(1, 2, 0).numpy()
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_contrast_shrinks_distances_to_the_mean(severity):
    images = smooth_images(4)
    factor = TABLES["imagenet"]["contrast"][severity - 1]
    mean = images.double().mean(dim=(2, 3), keepdim=True)
    out = corrupt(images, "contrast", severity, table="imagenet")
    assert torch.equal(out.double(), (mean + factor * (images - mean) + 1e-6).floor())


def test_a_plasma_fractal_fills_the_unit_interval_and_is_smoother_with_more_decay():
    noise = np.random.default_rng(0).uniform(-1, 1, (20, 32 * 32 - 1))
    roughness = []
    for decay in (1.4, 2.0, 3.0):
        heights = plasma_fractal(noise, 32, decay)
        np.testing.assert_array_equal(heights.min(axis=(1, 2)), 0)
        np.testing.assert_array_equal(heights.max(axis=(1, 2)), 1)
        roughness.append(np.abs(np.diff(heights, axis=2)).mean())
    assert roughness[0] > 1.2 * roughness[1] and roughness[1] > 1.2 * roughness[2]


def test_fog_keeps_the_range_of_the_image():
    images = smooth_images(4)
    for severity in SEVERITIES:
        largest = corrupt(images, "fog", severity).amax(dim=(1, 2, 3))
        assert (largest <= images.amax(dim=(1, 2, 3))).all()


def test_elastic_without_amplitude_is_the_identity():
    images = smooth_images(3, 20, 27).numpy()
    rngs = (np.random.default_rng(i) for i in range(3))
    np.testing.assert_array_equal(elastic_transform(images, (0, 0, 0), rngs), images)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("name", NAMES)
def test_stronger_severities_change_more(name, table):
    images = smooth_images(64)
    changes = [(corrupt(images, name, s, table=table).float() - images).abs().mean().item() for s in SEVERITIES]
    assert changes[0] > 1
    for severity, (weaker, stronger) in enumerate(itertools.pairwise(changes), 1):
        if severity in FLAT_OR_FALLING.get((table, name), ()):
            assert stronger < 1.03 * weaker
        else:
            assert stronger > 1.02 * weaker


COLOUR_BLIND = sorted(set(NAMES) - {"gaussian_noise", "shot_noise", "impulse_noise", "frost", "jpeg_compression"})


@pytest.mark.parametrize("name", COLOUR_BLIND)
def test_a_grey_image_is_any_channel_of_its_colour_version(name):
    grey = smooth_images(3, 16, 20, channels=1)
    colour = corrupt(grey.expand(3, 3, 16, 20), name, 4)
    assert torch.equal(colour, corrupt(grey, name, 4).expand(3, 3, 16, 20))
