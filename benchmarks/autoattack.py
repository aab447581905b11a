"""AutoAttack here against plain pyautoattack on real images: are x_adv the same bit for bit, and what does it cost?

The CNN of `sparring.recipes.trust` (its weights lie below runs/recipes after `sparring reproduce trust`) under the standard
version, Linf 8/255, all images in one chunk, as only there the two see the same batches. Prints how many images differ
(expected: 0), the robust accuracy of both, and the ratio of their times in this one run.

    python benchmarks/autoattack.py --root IMAGES --weights runs/recipes/short/FOLDER/weights.safetensors
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from pyautoattack import AutoAttack as Plain
from safetensors.torch import load_file

from sparring.attacks import AutoAttack, Linf
from sparring.config import DataConfig
from sparring.data import load_images
from sparring.evaluation.entry import draw, pixels
from sparring.recipes.trust import cnn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="image folder with train/ and test/")
    parser.add_argument("--weights", type=Path, required=True, help="safetensors of the recipe's CNN")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=200)
    args = parser.parse_args()
    _, test = load_images(DataConfig(name="folder", root=str(args.root), train_images=100), seed=0)
    model = cnn(len(test.classes)).eval()
    model.load_state_dict(load_file(args.weights))
    index = draw(test.labels, args.images, 0)
    x, y = pixels(test.images[index]), test.labels[index]

    began = time.perf_counter()
    ours = AutoAttack(Linf(8 / 255), seed=0, batch_size=args.batch_size, chunk=args.images).run(model, x, y)
    middle = time.perf_counter()
    plain = Plain(model, norm="Linf", eps=8 / 255, version="standard", seed=0)
    x_adv, _ = plain.run_standard_evaluation(x, y, batch_size=args.batch_size)
    end = time.perf_counter()

    different = int((ours.x_adv != x_adv).flatten(1).any(dim=1).sum())
    with torch.no_grad():
        robust = (model(x_adv).argmax(dim=1) == y).double().mean().item()
    print(f"images that differ: {different} of {len(x)}")
    print(f"robust accuracy: {ours.robust.double().mean():.4f} here, {robust:.4f} plain; broken by {ours.counts}")
    print(
        f"time: {middle - began:.0f} s here, {end - middle:.0f} s plain, ratio {(middle - began) / (end - middle):.2f}"
    )


if __name__ == "__main__":
    main()
