"""Accuracy under common corruptions, made on the fly or from an official folder.

    entry = corruption_accuracy(model, images, labels)                  # uint8 images, corrupted block by block
    entry = corruption_accuracy(model, open_corrupted("CIFAR-10-C"))    # the official files

The mean corruption error is in `corruption_error`, the slope between two models in `sparring.analysis`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from statistics import fmean
from typing import Any, Literal

import torch
from jaxtyping import Int, Shaped, UInt8
from torch import Tensor

from sparring.data.corrupted import CORRUPTIONS, SEVERITIES, CorruptedSet
from sparring.data.views import nearest
from sparring.evaluation.corruption_error import mean_corruption_error, relative_mean_corruption_error
from sparring.evaluation.corruptions import corrupt
from sparring.evaluation.features import evaluation_mode
from sparring.evaluation.intervals import wilson
from sparring.evaluation.robust import Progress, device_of, full_precision

CONFIDENCE = 0.95


def corruption_accuracy(
    model: Callable[[Tensor], Tensor],
    images: Shaped[Tensor, "n C H W"] | CorruptedSet,
    labels: Int[Tensor, " n"] | None = None,
    *,
    classes: int | None = None,
    names: Sequence[str] | None = None,
    severities: Sequence[int] = SEVERITIES,
    table: Literal["cifar", "imagenet"] = "cifar",
    seed: int = 0,
    batch_size: int = 250,
    clean_accuracy: float | int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The "corruptions" entry of robustness.json: accuracy of every corruption at every severity, with its interval.

    `model` maps float images in [0, 1] to logits; it runs in evaluation mode, in float32, where its parameters are.
    uint8 `images` with `labels` are corrupted here, `batch_size` at a time, with the strengths of `table`; what becomes
    of an image depends on `seed` and its place, not on the batch. A `CorruptedSet` brings its own images and labels,
    so `table` and `seed` say nothing of it. `names` defaults to all 15, or to those of the 15 that the folder has;
    "missing" lists the others. `classes` is how many logits the model must return; left out, as many as the folder has
    classes, or as the model returns. `clean_accuracy` is the model's on the same images before corruption; left out, it
    is measured, or None with a `CorruptedSet`.

    mean_accuracy and mean_error are plain means over corruptions and severities, relative_drop is
    (clean - mean_accuracy) / clean, intervals are Wilson's over the test images. mce and relative_mce compare with
    AlexNet: they are None unless all 15 corruptions of the 1,000 classes of ImageNet were measured at all severities.

    Raises ValueError in one sentence, before any work, for what does not fit.
    """
    official = isinstance(images, CorruptedSet)
    if official and labels is not None:
        raise ValueError("labels: a corrupted folder brings its own; leave them out")
    labels = images.labels if official else labels
    if labels is None:
        raise ValueError("labels: there are none, so no accuracy can be measured")
    n = len(labels)
    if len(images) != n:
        raise ValueError(f"labels: {n}, but there are {len(images)} images")
    if not n:
        raise ValueError("images: there are none to corrupt")
    chosen = tuple(names) if names is not None else (images.names if official else CORRUPTIONS)
    _check_settings(chosen, images.names + images.extra if official else CORRUPTIONS, severities, batch_size)
    if clean_accuracy is not None and not 0 <= clean_accuracy <= 1:
        raise ValueError(f"clean_accuracy must be a fraction in [0, 1], not {clean_accuracy}")
    table = images.table if official else table
    one = images.subset(1) if official else images[:1]
    probe = next(_blocks(one, chosen[0], severities[0], table, seed, 1))
    classes = _logits(model, probe, len(images.classes) if official and classes is None else classes).shape[1]
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"labels: {labels.min()} to {labels.max()}, outside the {classes} classes of the model")

    if clean_accuracy is None and not official:
        clean_accuracy = _count_correct(model, images.split(batch_size), labels, classes) / n
    correct: dict[str, list[int]] = {name: [] for name in chosen}
    began, done, cases = time.perf_counter(), 0, len(chosen) * len(severities)
    for name in chosen:
        for severity in severities:
            blocks = _blocks(images, name, severity, table, seed, batch_size)
            correct[name].append(_count_correct(model, blocks, labels, classes))
            done += 1
            if progress is not None:
                left = (time.perf_counter() - began) / done * (cases - done)
                progress(f"{name}, severity {severity}", done * n, cases * n, left)
    accuracy = {name: [count / n for count in counts] for name, counts in correct.items()}
    mean = fmean(value for values in accuracy.values() for value in values)
    missing = [name for name in CORRUPTIONS if name not in chosen]
    whole = official and not missing and tuple(severities) == SEVERITIES
    comparable = whole and table == "imagenet" and classes == 1000  # AlexNet's errors are on the official files
    errors = {name: [1 - value for value in accuracy[name]] for name in CORRUPTIONS} if comparable else None
    relative_mce = None
    if errors and clean_accuracy is not None:
        relative_mce = relative_mean_corruption_error(errors, 1 - clean_accuracy)
    return {
        "words": _words(images, len(chosen), severities, table, seed),
        "table": table,
        "seed": None if official else seed,
        "severities": list(severities),
        "missing": missing,
        "n": n,
        "clean_accuracy": clean_accuracy,
        "accuracy": accuracy,
        "interval": {name: [list(wilson(c, n, CONFIDENCE)) for c in counts] for name, counts in correct.items()},
        "confidence": CONFIDENCE,
        "mean_accuracy": mean,
        "mean_error": 1 - mean,
        "relative_drop": (clean_accuracy - mean) / clean_accuracy if clean_accuracy else None,
        "mce": mean_corruption_error(errors) if errors else None,
        "relative_mce": relative_mce,
        "seconds": time.perf_counter() - began,
    }


def _check_settings(names: Sequence[str], known: Sequence[str], severities: Sequence[int], batch_size: int) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"corruption: {name!r} is none of {', '.join(known)}{nearest(name, known)}")
    if not names or len(set(names)) < len(names):
        raise ValueError(f"names must be one corruption or more, each once, not {list(names)}")
    if not severities or not set(severities) <= set(SEVERITIES) or len(set(severities)) < len(severities):
        raise ValueError(f"severities must be among 1, 2, 3, 4, 5, each once, not {list(severities)}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}")


def _blocks(
    images: Tensor | CorruptedSet,
    name: str,
    severity: int,
    table: str,
    seed: int,
    batch_size: int,
) -> Iterator[UInt8[Tensor, "b C H W"]]:
    """The corrupted images in their order, block by block; image i is the same whatever the blocks are."""
    if isinstance(images, CorruptedSet):
        loaded = images.load(name, severity).images
        for block in [loaded] if isinstance(loaded, Tensor) else loaded:
            yield from block.split(batch_size)
    else:
        for first in range(0, len(images), batch_size):
            block = images[first : first + batch_size]
            yield corrupt(block, name, severity, table=table, seed=seed, start=first)


def _count_correct(
    model: Callable[[Tensor], Tensor], blocks: Iterable[Tensor], labels: Int[Tensor, " n"], classes: int
) -> int:
    """How many images are classified rightly."""
    seen = correct = 0
    for block in blocks:
        predicted = _logits(model, block, classes).argmax(dim=1).cpu()
        correct += int((predicted == labels[seen : seen + len(block)].cpu()).sum())
        seen += len(block)
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
    return f"{count} corruptions with {tables[table]}'s strengths, {strength}, seed {seed}"
