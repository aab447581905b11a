"""Images for tests of corruptions: smooth shapes with edges, seeded, uint8 [n C H W]."""

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor


def smooth_images(n: int, height: int = 32, width: int = 32, channels: int = 3, seed: int = 0) -> Tensor:
    noise = np.random.default_rng(seed).standard_normal((2, n, channels, height, width))
    blobs = gaussian_filter(noise[0], (0, 0, 4, 4), mode="wrap")
    edges = gaussian_filter(noise[1], (0, 0, 2, 2), mode="wrap") > 0
    blobs = blobs / blobs.std() * 0.2 + 0.4 + 0.15 * edges
    return torch.from_numpy((blobs.clip(0, 1) * 255).astype(np.uint8))
