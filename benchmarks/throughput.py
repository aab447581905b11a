"""Images a second of the training loop, the share of it that is not the step, and its FLOP/s over the device's peak.

Runs what `sparring train` runs (`fit`: Lightning's Trainer, our loop, batches and views) on synthetic images, without
probe or bar, and its checkpoint after the last measured step. The first steps (`--warmup`) are not measured. Then come
`--rounds` windows of `--steps` steps each, under torch.profiler; on a GPU each profiled window follows one without the
profiler, from which images a second and FLOP/s are taken. A GPU is waited for at the two ends of a window only.

- the step: views, forward, attack, loss (Lightning's training_step), backward, update of the weights; everything else
  that happens from the end of one step's callbacks to the end of the next one's is outside. It must be at most 5 % of the
  window on a CPU with ResNet-18. On a GPU, whose work goes on meanwhile, its idle share counts and is printed beside.
- waits: what the profiler saw of synchronisations and of reads of a value (aten::_local_scalar_dense) a step. The
  optimiser's reads are left out: its counters are the host's on every device.
- FLOP: counted with the formulas of torch's FlopCounterMode over one step of the same loop, uncompiled (products and
  convolutions of views, forwards, attack and backward; two FLOP a multiplication and addition).
- peak: of a GPU by its name, dense, as in NVIDIA's data sheets (float32: TF32, which cuDNN uses by default); of a CPU
  measured here, before and after each method: the fastest of some large matrix products in the same precision with the
  same threads. Beside other programs that is too low, and so may be the share (over 100 %) too high.

    python benchmarks/throughput.py [--methods simclr clae] [--network resnet18] [--batch-size 64] [--image-size 32]
        [--steps 2] [--rounds 3] [--warmup 1] [--threads N] [--device cpu|cuda] [--precision float32|bf16]
        [--channels-last] [--compile] [--peak-tflops X] [--seed 0] [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler's own messages; read when torch is imported

import lightning
import torch
from lightning.pytorch.profilers import Profiler
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile, record_function
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from sparring.config import DataConfig, EncoderConfig, MethodConfig, RunConfig, TrainingConfig
from sparring.data import load_images
from sparring.training import new_encoder, resolve
from sparring.training.build import METHODS
from sparring.training.fit import fit
from sparring.training.run_folder import environment

BAR = 0.05
"""Largest share of the loop outside the step, on a CPU with ResNet-18."""
PEAKS = {
    "NVIDIA H200": {"bf16": 989.4, "float32": 494.7},
    "NVIDIA H100 80GB HBM3": {"bf16": 989.4, "float32": 494.7},
    "NVIDIA A100-SXM4-40GB": {"bf16": 312.0, "float32": 156.0},
    "NVIDIA A100-SXM4-80GB": {"bf16": 312.0, "float32": 156.0},
}
"""TFLOP/s by the name of the device, dense: half of what the data sheets print for sparse matrices."""
WINDOW, UPDATE = "window", "loop: update of the weights"
STEP = (".training_step", ".backward")
"""How the names of the strategy's ranges end that are the step, beside the update."""
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "aten::_local_scalar_dense")
WAITING_COPIES = ("Memcpy DtoH", "Memcpy HtoD (Pageable")


class Ranges(Profiler):
    """Lightning's own hooks as ranges of torch.profiler."""

    def __init__(self) -> None:
        super().__init__()
        self.open: dict[str, list[Any]] = defaultdict(list)

    def start(self, action_name: str) -> None:
        """A hook begins. No range is open where a profiler ends: closed under the next one, it would write to freed memory."""
        if Windows.__name__ in action_name:
            return
        self.open[action_name].append(record_function(f"loop: {action_name}").__enter__())

    def stop(self, action_name: str) -> None:
        """A hook ends; it may have begun before these ranges were there."""
        if self.open[action_name]:
            self.open[action_name].pop().__exit__(None, None, None)


@dataclass(frozen=True)
class Seen:
    """What one profiled window shows; times are shares of it."""

    seconds: float
    outside: float
    where: dict[str, float]
    waits: dict[str, int]
    idle: float | None
    """Of the GPU."""


