"""Official corrupted folders as they are laid out, but small."""

import numpy as np
from PIL import Image

from sparring.data.corrupted import CORRUPTIONS

N = 6
LABELS = np.array([0, 1, 2, 2, 1, 0], dtype=np.uint8)


def pixels(corruption: int, severity: int) -> np.ndarray:
    return np.random.default_rng([corruption, severity]).integers(0, 256, (N, 4, 4, 3), dtype=np.uint8)


def cifar_c(root, names=CORRUPTIONS):
    root.mkdir(exist_ok=True)
    for k, name in enumerate(names):
        np.save(root / f"{name}.npy", np.concatenate([pixels(k, s) for s in range(1, 6)]))
    np.save(root / "labels.npy", np.tile(LABELS, 5))
    return root


def imagenet_c(root, names=("fog", "snow"), wnids=("n01", "n02"), n=2, size=(8, 8)):
    for c, name in enumerate(names):
        for severity in range(1, 6):
            for k, wnid in enumerate(wnids):
                folder = root / name / str(severity) / wnid
                folder.mkdir(parents=True)
                for i in range(n):
                    colour = (40 * c, 50 * severity, 20 * (k * n + i))
                    Image.new("RGB", size, colour).save(folder / f"val_{i}.JPEG", quality=100, subsampling=0)
    return root
