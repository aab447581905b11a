"""The latent space of a trained run: divergences, a map, and what its selector chose, written into it with a report."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from sparring import configuration
from sparring.analysis import divergence
from sparring.attacks import check_radius
from sparring.config import RunConfig
from sparring.data import ImageSet, load_images
from sparring.data.views import seeded
from sparring.evaluation import OnFeatures
from sparring.evaluation.entry import draw, figure, pixels, selection
from sparring.evaluation.evaluate import own_classifier
from sparring.evaluation.robust import Progress
from sparring.latent_selection import chosen_pairs
from sparring.measuring import LatentConfig
from sparring.reporting import write_report
from sparring.reporting.collect_classes import classes
from sparring.reporting.collect_latent import Point, Subject, columns, mapped, point, seen
from sparring.reporting.run_folder import COUNTS, read_run
from sparring.robustness import classifier, in_memory
from sparring.training import checkpoints, new_encoder, resolve, run_folder
from sparring.training.build import classifies
from sparring.training.check import check_images, device_of
from sparring.training.resume import run_and_checkpoint

VERSION = 1
"""Rises whenever the same settings would give other figures."""


def of_a_run(
    place: str | Path,
    settings: dict[str, Any],
    latent: LatentConfig,
    *,
    report: bool = True,
    progress: Progress | None = None,
) -> Path:
    """Look into the latent space of a run: latent.json, latent.npz and (`report`) a new report.html; the run's path.

    Absolute intra- and inter-class divergence and R-DIV (ASCL, section 2), clean and under PGD on the run's classifier
    (a logistic regression on the frozen encoder where its method trains none), against the attack's radius and over the
    kept checkpoints, with robust accuracy; how many rows the selector chose, and which; a t-SNE map. What a run does not
    have is left out, and why is written. Earlier figures become latent-1.json and so on.

    `settings` (dotted names) go on top of the run's configuration. The same arguments give the same latent.json on the
    same machine. Raises ValueError for what cannot be measured, before any work.

    Paper: Bui et al. 2021 (ASCL), sections 2, 4.3, 4.4, 7, 8.3; Figs. 2, 4, 5, 6, 7, 9.
    """
    check_latent(latent)
    run, checkpoint = run_and_checkpoint(place, field="RUN")
    config = resolve(configuration.build(configuration.read_yaml(run / "config.yaml") | settings))
    name = latent.classifier or ("own" if classifies(config) else "logistic")
    if name == "own" and not classifies(config):
        raise ValueError(f"latent.classifier is own, but {config.method.name} trains no classifier; choose another")
    kept = checkpoints.checkpoints(run)
    for each in {*(kept if latent.epochs else ()), checkpoint}:
        checkpoints.verify(each)
    with run_folder.held(run):
        train, test = load_images(config.data, seed=config.training.seed)
        check_images(config, train, needs_labels=False)
        for images, which in ((train, "training"), (test, "test")):
            if images.labels is None:
                raise ValueError(
                    f"the {which} images of {images.name} have no labels: there are no classes to compare; without them the "
                    "report has effective rank and uniformity, and evaluate --representation says how far attacks move it"
                )
        look = Look.at(config, latent, train, test, name, progress)
        radii = sorted({0.0, latent.eps, *latent.radii})
        look.announce(sum(eps > 0 for eps in radii) + len(set(kept) - {checkpoint}) * latent.epochs)
        entry, arrays = _measure(look, checkpoint, kept, radii)
        entry["counts"] = counts(run, config)
        entry["selection"], pictures = chosen_pairs(config, latent, train, kept)
        entry["environment"] = run_folder.environment(config.training.seed)
        run_folder.keep_earlier(run, "latent")
        np.savez_compressed(run / "latent.npz", **(arrays | pictures))  # pyright: ignore[reportArgumentType]
        run_folder.write_json(run / "latent.json", entry)
        if report:
            write_report(run)
    return run


def check_latent(latent: LatentConfig) -> None:
    """A ValueError for settings that name nothing that can be measured."""
    for name, value, low in (
        ("images", latent.images, 4),
        ("batch_size", latent.batch_size, 2),
        ("steps", latent.steps, 1),
        ("map_images", latent.map_images, 4),
        ("map_adversarial", latent.map_adversarial, 1),
        ("anchors", latent.anchors, 0),
        ("seed", latent.seed, 0),
    ):
        if value < low:
            raise ValueError(f"latent.{name} must be at least {low}, not {value}")
    if not 0 <= latent.middle <= 1:
        raise ValueError(f"latent.middle is a share of the training, between 0 and 1, not {latent.middle:g}")
    for name, value in (("eps", latent.eps), ("step_size", latent.step_size)):
        if value is not None and not value > 0:
            raise ValueError(f"latent.{name} must be more than 0, such as 8/255, not {value:g}")
    for name, value in (("eps", latent.eps), *(("radii", radius) for radius in latent.radii)):
        if not value >= 0:
            raise ValueError(f"latent.{name} must be at least 0, not {value:g}")
        check_radius(f"latent.{name}", value, "linf")


@dataclass
class Look:
    """The images that are looked at, and how."""

    config: RunConfig
    latent: LatentConfig
    train: ImageSet
    test: ImageSet
    name: str
    index: Int[Tensor, " n"]
    x: Float[Tensor, "n C H W"]
    y: Int[Tensor, " n"]
    progress: Progress | None
    began: float = 0.0
    done: int = 0
    total: int = 0

    @staticmethod
    def at(
        config: RunConfig, latent: LatentConfig, train: ImageSet, test: ImageSet, name: str, progress: Progress | None
    ) -> Look:
        """The seeded draw of test images, in an order in which a mini-batch holds several classes."""
        assert test.labels is not None
        index = draw(test.labels, latent.images, latent.seed)
        index = index[torch.randperm(len(index), generator=seeded(latent.seed, "latent"))]
        shown = test.select(index)
        assert shown.labels is not None
        try:  # whether there are pairs depends on the labels alone
            divergence(torch.ones(len(index), 1), torch.ones(len(index), 1), shown.labels, batch_size=latent.batch_size)
        except ValueError as error:
            raise ValueError(
                f"latent.images is {len(index)} in mini-batches of latent.batch_size {latent.batch_size}; {error}"
            ) from None
        return Look(config, latent, train, test, name, index, pixels(in_memory(shown)), shown.labels, progress)

    def announce(self, attacks: int) -> None:
        """How many attacks there will be."""
        self.began, self.total = time.perf_counter(), attacks * len(self.y)

    def model(self, checkpoint: Path) -> tuple[Subject, dict[str, Any]]:
        """The classifier of a checkpoint, fitted where the method trains none, with all that it depends on."""
        weights = checkpoint / checkpoints.WEIGHTS
        encoder = new_encoder(self.config, self.train.channels, len(self.train.classes), weights=weights)
        encoder = encoder.to(device_of(self.config))
        if self.name == "own":
            domain = self.config.evaluation.domain or "clean"
            fitted = {"protocol": "own v1", "layer": "h", "domain": domain}
            return OnFeatures(encoder, own_classifier(encoder), "h", domain), fitted
        return classifier(encoder, self.train, self.test, self.config, self.name)

    def point(self, model: Subject, eps: float, clean: Any, what: str) -> Point:
        """Divergences and robust accuracy of a model at a radius."""

        def progress(images: int) -> None:
            self.done += images
            if self.progress is not None:
                spent = time.perf_counter() - self.began
                self.progress(what, self.done, self.total, spent / self.done * (self.total - self.done))

        return point(model, self.x, self.y, self.latent, eps, clean=clean, progress=progress)

    def epochs(self, checkpoint: Path) -> float:
        """Finished epochs, with the finished part of the one that was interrupted."""
        epoch, step = checkpoints.position(checkpoint)
        return epoch + step / max(1, len(self.train) // (self.config.training.batch_size or 1))


def _measure(
    look: Look, checkpoint: Path, kept: list[Path], radii: list[float]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """All that is measured on the test images."""
    latent = look.latent
    model, fitted = look.model(checkpoint)
    clean = seen(model, look.x, batch_size=latent.batch_size)
    points = {eps: look.point(model, eps, clean, f"attack, eps {255 * eps:.3g}/255") for eps in radii}
    shown = sorted(set(latent.radii))
    drawn, arrays = mapped(clean, points[latent.eps].seen, look.y, latent)
    entry = {
        "schema": 1,
        "protocol": {"name": "latent", "version": VERSION, **asdict(latent)},
        "label": f"latent v{VERSION}",
        "subject": {
            "words": f"{fitted['protocol']} on {model.layer} of {look.config.method.name}",
            "classifier": look.name,
            "layer": model.layer,
            "domain": model.domain,
            "dimensions": clean.h.shape[1],
            "checkpoint": checkpoint.name,
            "epochs": look.epochs(checkpoint),
            "fitted": fitted,
        },
        "data": {
            "name": look.test.name,
            "n": len(look.y),
            "seed": latent.seed,
            "selection": selection(len(look.y), len(look.test)),
            "classes": list(look.test.classes),
        },
        "clean": figure(clean.logits.argmax(dim=1) == look.y),
        "divergence": {"clean": points[0.0].entry, "adversarial": points[latent.eps].entry},
        "classes": classes(clean.h, points[latent.eps].seen.h, look.y),
        "strengths": {"eps": shown} | columns([points[eps].entry for eps in shown]),
        "epochs": _over_epochs(look, checkpoint, kept, points[latent.eps]),
        "map": drawn,
    }
    return entry, {"index": look.index.numpy(), "labels": look.y.numpy()} | arrays


def _over_epochs(look: Look, checkpoint: Path, kept: list[Path], last: Point) -> dict[str, Any]:
    """The same attack on every kept checkpoint (Fig. 2b)."""
    if not look.latent.epochs:
        return {"left_out": "latent.epochs is false, so that only one checkpoint was measured"}
    entries = []
    for each in kept:
        found = last
        if each != checkpoint:
            model, _ = look.model(each)
            clean = seen(model, look.x, batch_size=look.latent.batch_size)
            found = look.point(model, look.latent.eps, clean, f"{each.name}")
        entries.append(found.entry)
    return {
        "epoch": [look.epochs(each) for each in kept],
        "checkpoint": [each.name for each in kept],
        "words": last.entry["words"],
    } | columns(entries)


def counts(run: Path, config: RunConfig) -> dict[str, Any]:
    """Selected rows an anchor over epochs, as training logged them (Fig. 4)."""
    records = [record for record in read_run(run).metrics if all(key in record for key in COUNTS)]
    if not records:
        return {"left_out": f"{config.method.name} logs no numbers of positives and negatives"}
    table = {key: [record[key] for record in records] for key in COUNTS}
    for kind in ("positives", "negatives"):
        pairs = zip(table[f"clean_{kind}"], table[f"adversarial_{kind}"], strict=True)
        table[kind] = [math.fsum(pair) for pair in pairs]
    words = f"means over the anchors of an epoch, batches of {config.training.batch_size} images and their copies"
    return {"epoch": [record["epoch"] + 1 for record in records], "words": words, "pairs": config.method.pairs} | table
