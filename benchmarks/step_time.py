"""Training-step time of CLAE over SimCLR: ResNet-18, 32 px, batch 64, one process, the two alternating.

A SimCLR step costs 6 units (2 views, forward 1 + backward 2); CLAE adds a third view (3) and an attack (forward 1 +
backward with respect to the images only 1): 11/6 = 1.83. The published procedure also forwards the constant side of the
attack and computes parameter gradients there: 15/6 = 2.5, printed as `published` for comparison.

    python benchmarks/step_time.py [--pairs 10] [--batch-size 64] [--precision float32|bf16] [--device cpu|cuda]
"""

from __future__ import annotations

import argparse
import statistics
import time
from contextlib import nullcontext

import torch
from torch import nn

from sparring.config import EncoderConfig
from sparring.encoders import build_encoder
from sparring.methods import CLAE, SimCLR
from sparring.types import Batch


def build(dual: bool, device: str) -> nn.Module:
    torch.manual_seed(0)
    config = EncoderConfig(name="resnet18", head="mlp", dim=64, mean=[0.5] * 3, std=[0.5] * 3)
    encoder = build_encoder(config, channels=3, image_size=32, dual=dual)
    return encoder.to(device, memory_format=torch.channels_last).train()


def published_perturb(encoder: nn.Module, a: torch.Tensor, batch: Batch) -> torch.Tensor:
    """FGSM as the published code takes it: both copies forwarded, gradients of all parameters computed and dropped."""
    copy = a.clone().requires_grad_()
    constant = encoder(a, domain="adv")
    SimCLR().loss(constant, encoder(copy, domain="adv"), batch).backward()
    assert copy.grad is not None
    x_adv = (a + 0.03 * 0.5 * copy.grad.sign()).detach()
    encoder.zero_grad(set_to_none=True)
    return x_adv


def published(encoder, batch):
    a, b = batch.views
    x_adv = published_perturb(encoder, a, batch)
    z_a, z_b, z_adv = encoder(a), encoder(b), encoder(x_adv, domain="adv")
    return {"clean": SimCLR().loss(z_a, z_b, batch), "adversarial": SimCLR().loss(z_a, z_adv, batch)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--precision", choices=["float32", "bf16"], default="float32")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    rows = {"SimCLR": (SimCLR(), False), "CLAE": (CLAE(), True), "published": (published, True)}
    encoders = {name: build(dual, args.device) for name, (_, dual) in rows.items()}
    optimizers = {name: torch.optim.Adam(encoder.parameters(), 3e-4) for name, encoder in encoders.items()}
    views = torch.rand(2, args.batch_size, 3, 32, 32, device=args.device)
    cast = torch.autocast(args.device, torch.bfloat16) if args.precision == "bf16" else nullcontext()

    def step(name: str) -> float:
        start = time.perf_counter()
        with cast:
            loss = torch.stack(list(rows[name][0](encoders[name], Batch(views)).values())).sum()
        optimizers[name].zero_grad(set_to_none=True)
        loss.backward()
        optimizers[name].step()
        if args.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    for name in rows:
        step(name)
    times: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(args.pairs):
        for name in rows:
            times[name].append(step(name))
    print(
        f"ResNet-18, 32 px, batch {args.batch_size}, {args.precision}, {args.device}, {torch.get_num_threads()} threads"
    )
    for name in rows:
        print(f"{name:10} median {1e3 * statistics.median(times[name]):8.1f} ms a step")
    for name, bound in (("CLAE", "floor 1.83, must be at most 1.95"), ("published", "floor 2.50")):
        ratios = sorted(t / s for t, s in zip(times[name], times["SimCLR"], strict=True))
        print(
            f"{name} / SimCLR: median {statistics.median(ratios):.3f}, min {ratios[0]:.3f}, max {ratios[-1]:.3f}, "
            f"n = {len(ratios)} pairs ({bound})"
        )


if __name__ == "__main__":
    main()
