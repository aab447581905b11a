"""Processor seconds for the 75 corruptions of 32 px images: this library's over imagecorruptions-imaug, one thread, one run.

Both corrupt the same synthetic textures in memory with the settings of ImageNet-C, the only ones that package has; ours
also runs those of CIFAR-C. That package takes one image at a time and is slow enough to be given --theirs images; its time is
scaled to --images (both are linear in the number of images, and warmed up before they are timed). The ratio of the whole
must be at most 0.25.

    pip install imagecorruptions-imaug
    python benchmarks/corruptions.py [--images 1000] [--theirs 100]
"""

from __future__ import annotations

import argparse
import os
import time

for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

import numpy as np  # noqa: E402  (the number of threads must be set before)
import torch  # noqa: E402
from torch import Tensor  # noqa: E402

from sparring.config import DataConfig  # noqa: E402
from sparring.data import load_images  # noqa: E402
from sparring.evaluation.corruptions import NAMES, SEVERITIES, corrupt  # noqa: E402

try:
    import cv2
    import imagecorruptions
except ImportError as error:
    raise SystemExit(f"This benchmark compares with imagecorruptions-imaug: pip install it ({error}).") from None


def ours(images: Tensor, name: str, table: str) -> float:
    start = time.process_time()
    for severity in SEVERITIES:
        corrupt(images, name, severity, table=table)
    return time.process_time() - start


def theirs(images: list[np.ndarray], name: str) -> float:
    start = time.process_time()
    for severity in SEVERITIES:
        for image in images:
            imagecorruptions.corrupt(image, corruption_name=name, severity=severity)
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--theirs", type=int, default=100)
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)

    textures, _ = load_images(DataConfig(name="synthetic", image_size=32), seed=0)
    assert isinstance(textures.images, Tensor)
    images = textures.images.repeat(-(-args.images // len(textures)), 1, 1, 1)[: args.images]
    arrays = [np.ascontiguousarray(image.permute(1, 2, 0).numpy()) for image in images[: args.theirs]]

    scale = args.images / len(arrays)
    print(
        f"processor seconds for 5 severities of {args.images} images of 32 px; imagecorruptions-imaug measured on {len(arrays)}"
    )
    print(f"{'':18} {'cifar':>8} {'imagenet':>8} {'theirs':>8}  imagenet / theirs")
    total = np.zeros(3)
    for name in NAMES:
        for table in ("cifar", "imagenet"):
            ours(images[:2], name, table)
        theirs(arrays[:1], name)
        row = np.array([ours(images, name, "cifar"), ours(images, name, "imagenet"), scale * theirs(arrays, name)])
        total += row
        print(f"{name:18} {row[0]:8.2f} {row[1]:8.2f} {row[2]:8.2f}  {row[1] / row[2]:.2f}", flush=True)
    print(f"{'all 75':18} {total[0]:8.2f} {total[1]:8.2f} {total[2]:8.2f}  {total[1] / total[2]:.3f} (at most 0.25)")
    print(f"with the settings of CIFAR-C: {total[0] / total[2]:.3f}")


if __name__ == "__main__":
    main()
