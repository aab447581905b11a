"""What one training step of a method costs, in steps of its reference, beside the arithmetic of its passes.

An encoder's step consists of forwards (f), backwards with respect to the images only (x) and backwards with respect to
the parameters (b), each of B images, and of one update of the weights (u):  T = F f + X x + W b + u.  By floating-point
operations f : x : b is about 1 : 1 : 2 (`1:1:2`); the shares that this machine needs are measured on the same encoder in
the same run (`own shares`). F, X and W are counted in the running step by the convolutions' own calls, and must be those
written in `ROWS`. Every method is timed right after its reference, all of them in alternating rounds:

- natural training (1 f + 1 b), under the supervised methods;
- SimCLR (2 f + 2 b), under the contrastive ones.

`published` is the same arithmetic for the published code, which also forwards constant images in every step of an attack,
computes parameter gradients there and drops them, or forwards once more for its log. Two rows named so run that form.

    python benchmarks/step_cost.py [--encoder resnet20] [--batch 64] [--image-size 32] [--threads N] [--repeats 5]
        [--methods clae ...] [--precision float32|bf16] [--device cpu|cuda] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from sparring.config import EncoderConfig
from sparring.encoders import build_encoder
from sparring.methods import ACL, ADR, ASCL, CLAE, AdversarialTraining, Natural, RoCL, SimCLR, Trades
from sparring.pairs import Frequency, Precision, Recall, leaked, same_label
from sparring.types import Batch

CLASSES = 10
EPOCH = 300
"""Of 1000: precision removes 3 images, recall a quarter of the batch."""


class Passes(NamedTuple):
    """How many passes of B images a step makes."""

    forward: float
    input_backward: float
    backward: float

    def __str__(self) -> str:
        return f"{self.forward:g} f + {self.input_backward:g} x + {self.backward:g} b"

    def cost(self, f: float = 1, x: float = 1, b: float = 2, u: float = 0) -> float:
        """T = F f + X x + W b + u."""
        return self.forward * f + self.input_backward * x + self.backward * b + u


class CountingPasses(TorchDispatchMode):
    """Counts convolutions of images: forward, backward without and with a gradient of the weights."""

    def __init__(self) -> None:
        super().__init__()
        self.forward = self.input_backward = self.backward = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.convolution.default:
            self.forward += len(args[0])
        elif func is torch.ops.aten.convolution_backward.default:
            wants_weight = args[-1][1]
            self.backward += len(args[0]) * wants_weight
            self.input_backward += len(args[0]) * (not wants_weight)
        return func(*args, **(kwargs or {}))

    def passes(self, encoder: nn.Module, images: int) -> Passes:
        """What was counted, in passes of the whole encoder."""
        calls = images * sum(isinstance(module, nn.Conv2d) for module in encoder.modules())
        return Passes(self.forward / calls, self.input_backward / calls, self.backward / calls)


def published_clae(encoder: Any, batch: Batch) -> dict[str, Tensor]:
    """CLAE with FGSM as the published code takes it: both copies forwarded, gradients of all parameters dropped."""
    a, b = batch.views
    copy = a.clone().requires_grad_()
    constant = encoder(a, domain="adv")
    SimCLR().loss(constant, encoder(copy, domain="adv"), batch).backward()
    assert copy.grad is not None
    x_adv = (a + 0.03 * 0.5 * copy.grad.sign()).detach()
    z_a, z_b, z_adv = encoder(a), encoder(b), encoder(x_adv, domain="adv")
    return {"clean": SimCLR().loss(z_a, z_b, batch), "adversarial": SimCLR().loss(z_a, z_adv, batch)}


class PublishedPGD:
    """PGD as the published ASCL takes it: gradients of all parameters, and a last forward for the best restart of one."""

    starts_at_x = False

    def __call__(self, objective, x: Tensor, *, std=None, generator=None) -> Tensor:
        delta = torch.empty_like(x).uniform_(-8 / 255, 8 / 255, generator=generator)
        for _ in range(10):
            x_adv = (x + delta).clamp(0, 1).requires_grad_()
            objective(x_adv).sum().backward()
            assert x_adv.grad is not None
            delta = (delta + 2 / 255 * x_adv.grad.sign()).clamp(-8 / 255, 8 / 255)
        x_adv = (x + delta).clamp(0, 1)
        objective(x_adv)
        return x_adv


def published_adversarial_training(encoder: Any, batch: Batch) -> dict[str, Tensor]:
    """Adversarial training with that attack, and two more forwards for the log."""
    terms = AdversarialTraining(PublishedPGD())(encoder, batch)
    for _ in range(2):
        encoder.outputs(batch.views[0])
    return terms


@dataclass(frozen=True)
class Row:
    """A method, what it is compared with, and its arithmetic."""

    method: Callable[[Any, Batch], dict[str, Tensor]]
    over: str
    passes: Passes
    published: Passes | None = None
    at_most: float | None = None
    epoch: int = 0


ROWS: dict[str, Row] = {
    "natural": Row(Natural(), "natural", Passes(1, 0, 1)),
    "adversarial_training": Row(AdversarialTraining(), "natural", Passes(12, 10, 2), Passes(15, 0, 12)),
    "adversarial_training published": Row(published_adversarial_training, "natural", Passes(15, 0, 12)),
    "trades": Row(Trades(), "natural", Passes(12, 10, 2), Passes(25, 10, 3)),
    "adr": Row(ADR(), "natural", Passes(12, 10, 1), Passes(14, 10, 2)),
    "ascl global": Row(ASCL(pairs=same_label), "natural", Passes(12, 10, 2), Passes(15, 0, 12)),
    "ascl leaked": Row(ASCL(pairs=leaked), "natural", Passes(12, 10, 2), Passes(15, 0, 12)),
    "simclr": Row(SimCLR(), "simclr", Passes(2, 0, 2)),
    "clae": Row(CLAE(), "simclr", Passes(4, 1, 3), Passes(5, 0, 5), at_most=1.95),
    "clae published": Row(published_clae, "simclr", Passes(5, 0, 5)),
    "rocl": Row(RoCL(), "simclr", Passes(11, 7, 3), Passes(19, 7, 5)),
    "rocl precision": Row(RoCL(pairs=Precision()), "simclr", Passes(12, 7, 3), epoch=EPOCH),
    "acl": Row(ACL(), "simclr", Passes(14, 10, 4), Passes(14, 0, 14)),
    "acl precision": Row(ACL(pairs=Precision()), "simclr", Passes(14, 10, 4), epoch=EPOCH),
    "acl a2a": Row(ACL(mode="a2a"), "simclr", Passes(12, 10, 2)),
    "acl a2s": Row(ACL(mode="a2s"), "simclr", Passes(8, 5, 2)),
} | {
    f"simclr {name}": Row(SimCLR(pairs=selector), "simclr", Passes(2, 0, 2), at_most=1.05, epoch=EPOCH)
    for name, selector in {
        "frequency": Frequency(CLASSES),
        "precision": Precision(),
        "recall": Recall(),
        "recall resampled": Recall(replacement="resample"),
    }.items()
}


class Trained:
    """A row with an encoder and an optimiser of its own, ready to make steps."""

    def __init__(
        self, row: Row, encoder: str, batch: int, size: int, device: str, cast: AbstractContextManager
    ) -> None:
        self.row, self.batch, self.device, self.cast = row, batch, device, cast
        self.supervised = row.over == "natural"
        torch.manual_seed(0)
        config = EncoderConfig(
            name=encoder, head="none" if self.supervised else "mlp", dim=64, mean=[0.5] * 3, std=[0.5] * 3
        )
        built = build_encoder(
            config, channels=3, image_size=size, dual=not self.supervised, classes=CLASSES if self.supervised else None
        )
        self.encoder = built.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.optimizer = torch.optim.SGD(self.encoder.parameters(), 1e-3, momentum=0.9)
        self.views = torch.rand(2, batch, 3, size, size, generator=torch.Generator().manual_seed(1)).to(device)
        self.labels = torch.arange(batch, device=device) % CLASSES

    def now(self) -> float:
        """Seconds, when all is done that was asked for: of `clock_of`."""
        if self.device == "cuda":
            torch.cuda.synchronize()
        return clock_of(self.device)()

    def step(self) -> float:
        """One training step; its seconds."""
        start = self.now()
        with self.cast:
            terms = self.row.method(self.encoder, Batch(self.views, labels=self.labels, epoch=self.row.epoch))
            loss = torch.stack(list(terms.values())).sum()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return self.now() - start

    def counted(self) -> Passes:
        """The passes of one step."""
        with CountingPasses() as counting:
            self.step()
        return counting.passes(self.encoder, self.batch)

    def shares(self) -> tuple[float, float, float, float]:
        """Seconds of f, x, b and u."""

        def forward(x: Tensor) -> Tensor:
            with self.cast:
                return self.value(x)

        x = self.views[0].clone().requires_grad_()
        start = self.now()
        value = forward(x)
        forwarded = self.now()
        torch.autograd.grad(value, x)
        inputs = self.now() - forwarded
        value = forward(self.views[0])
        before = self.now()
        value.backward()
        backward = self.now() - before
        before = self.now()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return forwarded - start, inputs, backward, self.now() - before

    def value(self, x: Tensor) -> Tensor:
        """Something to differentiate that costs nothing beside the encoder."""
        if self.supervised:
            return functional.cross_entropy(self.encoder.outputs(x).logits, self.labels)
        return self.encoder(x)[:, 0].sum()


def clock_of(device: str) -> Callable[[], float]:
    """Processor time where one thread does all the work, which other programs of the machine change least; else wall time."""
    return time.process_time if device == "cpu" and torch.get_num_threads() == 1 else time.perf_counter


def measure(rows: dict[str, Row], repeats: int, make: Callable[[Row], Trained]) -> dict[str, Any]:
    """Seconds, ratios and arithmetic of every row; ValueError if a step does not make the passes it should."""
    trained = {name: make(row) for name, row in rows.items()}
    for name, row in rows.items():
        counted = trained[name].counted()
        if counted != row.passes:
            raise ValueError(f"a step of {name} makes {counted}, but its arithmetic says {row.passes}")
    references = sorted({row.over for row in rows.values()})
    shares: dict[str, list[tuple[float, ...]]] = {name: [] for name in references}
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in rows}
    for name in references:
        trained[name].shares()
    for _ in range(repeats):
        for name in references:
            shares[name].append(trained[name].shares())
        for name, row in rows.items():
            seconds[name].append((trained[row.over].step(), trained[name].step()))
    own = {name: [statistics.median(part) for part in zip(*values, strict=True)] for name, values in shares.items()}
    return {
        "shares": {name: dict(zip("fxbu", parts, strict=True)) for name, parts in own.items()},
        "rows": {name: summary(row, rows[row.over], own[row.over], seconds[name]) for name, row in rows.items()},
    }


def summary(row: Row, over: Row, own: list[float], seconds: list[tuple[float, float]]) -> dict[str, Any]:
    """Figures of a row."""
    ratios = sorted(step / reference for reference, step in seconds)
    measured = statistics.median(ratios)
    expected = row.passes.cost(*own) / over.passes.cost(*own)
    published = row.published and {
        "passes": row.published._asdict(),
        "ratio_1_1_2": row.published.cost() / over.passes.cost(),
        "ratio_own_shares": row.published.cost(*own) / over.passes.cost(*own),
    }
    return {
        "over": row.over,
        "seconds": statistics.median(step for _, step in seconds),
        "ratio": measured,
        "ratio_min": ratios[0],
        "ratio_max": ratios[-1],
        "repeats": len(ratios),
        "passes": row.passes._asdict(),
        "ratio_1_1_2": row.passes.cost() / over.passes.cost(),
        "ratio_own_shares": expected,
        "deviation": measured / expected - 1,
        "published": published,
        "at_most": row.at_most,
    }


def table(result: dict[str, Any]) -> str:
    """The result in lines."""
    lines = [
        f"{name}: x {parts['x'] / parts['f']:.2f} f, b {parts['b'] / parts['f']:.2f} f, u {parts['u'] / parts['f']:.2f} f, "
        f"f = {1e3 * parts['f']:.1f} ms"
        for name, parts in result["shares"].items()
    ]
    lines += [
        f"{'':32}{'over':9}{'ms':>8}{'measured (min - max)':>24}{'1:1:2':>8}{'own shares':>12}  deviation  published"
    ]
    for name, row in result["rows"].items():
        measured = f"{row['ratio']:.3f} ({row['ratio_min']:.3f} - {row['ratio_max']:.3f})"
        line = f"{name:32}{row['over']:9}{1e3 * row['seconds']:8.1f}{measured:>24}{row['ratio_1_1_2']:8.2f}"
        line += f"{row['ratio_own_shares']:12.2f}{row['deviation']:+11.1%}"
        if row["published"]:
            line += f"  {row['published']['ratio_1_1_2']:.2f} (own shares {row['published']['ratio_own_shares']:.2f})"
        line += "" if row["at_most"] is None else f"  must be at most {row['at_most']}"
        lines.append(f"{line}  {Passes(**row['passes'])}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="resnet20")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--methods", nargs="+", choices=ROWS, default=list(ROWS), metavar="METHOD", help=", ".join(ROWS)
    )
    parser.add_argument("--precision", choices=["float32", "bf16"], default="float32")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", type=Path, default=None)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    cast = torch.autocast(args.device, torch.bfloat16) if args.precision == "bf16" else nullcontext()
    wanted = {*args.methods, *(ROWS[name].over for name in args.methods)}
    result = measure(
        {name: row for name, row in ROWS.items() if name in wanted},
        args.repeats,
        lambda row: Trained(row, args.encoder, args.batch, args.image_size, args.device, cast),
    )
    print(
        f"{args.encoder}, {args.image_size} px, batch {args.batch}, {args.precision}, {args.device}, "
        f"{torch.get_num_threads()} threads, {args.repeats} rounds, {clock_of(args.device).__name__}\n{table(result)}"
    )
    if args.json:
        from sparring.training.run_folder import environment  # with Lightning behind it

        settings = {key: str(value) for key, value in vars(args).items() if key != "json"}
        args.json.write_text(
            json.dumps({"settings": settings, "environment": environment(0), **result}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