class Windows(lightning.Callback):
    """Measures windows of `steps` steps after `warmup` ones; must stand behind the loop's own callback."""

    def __init__(self, warmup: int, steps: int, rounds: int, cuda: bool) -> None:
        self.warmup, self.steps, self.cuda = warmup, steps, cuda
        self.left = (["timed", "profiled"] if cuda else ["profiled"]) * rounds
        self.seconds: list[float] = []
        self.seen: list[Seen] = []
        self.profiler: profile | None = None
        self.window: Any = None
        self.update: Any = None
        self.started = 0.0

    @property
    def total(self) -> int:
        """How many steps it needs."""
        return self.warmup + self.steps * len(self.left)

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """From here on hooks are ranges."""
        trainer.profiler = Ranges()
        trainer.optimizers[0].register_step_post_hook(self._updated)

    def on_before_optimizer_step(self, *_: Any) -> None:
        """Gradients are there."""
        self.update = record_function(UPDATE).__enter__()

    def _updated(self, *_: Any) -> None:
        self.update.__exit__(None, None, None)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx: int) -> None:
        """Close a window, open the next."""
        done = batch_idx + 1 - self.warmup
        if done >= 0 and done % self.steps == 0:
            if done:
                self._close()
            if self.left:
                self._open(self.left.pop(0))

    def _open(self, kind: str) -> None:
        if kind == "profiled":
            cuda = [ProfilerActivity.CUDA] if self.cuda else []
            self.profiler = profile(activities=[ProfilerActivity.CPU, *cuda], acc_events=True)
            self.profiler.start()
        self._wait()
        self.window = record_function(WINDOW).__enter__()
        self.started = time.perf_counter()

    def _close(self) -> None:
        self._wait()
        seconds = time.perf_counter() - self.started
        self.window.__exit__(None, None, None)
        if self.profiler is not None:
            self.profiler.stop()
            self.seen.append(look(self.profiler.events(), seconds, self.steps))
            self.profiler = None
        if not self.cuda or len(self.seconds) == len(self.seen):
            self.seconds.append(seconds)

    def _wait(self) -> None:
        if self.cuda:
            torch.cuda.synchronize()


def look(events: Any, seconds: float, steps: int) -> Seen:
    """Shares and waits of one window."""
    host = [event for event in events if event.device_type == DeviceType.CPU]
    window = next(event for event in host if event.name == WINDOW)
    start, end = window.time_range.start, window.time_range.end
    inside = [e for e in host if start <= e.time_range.start and e.time_range.end <= end]
    ranges = sorted(
        (event for event in inside if event.name.startswith("loop: ") or event is window),
        key=lambda event: (event.time_range.start, -event.time_range.end),
    )
    own: Counter[str] = Counter()
    stack: list[Any] = []
    for event in ranges:
        while stack and stack[-1].time_range.end < event.time_range.end:
            stack.pop()
        if stack:
            own[stack[-1].name] -= event.time_range.elapsed_us()
        own[event.name] += event.time_range.elapsed_us()
        stack.append(event)
    length = end - start
    step = [event for event in ranges if is_step(event.name)]
    updates = [event.time_range for event in step if event.name == UPDATE]
    waits: Counter[str] = Counter()
    for event in inside:
        at = event.time_range.start
        if event.name in WAITS and not any(update.start <= at <= update.end for update in updates):
            waits[event.name] += 1
    device = [event for event in events if event.device_type == DeviceType.CUDA]
    for event in device:
        for copy in WAITING_COPIES:
            waits[copy] += event.name.startswith(copy)
    waits["cudaDeviceSynchronize"] -= bool(waits["cudaDeviceSynchronize"])  # our own, at the window's end
    return Seen(
        seconds,
        1 - sum(event.time_range.elapsed_us() for event in step) / length,
        {name.removeprefix("loop: "): us / length for name, us in own.most_common() if us > 0 and not is_step(name)},
        {name: count for name, count in waits.items() if count > 0},
        1 - busy(device, start, end) / length if device else None,
    )


