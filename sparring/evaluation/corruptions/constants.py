"""The settings of the fifteen corruptions at severities 1 to 5, as hendrycks/robustness publishes them.

"imagenet" is `ImageNet-C/create_c/make_imagenet_c.py` (images of 224 px), "cifar" is `make_cifar_c.py` beside it (32 px).
Lengths are in pixels and are not scaled with the image, except those of elastic_transform, which the original writes as
multiples of the image's side (its ImageNet file says 244 where the images have 224 pixels, and so does this table).
"""

from __future__ import annotations

from typing import Literal

from sparring.data.corrupted import CORRUPTIONS as NAMES
from sparring.data.corrupted import SEVERITIES

__all__ = ["NAMES", "SEVERITIES", "TABLES", "Table"]

Table = Literal["cifar", "imagenet"]


_SIDE = 244 / 224

TABLES: dict[str, dict[str, tuple]] = {
    "cifar": {
        # standard deviation of the noise
        "gaussian_noise": (0.04, 0.06, 0.08, 0.09, 0.10),
        # photons of a white pixel
        "shot_noise": (500, 250, 100, 75, 50),
        # share of values replaced
        "impulse_noise": (0.01, 0.02, 0.03, 0.05, 0.07),
        # radius of the disk, sigma of its smoothing
        "defocus_blur": ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
        # sigma, how far a pixel moves, rounds
        "glass_blur": ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
        # radius, sigma
        "motion_blur": ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
        # zoom factors from 1 up to this (exclusive), in steps of
        "zoom_blur": ((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)),
        # mean and sigma of the flakes, their zoom, their threshold, radius and sigma of their motion, share of the image kept
        "snow": (
            (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ),
        # weight of the image, weight of the texture, how many times smaller the texture is made
        "frost": ((1, 0.2, 5), (1, 0.3, 5), (0.9, 0.4, 5), (0.85, 0.4, 5), (0.75, 0.45, 5)),
        # thickness, decay of the roughness
        "fog": ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
        # added to the value of HSV
        "brightness": (0.05, 0.1, 0.15, 0.2, 0.3),
        # factor of the distance to the mean
        "contrast": (0.75, 0.5, 0.4, 0.3, 0.15),
        # amplitude, sigma and affine shift, in sides of the image
        "elastic_transform": (
            (0, 0, 0.08),
            (0.05, 0.2, 0.07),
            (0.08, 0.06, 0.06),
            (0.1, 0.04, 0.05),
            (0.1, 0.03, 0.03),
        ),
        # side of the small image
        "pixelate": (0.95, 0.9, 0.85, 0.75, 0.65),
        # quality
        "jpeg_compression": (80, 65, 58, 50, 40),
    },
    "imagenet": {
        "gaussian_noise": (0.08, 0.12, 0.18, 0.26, 0.38),
        "shot_noise": (60, 25, 12, 5, 3),
        "impulse_noise": (0.03, 0.06, 0.09, 0.17, 0.27),
        "defocus_blur": ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
        "glass_blur": ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
        "motion_blur": ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
        "zoom_blur": ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)),
        "snow": (
            (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
            (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
            (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
            (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
            (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
        ),
        "frost": ((1, 0.4, 1), (0.8, 0.6, 1), (0.7, 0.7, 1), (0.65, 0.7, 1), (0.6, 0.75, 1)),
        "fog": ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
        "brightness": (0.1, 0.2, 0.3, 0.4, 0.5),
        "contrast": (0.4, 0.3, 0.2, 0.1, 0.05),
        "elastic_transform": (
            (2 * _SIDE, 0.7 * _SIDE, 0.1 * _SIDE),
            (2 * _SIDE, 0.08 * _SIDE, 0.2 * _SIDE),
            (0.05 * _SIDE, 0.01 * _SIDE, 0.02 * _SIDE),
            (0.07 * _SIDE, 0.01 * _SIDE, 0.02 * _SIDE),
            (0.12 * _SIDE, 0.01 * _SIDE, 0.02 * _SIDE),
        ),
        "pixelate": (0.6, 0.5, 0.4, 0.3, 0.25),
        "jpeg_compression": (25, 18, 15, 10, 7),
    },
}
"""Of each table and corruption, the settings at severities 1 to 5."""
