"""Logistic regression on cached features over re-encoding the images every epoch, as the time of whole evaluations.

Features of 50,000 images x 512, 10 classes, batch 256, 1,000 epochs. Cached: encode once, then 1,000 epochs of
`fit_logistic`. Re-encoding: the same images through a ResNet-18 (3x3 stem, 32 px, evaluation mode) in every epoch, then
the same step. Both in one process, alternating. What is scaled, linearly, and said in the output: epochs (some are
timed, 1,000 counted) and, for the encoder, images (some are encoded, 50,000 counted).

    python benchmarks/logistic.py [--repeats 5] [--epochs 3] [--encoded 512] [--device cpu|cuda]
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from sparring.config import EncoderConfig
from sparring.encoders import build_encoder
from sparring.evaluation import features, fit_logistic

IMAGES, WIDTH, CLASSES, EPOCHS = 50_000, 512, 10, 1000


def seconds(work, device: str) -> float:
    start = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3, help="epochs of logistic regression timed at once")
    parser.add_argument("--encoded", type=int, default=512, help="images encoded at once")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()

    generator = torch.Generator().manual_seed(0)
    cached = torch.randn(IMAGES, WIDTH, generator=generator).to(args.device)
    labels = torch.randint(CLASSES, (IMAGES,), generator=generator).to(args.device)
    pixels = torch.randint(0, 256, (args.encoded, 3, 32, 32), dtype=torch.uint8, generator=generator)
    config = EncoderConfig(name="resnet18", head="mlp", dim=64, mean=[0.5] * 3, std=[0.5] * 3)
    encoder = build_encoder(config, channels=3, image_size=32, dual=False)
    encoder = encoder.to(args.device, memory_format=torch.channels_last)

    def fit() -> None:
        fit_logistic(cached, labels, epochs=args.epochs, batch_size=256, classes=CLASSES)

    def encode() -> None:
        features(encoder, pixels, batch_size=256, device=args.device)

    fit(), encode()
    fits, encodings, ratios = [], [], []
    for _ in range(args.repeats):
        fits.append(seconds(fit, args.device) / args.epochs)
        encodings.append(seconds(encode, args.device) * IMAGES / args.encoded)
        ratios.append(EPOCHS * (encodings[-1] + fits[-1]) / (encodings[-1] + EPOCHS * fits[-1]))
    fit_seconds, encode_seconds = statistics.median(fits), statistics.median(encodings)
    print(
        f"{IMAGES:,} x {WIDTH} features, batch 256, {CLASSES} classes, {args.device}, {torch.get_num_threads()} threads"
    )
    print(f"logistic regression: {fit_seconds:.3f} s an epoch (median of {args.repeats}; {args.epochs} epochs timed)")
    print(
        f"ResNet-18 encoding:  {encode_seconds:.1f} s for {IMAGES:,} images (median of {args.repeats}; measured on "
        f"{args.encoded:,}, scaled by images)"
    )
    print(
        f"{EPOCHS:,} epochs, scaled by epochs: cached {encode_seconds + EPOCHS * fit_seconds:,.0f} s (encoding once), "
        f"re-encoding {EPOCHS * (encode_seconds + fit_seconds):,.0f} s"
    )
    print(
        f"re-encoding / cached: median {statistics.median(ratios):.0f}, min {min(ratios):.0f}, max {max(ratios):.0f}, "
        f"n = {len(ratios)} pairs"
    )


if __name__ == "__main__":
    main()