def is_step(name: str) -> bool:
    """Whether a range is part of the step; no two such ranges overlap."""
    return name == UPDATE or (name.startswith("loop: [Strategy]") and name.endswith(STEP))


def busy(events: list[Any], start: float, end: float) -> float:
    """How long of the time from `start` to `end` at least one of the device's kernels or copies ran."""
    total, until = 0.0, start
    work = [e.time_range for e in events if not e.is_user_annotation and not e.name.startswith((WINDOW, "loop: "))]
    for time_range in sorted(work, key=lambda t: t.start):
        total += max(0.0, min(time_range.end, end) - max(time_range.start, until))
        until = max(until, time_range.end)
    return total


class CountingFlop(TorchDispatchMode):
    """FlopCounterMode's formulas; that mode itself follows modules by hooks that torch.autograd.grad, an attack's, refuses."""

    def __init__(self) -> None:
        super().__init__()
        self.flop = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func._overloadpacket in flop_registry:
            self.flop += flop_registry[func._overloadpacket](*args, **(kwargs or {}), out_val=result)
        return result


class Counting(lightning.Callback):
    """Counts the FLOP of the first step."""

    def __init__(self) -> None:
        self.mode = CountingFlop()

    def on_train_batch_start(self, *_: Any) -> None:
        """Begin."""
        self.mode.__enter__()

    def on_train_batch_end(self, *_: Any) -> None:
        """End."""
        self.mode.__exit__(None, None, None)


def train(config: RunConfig, callback: lightning.Callback, steps: int) -> None:
    """So many steps of the real loop."""
    assert config.training.batch_size is not None
    config = replace(config, data=replace(config.data, train_images=steps * config.training.batch_size))
    images, _ = load_images(config.data, seed=config.training.seed)
    encoder = new_encoder(config, images.channels, len(images.classes))
    with tempfile.TemporaryDirectory() as folder:
        fit(Path(folder), config, encoder, images, callbacks=[callback])


def measure(config: RunConfig, *, warmup: int, steps: int, rounds: int) -> dict[str, Any]:
    """The figures of one method."""
    counting = Counting()
    train(replace(config, training=replace(config.training, compile=False)), counting, 1)
    windows = Windows(warmup, steps, rounds, config.training.device == "cuda")
    train(config, windows, windows.total)
    per_step = [seconds / steps for seconds in windows.seconds]
    flop = counting.mode.flop
    assert config.training.batch_size is not None
    waits = sum((Counter(seen.waits) for seen in windows.seen), Counter())
    where = sum((Counter(seen.where) for seen in windows.seen), Counter())
    idle = [seen.idle for seen in windows.seen if seen.idle is not None]
    return {
        "images_per_second": config.training.batch_size / statistics.median(per_step),
        "seconds_per_step": spread(per_step),
        "outside_the_step": spread([seen.outside for seen in windows.seen]),
        "where": {name: share / rounds for name, share in where.most_common(5)},
        "gpu_idle": spread(idle) if idle else None,
        "waits_per_step": {name: count / (steps * rounds) for name, count in sorted(waits.items())},
        "flop_per_step": flop,
        "flop_per_second": flop / statistics.median(per_step),
    }


