"""Accuracy under common corruptions, made on the fly or from an official folder.

entry = corruption_accuracy(model, images, labels)                    # uint8 images, corrupted block by block
entry = corruption_accuracy(model, open_corrupted("CIFAR-10-C"))      # the official files
corruption_slope(entry, supervised_entry).slope                       # Gupta et al. (003), Fig. 2
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from sparring.data.corrupted import CORRUPTIONS, SEVERITIES, CorruptedSet
from sparring.data.views import nearest
from sparring.evaluation.corruption_error import relative_drop
from sparring.evaluation.features import evaluation_mode
from sparring.evaluation.intervals import wilson
from sparring.evaluation.robust import Progress, device_of, full_precision

CONFIDENCE = 0.95
BLOCK = 250
"""Images that are corrupted at a time. Each block has random numbers of its own, so figures depend on this and it is no
setting; they do not depend on the model's batch size."""


def corruption_accuracy(
    model: Callable[[Tensor], Tensor],
    images: UInt8[Tensor, "n C H W"] | CorruptedSet,
    labels: Int[Tensor, " n"] | None = None,
    *,
    classes: int | None = None,
    names: Sequence[str] | None = None,
    severities: Sequence[int] = SEVERITIES,
    table: Literal["cifar", "imagenet"] = "cifar",
    seed: int = 0,
    batch_size: int = 250,
    clean_accuracy: float | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The "corruptions" entry of robustness.json: accuracy of every corruption at every severity, with its interval.

    `model` maps float images in [0, 1] to logits; it runs in evaluation mode, in float32, where its parameters are.
    uint8 `images` (with `labels`) are corrupted here with the strengths of `table`, one block at a time; their clean
    accuracy is measured too. A `CorruptedSet` brings its own corrupted images and labels, so `table` and `seed` say
    nothing of it, and its `clean_accuracy` on the same images must be given or is None in the entry. `names` defaults to
    all 15, or to those of the 15 that the folder has (the entry's "missing" lists the others). `classes` is how many
    logits the model must return; left out, the folder's classes, or as many as it returns.

    mean_accuracy and mean_error are unnormalised means over corruptions and severities, relative_drop is
    (clean - mean_accuracy) / clean. Intervals are Wilson's over the test images.

    Raises ValueError in one sentence, before any image is corrupted, for what does not fit.
    """
    official = isinstance(images, CorruptedSet)
    known = images.names + images.extra if official else CORRUPTIONS
    if official and labels is not None:
        raise ValueError("labels: a corrupted folder brings its own; leave them out")
    labels = images.labels if official else labels
    if labels is None:
        raise ValueError("labels: there are none, so no accuracy can be measured")
    chosen = tuple(names) if names is not None else (images.names if official else CORRUPTIONS)
    _check_settings(chosen, known, severities, table, batch_size)
    if official:
        classes = len(images.classes) if classes is None else classes
        first = (
            images.subset(min(2, len(images))).load(chosen[0], severities[0]).images[torch.arange(min(2, len(images)))]
        )
    else:
        if images.dtype != torch.uint8:
            raise ValueError(f"images must be uint8 (0 to 255), not {images.dtype}")
        if len(images) != len(labels):
            raise ValueError(f"labels: {len(labels)}, but there are {len(images)} images")
        first = images
    if not len(labels):
        raise ValueError("images: there are none to corrupt")
    classes = _logits(model, first[:2], classes).shape[1]
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"labels: {labels.min()} to {labels.max()}, outside the {classes} classes of the model")
    if not official:
        clean_accuracy = _count_correct(model, images.split(BLOCK), labels, classes, batch_size) / len(labels)
    correct: dict[str, list[int]] = {}
    began, n, cases = time.perf_counter(), len(labels), len(chosen) * len(severities)
    for name in chosen:
        correct[name] = []
        for severity in severities:
            blocks = _blocks(images, name, severity, table, seed)
            correct[name].append(_count_correct(model, blocks, labels, classes, batch_size))
            if progress is not None:
                done = sum(map(len, correct.values()))
                spent = time.perf_counter() - began
                progress(f"{name}, severity {severity}", done * n, cases * n, spent / done * (cases - done))
    accuracy = {name: [count / n for count in counts] for name, counts in correct.items()}
    mean = float(np.mean(list(accuracy.values())))
    return {
        "words": _words(images, len(chosen), severities, table, seed),
        "table": images.table if official else table,
        "seed": None if official else seed,
        "severities": list(severities),
        "missing": [name for name in CORRUPTIONS if name not in chosen],
        "n": n,
        "clean_accuracy": clean_accuracy,
        "accuracy": accuracy,
        "interval": {name: [list(wilson(c, n, CONFIDENCE)) for c in counts] for name, counts in correct.items()},
        "confidence": CONFIDENCE,
        "mean_accuracy": mean,
        "mean_error": 1 - mean,
        "relative_drop": relative_drop(clean_accuracy, mean) if clean_accuracy else None,
        "seconds": time.perf_counter() - began,
    }


def _check_settings(
    names: Sequence[str], known: Sequence[str], severities: Sequence[int], table: str, batch_size: int
) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"corruption: {name!r} is none of {', '.join(known)}{nearest(name, known)}")
    if not names or len(set(names)) < len(names):
        raise ValueError(f"names must be one corruption or more, each once, not {list(names)}")
    if not severities or not set(severities) <= set(SEVERITIES) or len(set(severities)) < len(severities):
        raise ValueError(f"severities must be among 1, 2, 3, 4, 5, each once, not {list(severities)}")
    if table not in ("cifar", "imagenet"):
        raise ValueError(f"table must be 'cifar' or 'imagenet', not {table!r}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}")


def _blocks(
    images: Tensor | CorruptedSet, name: str, severity: int, table: Literal["cifar", "imagenet"], seed: int
) -> Iterator[UInt8[Tensor, "b C H W"]]:
    """The corrupted images in their order, block by block."""
    if isinstance(images, CorruptedSet):
        loaded = images.load(name, severity).images
        yield from loaded.split(BLOCK) if isinstance(loaded, Tensor) else loaded
        return
    from sparring.evaluation.corruptions import corrupt

    for number, block in enumerate(images.split(BLOCK)):
        own = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
        yield corrupt(block.cpu(), name, severity, table=table, seed=own)


def _count_correct(
    model: Callable[[Tensor], Tensor],
    blocks: Iterable[Tensor],
    labels: Tensor,
    classes: int,
    batch_size: int,
) -> int:
    """How many images are classified rightly."""
    seen = correct = 0
    for block in blocks:
        for part in block.split(batch_size):
            predicted = _logits(model, part, classes).argmax(dim=1).cpu()
            correct += int((predicted == labels[seen : seen + len(part)].cpu()).sum())
            seen += len(part)
    assert seen == len(labels)
    return correct


@torch.no_grad()
def _logits(model: Callable[[Tensor], Tensor], images: Tensor, classes: int | None) -> Tensor:
    place = device_of(model, images)
    with evaluation_mode(model), full_precision(place):
        logits = model(images.to(place).float() / 255)
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(f"model: it must return logits [B K], not {shape}")
    if classes is not None and logits.shape[1] != classes:
        raise ValueError(f"model: it returns {logits.shape[1]} logits an image, but there are {classes} classes")
    if logits.isnan().any():
        raise ValueError("model: its logits are NaN")
    return logits


def _words(images: Tensor | CorruptedSet, count: int, severities: Sequence[int], table: str, seed: int) -> str:
    strength = f"severit{'y' if len(severities) == 1 else 'ies'} {', '.join(map(str, severities))}"
    if isinstance(images, CorruptedSet):
        return f"{count} corruptions of {images.name} (its own files), {strength}"
    tables = {"cifar": "CIFAR-C", "imagenet": "ImageNet-C"}
    return f"{count} corruptions with {tables[table]}'s strengths, {strength}, seed {seed}, made in blocks of {BLOCK}"
