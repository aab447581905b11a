"""Peak memory of NT-Xent, forward and backward, over its float32 similarity matrix alone (N^2 x 4 bytes), and its time.

On the CPU every run is a process of its own, and what counts is how far its resident memory rises (VmHWM at the end over
VmRSS before, as Linux reports them; pairs, loss and gradient included, the embeddings and the interpreter not). On a GPU
it is torch's own peak. Beside it the same loss written without blocks, by the two usual ways:

    matrix     exp of the whole masked matrix, plain autograd
    broadcast  cosine similarity of [N, 1, D] and [1, N, D], an N x N x D intermediate

    python benchmarks/nt_xent_memory.py [--rows 8192] [--dim 128] [--runs 5] [--device cpu|cuda]
    python benchmarks/nt_xent_memory.py --time --rows 2048
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.losses import info_nce
from sparring.pairs import same_image
from sparring.types import Rows

TEMPERATURE = 0.5
LIMIT = 4.0


def sparring(z: Tensor) -> Tensor:
    pairs = same_image(Rows(torch.arange(len(z) // 2, device=z.device).repeat(2)))
    return info_nce(z, z, pairs, TEMPERATURE)


def from_matrix(cosine: Tensor) -> Tensor:
    """NT-Xent of a whole matrix of cosines, step by step as the formula has it."""
    n = len(cosine)
    similarity = (cosine / TEMPERATURE).exp()
    others = ~torch.eye(n, dtype=torch.bool, device=cosine.device)
    positive = torch.cat([similarity.diagonal(n // 2), similarity.diagonal(-n // 2)])
    return -(positive / (similarity * others).sum(dim=1)).log().mean()


def matrix(z: Tensor) -> Tensor:
    z = F.normalize(z, dim=1)
    return from_matrix(z @ z.T)


def broadcast(z: Tensor) -> Tensor:
    return from_matrix(F.cosine_similarity(z[:, None], z[None], dim=2))


LOSSES: dict[str, Callable[[Tensor], Tensor]] = {"sparring": sparring, "matrix": matrix, "broadcast": broadcast}


def embeddings(args: argparse.Namespace, rows: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(rows, args.dim, generator=generator).to(args.device).requires_grad_()


def resident(field: str) -> int:
    """Bytes of this process's resident memory: now (VmRSS) or at its highest (VmHWM)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"this system reports no {field}; the CPU measurement needs Linux")


def measure(args: argparse.Namespace, name: str) -> int:
    """Bytes by which one forward and backward raise the memory of this process."""
    LOSSES[name](embeddings(args, rows=64)).backward()  # libraries, threads and workspaces
    z = embeddings(args, args.rows)
    if args.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        LOSSES[name](z).backward()
        return torch.cuda.max_memory_allocated() - before
    before = resident("VmRSS")
    LOSSES[name](z).backward()
    return resident("VmHWM") - before


def spread(values: list[float], digits: int) -> str:
    low, high = min(values), max(values)
    return (
        f"median {statistics.median(values):.{digits}f}, min {low:.{digits}f}, max {high:.{digits}f}, n = {len(values)}"
    )


def print_memory(args: argparse.Namespace) -> bool:
    alone = args.rows**2 * 4
    print(
        f"NT-Xent, N = {args.rows}, D = {args.dim}, {args.device}: the similarity matrix alone is {alone / 2**20:.0f} MiB"
    )
    ratios: dict[str, list[float]] = {name: [] for name in args.losses}
    for _ in range(args.runs):
        for name in args.losses:
            command = [sys.executable, __file__, "--measure", name, "--device", args.device]
            command += ["--rows", str(args.rows), "--dim", str(args.dim)]
            out = subprocess.run(command, capture_output=True, text=True)
            if out.returncode:
                sys.exit(f"{name} ended with exit status {out.returncode}: {out.stderr[-500:]}")
            ratios[name].append(int(out.stdout) / alone)
    for name, values in ratios.items():
        print(
            f"{name:10} peak / matrix: {spread(values, 3)}" + (f" (must be at most {LIMIT:g})" * (name == "sparring"))
        )
    return all(ratio <= LIMIT for ratio in ratios.get("sparring", []))


def print_time(args: argparse.Namespace) -> None:
    z = embeddings(args, args.rows)

    def step(name: str) -> float:
        start = time.perf_counter()
        torch.autograd.grad(LOSSES[name](z), z)
        if args.device == "cuda":
            torch.cuda.synchronize()
        return 1e3 * (time.perf_counter() - start)

    times: dict[str, list[float]] = {name: [] for name in args.losses}
    for run in range(args.runs + 1):
        for name in args.losses:
            milliseconds = step(name)
            if run:  # the first is warm-up
                times[name].append(milliseconds)
    print(f"NT-Xent, N = {args.rows}, D = {args.dim}, {args.device}, {torch.get_num_threads()} threads")
    for name, values in times.items():
        print(f"{name:10} ms forward + backward: {spread(values, 2)}")
    for name in args.losses:
        if name != "sparring" and "sparring" in times:
            ratios = [other / own for other, own in zip(times[name], times["sparring"], strict=True)]
            print(f"{name} / sparring, alternating runs: {spread(ratios, 2)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=8192)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--losses", nargs="+", choices=LOSSES, default=["sparring", "matrix"])
    parser.add_argument("--time", action="store_true", help="time instead of memory")
    parser.add_argument("--measure", choices=LOSSES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(measure(args, args.measure))
    elif args.time:
        print_time(args)
    elif not print_memory(args):
        sys.exit(1)


if __name__ == "__main__":
    main()