def spread(values: list[float]) -> dict[str, float]:
    """Median, least and greatest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def peak(device: str, precision: str, size: int = 2048, repeats: int = 5) -> tuple[float | None, str]:
    """FLOP/s that the device can reach, None if that is unknown, and where the number is from."""
    if device == "cuda":
        name = torch.cuda.get_device_properties(0).name
        known = PEAKS.get(name)
        return (known[precision] * 1e12, f"data sheet of {name}") if known else (None, f"{name} is not in the table")
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a, seconds = torch.rand(size, size).to(dtype), []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        a @ a
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / min(seconds[1:]), f"measured: {size} x {size} product in {precision}, best of {repeats}"


def lines(name: str, row: dict[str, Any], top: float | None, judged: bool) -> list[str]:
    """A method's figures in words."""
    step, outside = row["seconds_per_step"], row["outside_the_step"]
    verdict = ("pass" if outside["median"] <= BAR else "FAIL") if judged else "not judged"
    of_peak = "peak unknown" if top is None else f"{row['flop_per_second'] / top:.1%} of the peak"
    idle = row["gpu_idle"]
    waits = ", ".join(f"{name} {count:g}" for name, count in row["waits_per_step"].items()) or "none"
    return [
        f"{name}: {row['images_per_second']:,.1f} images/s, {1e3 * step['median']:,.1f} ms a step "
        f"({1e3 * step['min']:,.1f} - {1e3 * step['max']:,.1f})",
        f"  outside the step {outside['median']:.3%} ({outside['min']:.3%} - {outside['max']:.3%}), at most {BAR:.0%} with "
        f"ResNet-18 on a CPU: {verdict}" + (f"; GPU idle {idle['median']:.1%}" if idle else ""),
        "  most of it: " + ", ".join(f"{part} {share:.3%}" for part, share in list(row["where"].items())[:3]),
        f"  waits a step: {waits}",
        f"  {row['flop_per_step'] / 1e9:,.1f} GFLOP a step, {row['flop_per_second'] / 1e9:,.1f} GFLOP/s, {of_peak}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--methods", "--method", nargs="+", choices=METHODS, default=["simclr", "clae"], metavar="METHOD"
    )
    parser.add_argument("--network", default="resnet18")
    parser.add_argument("--batch-size", type=int, default=None, help="64; 512 on a GPU")
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=None, help="in a window: 2; 50 on a GPU")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--warmup", type=int, default=None, help="1; 20 on a GPU")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", choices=["float32", "bf16"], default="float32")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--peak-tflops", type=float, default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", "--json", type=Path, default=None, dest="out")
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device is cuda, but this machine has no GPU that torch can use")
    if args.threads:
        torch.set_num_threads(args.threads)
    gpu = args.device == "cuda"
    for name, on_cpu, on_gpu in (("batch_size", 64, 512), ("steps", 2, 50), ("warmup", 1, 20)):
        if getattr(args, name) is None:
            setattr(args, name, on_gpu if gpu else on_cpu)
    for name in ("steps", "rounds", "warmup"):
        if getattr(args, name) < 1:
            parser.error(f"--{name} is {getattr(args, name)}; it must be at least 1")

    if args.peak_tflops is None:
        top, source = peak(args.device, args.precision)
    else:
        top, source = args.peak_tflops * 1e12, "--peak-tflops"
    print(
        f"{args.network}, {args.image_size} px, batch {args.batch_size}, {args.precision}"
        f"{', channels_last' * args.channels_last}{', compiled' * args.compile}, {args.device}, "
        f"{torch.get_num_threads()} threads, {args.rounds} rounds of {args.steps} steps after {args.warmup}"
    )
    rows = {}
    for name in args.methods:
        config = RunConfig(
            method=MethodConfig(name=name),
            data=DataConfig(name="synthetic", image_size=args.image_size),
            encoder=EncoderConfig(name=args.network),
            training=TrainingConfig(
                epochs=1,
                batch_size=args.batch_size,
                seed=args.seed,
                precision=args.precision,
                compile=args.compile,
                channels_last=args.channels_last,
                device=args.device,
                probe_every=0,
                progress=False,
            ),
        )
        rows[name] = measure(resolve(config), warmup=args.warmup, steps=args.steps, rounds=args.rounds)
        if not gpu and args.peak_tflops is None:  # what else runs on the machine may have slowed the first measurement
            top = max(top or 0.0, peak(args.device, args.precision)[0] or 0.0)
        print("\n".join(lines(name, rows[name], top, not gpu and args.network == "resnet18")), flush=True)
    print(f"peak: {'unknown' if top is None else f'{top / 1e9:,.0f} GFLOP/s'} ({source})")
    if args.out:
        settings = {key: str(value) for key, value in vars(args).items() if key != "out"}
        record = {
            "settings": settings,
            "environment": environment(args.seed),
            "peak": {"flop_per_second": top, "source": source},
        }
        args.out.write_text(json.dumps(record | {"bar": BAR, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
