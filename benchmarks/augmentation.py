"""Views a second: the batched pipeline over a DataLoader of torchvision transforms with 2 workers, SimCLR's views at 32 px.

Both make two views of every image of an epoch, as float tensors ready for a step, in one process, alternating; a round is one
epoch of either. The DataLoader decodes nothing: images lie in memory as PIL images, the kind that torchvision transforms
fastest, its workers persist, and torchvision's older transforms are used (on PIL images faster than `transforms.v2`). The ratio
must be at least 4.

Measure on a quiet machine: when other programs want the cores, OpenMP's threads spin for each other and the batched pipeline
loses everything (set OMP_WAIT_POLICY=passive or --threads 1 then; the DataLoader's processes only share the loss).

    python benchmarks/augmentation.py [--rounds 10] [--images 4096] [--batch-size 256] [--threads 2]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from sparring.config import DataConfig
from sparring.data import Batches, ImageSet, load_images, make_views, pipeline

SIZE = 32


class TwoViews(Dataset[tuple[Tensor, Tensor]]):
    def __init__(self, images: Tensor):
        self.images = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images]
        self.transform = transforms.Compose(
            [
                transforms.RandomResizedCrop(SIZE),
                transforms.RandomHorizontalFlip(),
                transforms.RandomApply([transforms.ColorJitter(0.8, 0.8, 0.8, 0.2)], p=0.8),
                transforms.RandomGrayscale(0.2),
                transforms.ToTensor(),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.transform(self.images[index]), self.transform(self.images[index])


def views_per_second(epoch: Callable[[], int]) -> float:
    start = time.perf_counter()
    views = epoch()
    return views / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--images", type=int, default=4096)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    textures, _ = load_images(DataConfig(name="synthetic", image_size=SIZE), seed=0)
    assert isinstance(textures.images, Tensor)
    images = textures.images.repeat(-(-args.images // len(textures)), 1, 1, 1)[: args.images]
    loader = DataLoader(
        TwoViews(images),
        args.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=args.workers,
        persistent_workers=args.workers > 0,
    )
    batches = Batches(ImageSet(images, None, (), "textures"), args.batch_size, seed=0)
    simclr = pipeline("simclr", SIZE)

    def with_loader() -> int:
        return sum(2 * len(a) for a, _ in loader)

    def batched() -> int:
        views = 0
        for step, (chosen, _, _) in enumerate(batches):
            views += make_views(chosen, simclr, seed=0, epoch=0, step=step).shape[:2].numel()
        return views

    for epoch in (with_loader, batched):
        epoch()
    rates = [(views_per_second(with_loader), views_per_second(batched)) for _ in range(args.rounds)]
    print(
        f"{SIZE} px, batch {args.batch_size}, {args.images} images, {args.workers} workers against {args.threads} threads"
    )
    for name, values in zip(("DataLoader", "batched"), zip(*rates, strict=True), strict=True):
        print(f"{name:10} median {statistics.median(values):8.0f} views/s, {min(values):.0f} to {max(values):.0f}")
    ratios = sorted(ours / theirs for theirs, ours in rates)
    print(
        f"batched / DataLoader: median {statistics.median(ratios):.2f}, min {ratios[0]:.2f}, max {ratios[-1]:.2f}, "
        f"n = {len(ratios)} rounds (must be at least 4)"
    )


if __name__ == "__main__":
    main()
