"""What one attack does to one set of images, image by image, and verified afterwards.

An image counts as robust if the model classifies it rightly before and after the attack. The verdict does not rest on
the attack's own word: its images are measured again in float32, and one that left the ball or the box convinces nobody:
its image stays robust, which is warned of, and `within_threat` of the trust checks turns red.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from sparring.attacks import AutoAttack, Threat, describe
from sparring.attacks.classifier import ClassifierAttack, Model
from sparring.evaluation.features import evaluation_mode

ROUNDING = 1e-4
"""How far over eps (as a fraction of it), or over the box in pixels, float32 may round."""

Progress = Callable[[str, int, int, float | None], None]
"""Told what is under way, how many images are done, of how many, and how many seconds are left (None: not known yet)."""


@dataclass(frozen=True)
class Attacked:
    """The outcome of one attack on n images."""

    x_adv: Float[Tensor, "n C H W"]
    """On the CPU, in float32; the image itself where it was wrong before."""
    predicted: Int[Tensor, " n"]
    """The class of x_adv."""
    correct: Bool[Tensor, " n"]
    """Classified rightly before and after the attack."""
    distance: float
    """The largest ||x_adv - x|| over eps, in the norm of the threat: at most 1 but for rounding."""
    outside: float
    """The largest distance of a pixel of x_adv from [0, 1]."""
    seconds: float
    """Wall time."""
    words: str
    """The attack, as `describe` puts it."""
    broken_by: dict[str, int] = field(default_factory=dict)
    """AutoAttack: how many images each of its members broke."""

    @property
    def robust_accuracy(self) -> float:
        """A fraction in [0, 1]."""
        return self.correct.double().mean().item()


def attacked(
    model: Model,
    x: Float[Tensor, "n C H W"],
    y: Int[Tensor, " n"],
    attack: ClassifierAttack,
    *,
    correct: Bool[Tensor, " n"] | None = None,
    batch_size: int = 250,
    seed: int = 0,
    std: tuple[float, ...] | None = None,
    state: Path | None = None,
    progress: Progress | None = None,
) -> Attacked:
    """`attack` on the images that `model` classifies rightly (`correct`, computed here if not given).

    The model runs in evaluation mode and where its parameters are, in batches of at most `batch_size` images that are
    right; random starts come from one generator a batch, drawn from `seed`, so they depend on which images share a batch.
    `std` is the normalisation's, for threats in normalised units. `state` is a folder in which AutoAttack keeps what it has
    done. The global random state, of which a randomised model draws, is seeded by `seed` and put back.
    """
    began = time.perf_counter()
    x = x.detach().clamp(0, 1) if attack.threat.clip else x.detach()  # what OVERSHOOT lets pass is rounding
    words, place = describe(attack), device_of(model, x)
    if correct is None:
        correct = predictions(model, x, batch_size=batch_size, seed=seed) == y.cpu()
    x_adv, blamed = x.cpu().float().clone(), list[str]()
    with evaluation_mode(model), drawing_from(seed, place):
        if isinstance(attack, AutoAttack):
            result = attack.run(model, x.to(place), y.to(place), state=state, progress=_forward(progress))
            x_adv = result.x_adv.cpu().float()
            blamed = result.broken_by
        else:
            under_way = correct.nonzero().flatten()
            for number, rows in enumerate(under_way.split(batch_size) if len(under_way) else ()):
                generator = torch.Generator(place).manual_seed(stream(seed, number))
                images, truth = x[rows.to(x.device)].to(place), y[rows.to(y.device)].to(place)
                x_adv[rows] = attack(model, images, truth, std=std, generator=generator).cpu().float()
                if progress is not None:
                    done = min((number + 1) * batch_size, len(under_way))
                    spent = time.perf_counter() - began
                    progress(words, done, len(under_way), spent / done * (len(under_way) - done))
    predicted = predictions(model, x_adv.to(x.device), batch_size=batch_size, seed=seed)
    distance, outside = excess(attack.threat, x.cpu(), x_adv, std)
    valid = (distance <= 1 + ROUNDING) & (outside <= ROUNDING)
    if not valid.all():
        warnings.warn(
            f"{words} left its ball or [0, 1] on {int((~valid).sum())} of {len(x)} images (by up to {distance.max():.4g} eps); "
            "they count as not broken, so its accuracy is too high",
            stacklevel=2,
        )
    survived = correct & ((predicted == y.cpu()) | ~valid)
    members = attack.members if isinstance(attack, AutoAttack) else ()
    return Attacked(
        x_adv=x_adv,
        predicted=predicted,
        correct=survived,
        distance=distance.max().item(),
        outside=outside.max().item(),
        seconds=time.perf_counter() - began,
        words=words,
        broken_by={m: sum(m == by and not s for by, s in zip(blamed, survived.tolist(), strict=True)) for m in members},
    )


@torch.no_grad()
def predictions(
    model: Model, x: Float[Tensor, "n C H W"], *, batch_size: int = 250, seed: int = 0
) -> Int[Tensor, " n"]:
    """The class of the highest logit of every image, in evaluation mode and in float32, on the CPU.

    A model that draws random numbers draws those of `seed`; the global random state is put back.
    """
    place = device_of(model, x)
    with evaluation_mode(model), full_precision(place), drawing_from(seed, place):
        return torch.cat([model(batch.to(place).float()).argmax(dim=1).cpu() for batch in x.split(batch_size)])


def excess(
    threat: Threat, x: Float[Tensor, "n C H W"], x_adv: Float[Tensor, "n C H W"], std: tuple[float, ...] | None = None
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """||x_adv - x|| / eps and the distance of the farthest pixel from [0, 1] (0 without clipping), image by image."""
    unit = 1.0 if std is None or threat.space == "pixel" else torch.tensor(std, dtype=torch.float64).view(-1, 1, 1)
    delta = ((x_adv.double() - x.double()) / unit).flatten(1)
    distance = torch.linalg.vector_norm(delta, threat.order, dim=1) / threat.eps
    outside = torch.maximum(-x_adv, x_adv - 1).flatten(1).amax(dim=1).clamp(min=0).double()
    return distance, outside if threat.clip else torch.zeros_like(distance)


def device_of(model: object, x: Shaped[Tensor, "..."]) -> torch.device:
    """Where the model's parameters are; where the images are if it has none."""
    if isinstance(model, nn.Module):
        return next((tensor.device for tensor in (*model.parameters(), *model.buffers())), x.device)
    return x.device


def stream(seed: int, number: int) -> int:
    """A seed of its own for the number-th part of what `seed` decides."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0] >> np.uint64(1))


@contextmanager
def drawing_from(seed: int, place: torch.device) -> Iterator[None]:
    """The global random state (CPU and `place`) is that of `seed` for a block, and afterwards what it was."""
    devices, kind = ([], "cuda") if place.type == "cpu" else ([place], place.type)
    with torch.random.fork_rng(devices=devices, device_type=kind):
        torch.manual_seed(seed)
        yield


@contextmanager
def full_precision(place: torch.device) -> Iterator[None]:
    """No autocast, whatever surrounds the block."""
    with torch.autocast(place.type, enabled=False):
        yield


def _forward(progress: Progress | None) -> Callable | None:
    """AutoAttack's own report of progress, in the words of this file."""
    if progress is None:
        return None
    return lambda p: progress(f"AutoAttack, {p.member}", p.done, p.total, p.eta)
