"""Weather: snow, frost and fog."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources

import numpy as np
from jaxtyping import Float64, UInt8
from PIL import Image

from sparring.evaluation.corruptions.arrays import Generators, Levels, Numbers, central_zoom, drawn, levels, mapped
from sparring.evaluation.corruptions.blur import motion

TEXTURES = ("frost1.png", "frost2.png", "frost3.png", "frost4.jpg", "frost5.jpg")
"""The photographs that frost draws from. The original lists a sixth, but draws from the first five."""


def snow(x: Levels, c: Numbers, rngs: Generators) -> Levels:
    """Flakes (thresholded noise, enlarged, blurred along their fall, added once upright and once turned by 180 degrees)
    over an image whose darker parts are whitened towards 1.5 grey + 0.5. The flakes fall at -135 to -45 degrees, as `motion`."""
    mean, sigma, factor, threshold, radius, blur, kept = c
    height, width = x.shape[2:]
    pairs = [(rng.standard_normal((height, width)), rng.uniform(-135, -45)) for rng in rngs]
    flakes = mean + sigma * np.stack([noise for noise, _ in pairs])[:, None]
    flakes = mapped(central_zoom(height, factor), flakes, central_zoom(width, factor))
    flakes[flakes < threshold] = 0
    fallen = motion(levels(flakes), radius, blur, np.array([angle for _, angle in pairs])) / 255
    image = x / 255
    grey = luma(image)
    whitened = kept * image + (1 - kept) * np.maximum(image, grey * 1.5 + 0.5)
    return levels(whitened + fallen + fallen[..., ::-1, ::-1])


def luma(x: Float64[np.ndarray, "B C H W"]) -> Float64[np.ndarray, "B 1 H W"]:
    """Brightness as the eye weighs colours (ITU-R 601); a grey image is its own."""
    return x if x.shape[1] == 1 else np.tensordot(x, np.array([0.299, 0.587, 0.114]), (1, 0))[:, None]


def frost(x: Levels, c: Numbers, rngs: Generators) -> Levels:
    """Weighted sum of the image and of a random piece of one of five photographs of frost.

    Differs from the original: a photograph that is not larger than the images is enlarged until it is (the original fails);
    with the CIFAR settings that begins at 63 pixels of height, with those of ImageNet at 315.
    """
    image_weight, texture_weight, shrink = c
    height, width = x.shape[2:]
    pieces = []
    for rng in rngs:
        texture = frost_texture(TEXTURES[rng.integers(len(TEXTURES))], shrink, height, width, x.shape[1])
        top, left = rng.integers(texture.shape[1] - height), rng.integers(texture.shape[2] - width)
        pieces.append(texture[:, top : top + height, left : left + width])
    return levels((image_weight * x + texture_weight * np.stack(pieces)) / 255)


@lru_cache(maxsize=32)
def frost_texture(name: str, shrink: int, height: int, width: int, channels: int) -> UInt8[np.ndarray, "C h w"]:
    """One photograph, every `shrink`-th pixel of it, enlarged if that is not larger than the images are."""
    with (
        resources.files("sparring.evaluation.corruptions").joinpath("textures", name).open("rb") as file,
        Image.open(file) as image,
    ):
        # OpenCV's bilinear shrinking by 5 samples at pixel centres: it is this choice of every fifth pixel.
        picked = np.asarray(image.convert("RGB"))[shrink // 2 :: shrink, shrink // 2 :: shrink]
    enlarge = max((height + 1) / picked.shape[0], (width + 1) / picked.shape[1], 1)
    small = Image.fromarray(np.ascontiguousarray(picked)).convert("L" if channels == 1 else "RGB")
    size = (int(np.ceil(picked.shape[1] * enlarge)), int(np.ceil(picked.shape[0] * enlarge)))
    texture = np.asarray(small if enlarge == 1 else small.resize(size, Image.Resampling.BILINEAR))
    return np.ascontiguousarray(texture.reshape(*texture.shape[:2], channels).transpose(2, 0, 1))


def fog(x: Levels, c: Numbers, rngs: Generators) -> Levels:
    """(x + c f) m / (m + c), with f a plasma fractal in [0, 1] and m the image's largest value.

    The fractal's side is the smallest power of two that covers the image: 32 at 32 pixels and 256 at 224, as in the original.
    """
    thickness, decay = c
    height, width = x.shape[2:]
    size = 1 << (max(height, width) - 1).bit_length()
    mist = plasma_fractal(drawn(rngs, lambda rng: rng.uniform(-1, 1, size * size - 1)), size, decay)
    image = x / 255
    largest = image.max(axis=(1, 2, 3), keepdims=True)
    return levels((image + thickness * mist[:, None, :height, :width]) * largest / (largest + thickness))


def plasma_fractal(noise: Float64[np.ndarray, "B n"], size: int, decay: float | int) -> Float64[np.ndarray, "B s s"]:
    """Height maps by the diamond-square algorithm on a torus, scaled to [0, 1] each; `noise` holds size^2 - 1 values.

    At distance `step` = size, size / 2, ..., 2, the middles of squares and then those of diamonds become the mean of their
    four neighbours plus noise of amplitude w^2, where w starts at 100 and is divided by `decay` at every halving.
    """
    heights = np.zeros((len(noise), size, size))
    step, amplitude, used = size, 100.0, 0

    def rough(neighbours: np.ndarray) -> np.ndarray:
        nonlocal used
        first, used = used, used + neighbours[0].size
        return neighbours / 4 + amplitude**2 * noise[:, first:used].reshape(neighbours.shape)

    while step >= 2:
        half = step // 2
        corners = heights[:, ::step, ::step]
        pairs = corners + np.roll(corners, -1, axis=1)
        heights[:, half::step, half::step] = rough(pairs + np.roll(pairs, -1, axis=2))
        centres = heights[:, half::step, half::step]
        above = centres + np.roll(centres, 1, axis=1)
        heights[:, ::step, half::step] = rough(above + corners + np.roll(corners, -1, axis=2))
        beside = centres + np.roll(centres, 1, axis=2)
        heights[:, half::step, ::step] = rough(beside + corners + np.roll(corners, -1, axis=1))
        step, amplitude = half, amplitude / decay
    heights -= heights.min(axis=(1, 2), keepdims=True)
    return heights / heights.max(axis=(1, 2), keepdims=True)
