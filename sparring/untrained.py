"""Whether an encoder looks untrained: measured against a freshly initialised twin of the same network.

A checkpoint that loads without an error may still hold first weights: of another file, of the wrong prefix, of a run that
never started. A random network is no chance guesser, so the twin says what such a network reaches on the same images.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sparring.analysis import effective_rank
from sparring.data import ImageSet
from sparring.evaluation import features
from sparring.evaluation.features import evaluation_mode
from sparring.evaluation.knn import knn_predict
from sparring.evaluation.trust.check import Check
from sparring.norms import DualBatchNorm
from sparring.types import Domain

NAME, TITLE = "untrained", "Has the encoder been trained?"
CLASSES, BANK, QUERIES = 10, 50, 25
"""At most so many classes, and so many training and test images of each."""
K, TEMPERATURE = 10, 0.07
EASY = 0.9
"""Accuracy of the twin above which no encoder can show that it is better."""


def untrained(
    encoder: nn.Module,
    train: ImageSet,
    test: ImageSet,
    *,
    domain: Domain = "clean",
    seed: int = 0,
    device: torch.device | str | None = None,
) -> Check:
    """Red if the encoder looks untrained, green if it does not, yellow if it cannot be told, grey without labels.

    Weighted kNN (k = 10, T = 0.07) on h: at most 50 training images each of at most 10 classes (seeded) vote on at most 25
    test images each. The twin is the same network with fresh weights (He normal convolutions, the layers' own defaults
    elsewhere), its batch norms' statistics computed from the voting images, as good a random network as there is. With b
    images that the encoder alone gets right and c that the twin alone does, of n,

        difference = (b - c) / n  +-  1.96 sqrt(b + c - (b - c)^2 / n) / n

    Trained: the interval lies above 0. Beside it: whether every batch norm of `domain` has its first statistics (mean 0,
    variance 1) or its first scale and shift (1 or 0, and 0), and the effective rank of h, of encoder and twin.

    On images so easy that the twin is right on 90 % nothing can be told from kNN. The encoder, its mode and the global
    random state stay as they were; layers without `reset_parameters` keep their weights in the twin.
    """
    marks = _marks(encoder, domain)
    figures: dict[str, Any] = dict(marks)
    suspicious = [words for words, found in marks.items() if found]
    batch_norms = f"; every batch norm has its {' and '.join(suspicious)}" if suspicious else ""
    chosen = _images(train, test, seed)
    if chosen is None:
        colour, sentence = (
            ("red", f"The encoder looks untrained{batch_norms}.") if suspicious else ("grey", "Not checked.")
        )
        return Check(NAME, TITLE, colour, f"{sentence} The images have no labels, so kNN could not be asked.", figures)
    bank, query = chosen
    twin = fresh_twin(encoder, _tensor(bank), domain=domain, seed=seed)
    right, rank = {}, {}
    assert bank.labels is not None and query.labels is not None
    for name, network in (("encoder", encoder), ("twin", twin)):
        rows = [features(network, _tensor(part), domain=domain, device=device) for part in (bank, query)]  # pyright: ignore[reportArgumentType]
        predicted = knn_predict(rows[0], bank.labels, rows[1], k=min(K, len(bank)), temperature=TEMPERATURE)
        right[name] = predicted == query.labels.cpu()
        rank[name] = effective_rank(torch.cat(rows))
    accuracy = {name: found.double().mean().item() for name, found in right.items()}
    difference, half = _paired(right["encoder"], right["twin"])
    figures |= {
        "images": len(query),
        "classes": len(query.labels.unique()),
        "knn": accuracy["encoder"],
        "knn_twin": accuracy["twin"],
        "difference": [difference, difference - half, difference + half],
        "effective_rank": rank["encoder"],
        "effective_rank_twin": rank["twin"],
        "dim": rows[0].shape[1],
    }
    measured = (
        f"kNN gets {_percent(accuracy['encoder'])} of {len(query):,} images right, a freshly initialised twin "
        f"{_percent(accuracy['twin'])} (difference {100 * difference:.1f} points, 95 % interval "
        f"{100 * (difference - half):.1f} to {100 * (difference + half):.1f}); effective rank of h {rank['encoder']:.1f} of "
        f"{rows[0].shape[1]:,}, the twin's {rank['twin']:.1f}{batch_norms}"
    )
    better = difference - half > 0
    if better and not suspicious:
        return Check(NAME, TITLE, "green", f"The encoder has been trained: {measured}.", figures)
    if better:
        words = "The encoder is better than its untrained twin, and yet not all of it was trained"
        return Check(NAME, TITLE, "yellow", f"{words}: {measured}.", figures)
    if accuracy["twin"] >= EASY and not suspicious:
        words = "It cannot be told on images so easy whether the encoder was trained"
        return Check(NAME, TITLE, "yellow", f"{words}: {measured}.", figures)
    return Check(NAME, TITLE, "red", f"The encoder looks untrained: {measured}.", figures)


def fresh_twin(encoder: nn.Module, images: Tensor, *, domain: Domain = "clean", seed: int = 0) -> nn.Module:
    """A copy on the CPU with new weights, whose batch norms have the statistics of `images` (uint8 [n C H W])."""
    twin = copy.deepcopy(encoder).cpu()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for part in twin.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
                if part.bias is not None:
                    nn.init.zeros_(part.bias)
            elif callable(getattr(part, "reset_parameters", None)):
                part.reset_parameters()  # pyright: ignore[reportCallIssue]
    norms = [part for part in twin.modules() if isinstance(part, _BatchNorm) and part.track_running_stats]
    with evaluation_mode(twin), torch.no_grad():
        for norm in norms:
            norm.training, norm.momentum = True, None  # the mean over all batches
        for batch in images.split(128):
            if len(batch) > 1:
                twin.represent(batch.float() / 255, domain)  # pyright: ignore[reportCallIssue]
    return twin


def _marks(encoder: nn.Module, domain: Domain) -> dict[str, bool]:
    """Whether every batch norm of a domain is as a new one: its statistics, its scale and shift."""
    duals = [part for part in encoder.modules() if isinstance(part, DualBatchNorm)]
    inside = {id(norm) for dual in duals for norm in (dual.clean, dual.adv)}
    norms = [getattr(dual, domain) for dual in duals]
    norms += [part for part in encoder.modules() if isinstance(part, _BatchNorm) and id(part) not in inside]
    kept = [norm for norm in norms if norm.running_mean is not None]
    scaled = [norm for norm in norms if norm.affine]
    statistics = [_is(norm.running_mean, 0) and _is(norm.running_var, 1) for norm in kept]
    affine = [_is(norm.bias, 0) and (_is(norm.weight, 1) or _is(norm.weight, 0)) for norm in scaled]
    return {
        "first statistics (mean 0, variance 1)": bool(kept) and all(statistics),
        "first scale and shift": bool(scaled) and all(affine),
    }


def _is(tensor: Tensor, value: int) -> bool:
    return bool((tensor == value).all())


def _images(train: ImageSet, test: ImageSet, seed: int) -> tuple[ImageSet, ImageSet] | None:
    """Voting and voted images of the same classes; None without labels."""
    if train.labels is None or test.labels is None:
        return None
    generator = torch.Generator().manual_seed(seed)
    both = sorted(set(train.labels.tolist()) & set(test.labels.tolist()))
    classes = [both[i] for i in torch.randperm(len(both), generator=generator)[:CLASSES].tolist()]
    parts = []
    for images, most in ((train, BANK), (test, QUERIES)):
        assert images.labels is not None
        order = torch.randperm(len(images), generator=generator)
        chosen = [order[images.labels.cpu()[order] == label][:most] for label in classes]
        parts.append(images.select(torch.cat(chosen)))
    return (parts[0], parts[1]) if len(classes) > 1 else None


def _tensor(images: ImageSet) -> Tensor:
    return images.images if isinstance(images.images, Tensor) else torch.cat(list(images.images))


def _paired(first: Tensor, second: Tensor) -> tuple[float, float]:
    """Difference of two accuracies on the same images and half of its 95 % interval."""
    n = len(first)
    alone, other = int((first & ~second).sum()), int((second & ~first).sum())
    spread = alone + other - (alone - other) ** 2 / n
    return (alone - other) / n, 1.96 * math.sqrt(max(spread, 0)) / n


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"
