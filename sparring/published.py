"""An encoder that others published, from a checkpoint file to figures: read, doubted, measured, attacked, reported."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from sparring.config import RunConfig
from sparring.data import ImageSet, load_images
from sparring.encoders.exported import WEIGHTS, is_export, read_config
from sparring.encoders.published import Published, load_published
from sparring.evaluation import check_robustness, evaluate
from sparring.evaluation.robust import Progress
from sparring.measuring import RobustnessConfig, WeightsConfig
from sparring.norms import has_domains
from sparring.reporting import write_report
from sparring.robustness import STATE, classifier, has_classes, measure_into, measure_movement_into
from sparring.training import run_folder
from sparring.training.check import device_of
from sparring.training.defaults import neighbours
from sparring.types import Domain
from sparring.untrained import untrained

SUBJECT = "weights.json"
KNN_TEMPERATURE = 0.07
"""Of the first kNN evaluation of this kind (Wu et al. 2018): a published file does not say with which it was trained."""


def of_weights(
    place: str,
    config: RunConfig,
    weights: WeightsConfig,
    *,
    robustness: RobustnessConfig | None = None,
    protocols: Sequence[str] | None = None,
    version: Literal["default", "paper"] = "default",
    state: Path | None = None,
    report: bool = True,
    progress: Progress | None = None,
) -> Path:
    """Measure the encoder in `weights:FILE`, or in an exported folder, on the images of `config.data`; the path of the folder
    with the figures.

    Writes weights.json (how every key was read, and whether the encoder looks untrained), results.json with `protocols`,
    robustness.json with `robustness`, and (`report`) report.html into `config.out` (runs/weights-FILE if None). `protocols`
    None is kNN, logistic regression and, where the file holds a classifier of as many classes as the images have, that one;
    with `robustness` alone nothing but the attacked classifier is fitted: `robustness.classifier`, or the same default.
    An export is measured at the size in pixels for which it was trained, and with its run's temperature of kNN, unless others
    are given. AutoAttack keeps what it has done in `state`. Of `config` only data, evaluation, training.seed, training.device and
    out are used; `evaluation.domain` None is the adversarial batch norm where the encoder has two, and weights.json says so.

    Raises ValueError, before anything is written, for a file or folder that cannot be used, images of another number of
    channels, and images without labels under attack.
    """
    path = Path(place.removeprefix("weights:"))
    exported = is_export(path)
    if not path.is_file() and not exported:
        what = (
            "names no file"
            if place == "weights:"
            else f"is a {'folder' if path.is_dir() else 'file that is not there'}"
        )
        raise ValueError(f"{place} {what}; name a checkpoint file, such as weights:checkpoint.pth, or an export")
    if robustness is not None:
        check_robustness(robustness)
    told = read_config(path) if exported else {}
    if config.data.image_size is None:
        config = replace(config, data=replace(config.data, image_size=told.get("image_size")))
    train, test = load_images(config.data, seed=config.training.seed)
    published = load_published(path, image_size=train.image_size, **dataclasses.asdict(weights))
    encoder = published.encoder
    if len(encoder.std) != train.channels:
        raise ValueError(
            f"{path} takes images of {len(encoder.std)} channels, those of {train.name} have {train.channels}"
        )
    digest = hashlib.sha256((path / WEIGHTS if exported else path).read_bytes()).hexdigest()
    folder = Path(config.out or f"runs/weights-{path.name.partition('.')[0]}")
    check_folder(folder, path, digest)
    own = encoder.classes == len(train.classes)
    usual = ["own"] * own + ["knn", "logistic"]
    names = [] if protocols is None and robustness is not None else list(protocols or usual)
    attacked = None if robustness is None else robustness.classifier or ("own" if own else "logistic")
    if "own" in (*names, attacked) and not own:
        has = f"tells {encoder.classes:,} classes apart" if encoder.classes else "holds no classifier"
        raise ValueError(f"protocol own: {path} {has}, the images have {len(train.classes):,}; choose another")
    labelled = robustness is None or has_classes(train, test, robustness)
    if config.evaluation.domain == "adv" and not has_domains(encoder):
        raise ValueError(f"evaluation.domain is adv, but {path} has one batch norm a layer, or none; it must be clean")
    evaluation = config.evaluation
    temperature = evaluation.knn_temperature or told.get("knn_temperature") or KNN_TEMPERATURE
    k = neighbours(len(train)) if evaluation.knn_k is None else evaluation.knn_k
    domain = evaluation.domain or published.domain
    config = replace(config, evaluation=replace(evaluation, knn_temperature=temperature, knn_k=k, domain=domain))
    place_of_work = device_of(config)
    encoder.to(place_of_work)
    with run_folder.held(folder, "wait for it, or choose another --out"):
        described = _described(published, path, digest, train, test, config, domain)
        if names:
            results = evaluate(
                encoder,
                train,
                test,
                config.evaluation,
                device=place_of_work,
                names=names,
                version=version,
                seed=config.training.seed,
                progress=progress,
            )
            run_folder.keep_earlier(folder, "results")
            run_folder.write_json(folder / "results.json", results)
        run_folder.write_json(folder / SUBJECT, described)
        if robustness is not None and not labelled:
            measure_movement_into(folder, encoder, test, config, robustness, path.name)
        elif robustness is not None and attacked is not None:
            model, fitted = classifier(encoder, train, test, config, attacked, progress=progress)
            subject = {"words": f"{fitted['protocol']} on {model.layer} of {path.name}", "fitted": fitted}
            measure_into(
                folder,
                model,
                train,
                test,
                robustness,
                config.training.seed,
                subject,
                progress,
                state=state or folder / STATE,
                report=False,
            )
        if report:
            write_report(folder)
    return folder


def check_folder(folder: Path, path: Path, digest: str) -> None:
    """A ValueError unless `folder` is new, empty, or holds figures of the same file."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ValueError(f"out is {folder}, which is a file, not a folder")
    if (folder / SUBJECT).is_file():
        earlier = json.loads((folder / SUBJECT).read_text())
        if earlier.get("sha256") != digest:
            raise ValueError(
                f"out is {folder}, which holds figures of another file, {earlier.get('file')}: choose another for {path}"
            )
    elif any(not found.name.startswith(".") for found in folder.iterdir()):
        raise ValueError(f"out is {folder}, which exists and holds no {SUBJECT}: choose another folder")


def _described(
    published: Published,
    path: Path,
    digest: str,
    train: ImageSet,
    test: ImageSet,
    config: RunConfig,
    domain: Domain,
) -> dict[str, Any]:
    """What weights.json says."""
    seed, words = config.training.seed, published.words
    probe = untrained(published.encoder, train, test, domain=domain, seed=seed, device=device_of(config))
    if has_domains(published.encoder):
        measured, other = ("adversarial", "clean") if domain == "adv" else ("clean", "adv")
        words += f"; figures go through the {measured} one of its batch norms (--domain {other} for the other)"
    return {
        "schema": 1,
        "file": str(path),
        "sha256": digest,
        "layout": published.report.layout,
        "words": words,
        "keys": published.report.entry(),
        "untrained": dataclasses.asdict(probe),
        "domain": domain,
        "data": test.name,
        "seed": seed,
        "environment": run_folder.environment(seed),
    }
