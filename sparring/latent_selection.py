"""Which images a run's selector chose for some anchors of one training mini-batch, over training (ASCL, Fig. 9)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor, nn

from sparring.analysis import selected
from sparring.config import RunConfig
from sparring.data import ImageSet, make_views, pipeline
from sparring.data.views import seeded
from sparring.encoders import ContrastiveEncoder
from sparring.evaluation.robust import drawing_from, stream
from sparring.measuring import LatentConfig
from sparring.reporting.run_folder import COUNTS
from sparring.robustness import in_memory
from sparring.training import build_method, checkpoints, new_encoder
from sparring.training.build import NEED_PREDICTIONS, has_attack
from sparring.training.check import device_of
from sparring.types import Batch, Domain, Outputs, Pairs, Rows

SHOWN = 7
"""Pictures of one kind for one anchor at one checkpoint."""


def chosen_pairs(
    config: RunConfig, latent: LatentConfig, train: ImageSet, kept: list[Path]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The selection of `shown_of` the kept checkpoints on one mini-batch, and its pictures as uint8.

    The mini-batch is one that training could have seen (a seeded draw, augmented once by the run's pipeline) and the same
    at every checkpoint; the method itself runs on it in training mode, with its attack, from the same random start.
    """
    name, pairs = config.method.name, config.method.pairs
    if pairs not in NEED_PREDICTIONS:
        how = "selects no pairs" if pairs is None else f"selects pairs by {pairs}, which asks no predictions"
        return {"left_out": f"{name} {how}"}, {}
    if not latent.anchors:
        return {"left_out": "latent.anchors is 0"}, {}
    batch_size = config.training.batch_size or len(train)
    index = torch.randperm(len(train), generator=seeded(latent.seed, "latent selection"))[:batch_size]
    batch = train.select(index)
    assert batch.labels is not None and config.data.image_size is not None
    views = make_views(
        in_memory(batch), pipeline(str(config.data.views), config.data.image_size), seed=latent.seed, epoch=0, step=0
    )
    anchors = of_different_classes(batch.labels, latent.anchors)
    shown = shown_of(kept, latent.middle)
    at, arrays = [], {}
    for number, checkpoint in enumerate(shown):
        weights = checkpoint / checkpoints.WEIGHTS
        checkpoints.verify(checkpoint)
        encoder = new_encoder(config, train.channels, len(train.classes), weights=weights).to(device_of(config))
        rows, masks = selection_of(config, encoder, views, batch.labels, seed=latent.seed)
        arrays |= {f"selection_anchor_{i}": to_bytes(rows[0][a]) for i, a in enumerate(anchors) if not number}
        of_anchors = []
        for i, anchor in enumerate(anchors):
            found = selected(masks, anchor)
            sets = dict(zip(COUNTS, (*found.positives, *found.negatives), strict=True))
            of_anchors.append({kind: len(members) for kind, members in sets.items()})
            for kind, members in sets.items():
                copies = rows[kind.startswith("adversarial")]
                arrays[f"selection_{number}_{i}_{kind}"] = to_bytes(copies[torch.from_numpy(members[:SHOWN])])
        epoch, step = checkpoints.position(checkpoint)
        at.append({"checkpoint": checkpoint.name, "epoch": epoch, "step": step, "anchors": of_anchors})
    second = "adversarial copy by the training attack" if has_attack(config) else "second augmentation"
    return {
        "pairs": pairs,
        "second": second,
        "batch_size": len(batch),
        "data": train.name,
        "seed": latent.seed,
        "shown": SHOWN,
        "anchors": [{"image": int(index[a]), "class": train.classes[int(batch.labels[a])], "row": a} for a in anchors],
        "checkpoints": at,
    }, arrays


def shown_of(kept: list[Path], middle: float | int) -> list[Path]:
    """The first, the last and, of those between, the one nearest to that share of the training (the later of two)."""
    between = kept[1:-1]
    if not between:
        return list(dict.fromkeys([kept[0], kept[-1]]))
    where = middle * checkpoints.position(kept[-1])[0]
    nearest = min(reversed(between), key=lambda each: abs(checkpoints.position(each)[0] - where))
    return [kept[0], nearest, kept[-1]]


def selection_of(
    config: RunConfig, encoder: ContrastiveEncoder, views: Tensor, labels: Int[Tensor, " B"], *, seed: int
) -> tuple[tuple[Tensor, Tensor], Pairs]:
    """What one training step of the run's method would choose: the images of its rows [first; second], and the masks.

    The encoder is put into training mode, and its running statistics move: it is of no further use.
    """
    place = device_of(config)
    watched, found = Watched(encoder.train()), list[tuple[tuple[Tensor, Tensor], Pairs]]()
    method = build_method(config)
    select = method.pairs

    def watching(rows: Rows) -> Pairs:
        pairs = select(rows)
        first, second = (images.detach().cpu() for images in watched.images)
        found.append(((first, second), Pairs(pairs.positive.cpu(), pairs.contrast.cpu())))
        return pairs

    generator = torch.Generator(place).manual_seed(stream(seed, 0))
    with drawing_from(seed, place):
        replace(method, pairs=watching)(watched, Batch(views.to(place), labels=labels.to(place), generator=generator))
    return found[0]


def of_different_classes(labels: Int[Tensor, " B"], count: int) -> list[int]:
    """The first image of each class, then the others: the first `count` of them."""
    rows = range(len(labels))
    first = list({int(labels[row]): row for row in reversed(rows)}.values())[::-1]
    return (sorted(first) + [row for row in rows if row not in first])[:count]


class Watched:
    """An encoder that remembers the images of its last two class scores: those whose rows a selector is asked about."""

    def __init__(self, encoder: ContrastiveEncoder) -> None:
        self.encoder = encoder
        self.images: tuple[Tensor, ...] = ()

    @property
    def std(self) -> tuple[float, ...]:
        """The encoder's."""
        return self.encoder.std

    def modules(self) -> Iterator[nn.Module]:
        """The encoder's."""
        return self.encoder.modules()

    def __call__(self, x: Tensor, domain: Domain = "clean") -> Tensor:
        """The encoder's embeddings."""
        return self.encoder(x, domain=domain)

    def represent(self, x: Tensor, domain: Domain = "clean") -> Tensor:
        """The encoder's representations."""
        return self.encoder.represent(x, domain=domain)

    def outputs(self, x: Tensor, domain: Domain = "clean") -> Outputs:
        """The encoder's representations, embeddings and class scores."""
        self.images = (*self.images[-1:], x)
        return self.encoder.outputs(x, domain=domain)


def to_bytes(images: Tensor) -> np.ndarray:
    """Pixels as a screen shows them."""
    return (255 * images).round().clamp(0, 255).to(torch.uint8).numpy()
