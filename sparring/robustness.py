"""How robust a trained run is, or anybody's model: measured, written into a folder, with a report."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from torch import nn

from sparring import configuration
from sparring.config import RunConfig
from sparring.data import ImageSet, load_images
from sparring.encoders.bridge import find_function
from sparring.evaluation import OnFeatures, SoftKNN, check_robustness, evaluate, features, measure_robustness
from sparring.evaluation.check import only_representation
from sparring.evaluation.evaluate import in_memory
from sparring.evaluation.robust import Progress
from sparring.evaluation.robustness import measure_representation
from sparring.measuring import RobustnessConfig
from sparring.reporting import write_report
from sparring.reporting.run_folder import read_run
from sparring.training import checkpoints, new_encoder, resolve, run_folder
from sparring.training.build import classifies
from sparring.training.check import check_images, device_of
from sparring.training.resume import run_and_checkpoint
from sparring.types import Encoder

STATE = "autoattack"
"""Folder in which AutoAttack keeps what it has done until the figures are written."""


def of_a_run(
    place: str | Path,
    settings: dict[str, Any],
    robustness: RobustnessConfig,
    *,
    state: Path | None = None,
    report: bool = True,
    progress: Progress | None = None,
) -> Path:
    """Fit a classifier on the frozen encoder of a run, or take the run's own, and attack it.

    Writes robustness.json and (`report`) report.html into the run. `state` is where AutoAttack keeps what it has done,
    RUN/autoattack if None.

    `settings` (dotted names) go on top of the run's configuration. An AutoAttack that was killed continues; one of other
    settings is refused with a ValueError, as is everything else that cannot be measured, before any work.
    """
    check_robustness(robustness)
    run, checkpoint = run_and_checkpoint(place, field="RUN")
    checkpoints.verify(checkpoint)
    config = resolve(configuration.build(configuration.read_yaml(run / "config.yaml") | settings))
    name = robustness.classifier or ("own" if classifies(config) else "logistic")
    if name == "own" and not classifies(config):
        raise ValueError(f"robustness.classifier is own, but {config.method.name} trains no classifier; choose another")
    with run_folder.held(run):
        train, test = load_images(config.data, seed=config.training.seed)
        check_images(config, train, needs_labels=False)
        labelled = has_classes(train, test, robustness)
        encoder = new_encoder(config, train.channels, len(train.classes), weights=checkpoint / checkpoints.WEIGHTS).to(
            device_of(config)
        )
        epochs = checkpoints.position(checkpoint)[0]
        if not labelled:
            words = f"{config.method.name} after {epochs:,} epoch{'s' * (epochs != 1)}, {checkpoint.name}"
            measure_movement_into(run, encoder, test, config, robustness, words)
            return run
        model, fitted = classifier(encoder, train, test, config, name, progress=progress)
        subject = {
            "words": f"{fitted['protocol']} on {model.layer} of {config.method.name} after {epochs:,} epoch{'s' * (epochs != 1)}",
            "checkpoint": checkpoint.name,
            "fitted": fitted,
        }
        measure_into(
            run,
            model,
            train,
            test,
            robustness,
            config.training.seed,
            subject,
            progress,
            state=state or run / STATE,
            report=report,
        )
    return run


def of_a_model(
    place: str, config: RunConfig, robustness: RobustnessConfig, *, progress: Progress | None = None
) -> Path:
    """Attack the classifier that `python:MODULE.FUNCTION` returns, on the test images of `config.data`.

    Writes robustness.json and report.html into `config.out` (runs/robustness-FUNCTION if None), and its path is returned.
    """
    check_robustness(robustness)
    name = place.removeprefix("python:")
    folder = Path(config.out or f"runs/robustness-{name.rpartition('.')[2]}")
    check_folder(folder, name)
    function = find_function(name, field="RUN")
    try:
        model = function()
    except TypeError as error:
        raise ValueError(f"{place} must be a function that is called without arguments: {error}") from error
    if not isinstance(model, nn.Module):
        raise ValueError(f"{place} must return an nn.Module, not a {type(model).__name__}")
    train, test = load_images(config.data, seed=robustness.seed)
    if test.labels is None:
        raise ValueError(f"the test images of {test.name} have no labels: there is no class to be wrong in")
    with run_folder.held(folder, "wait for it, or choose another --out"):
        measure_into(
            folder,
            model.to(device_of(config)),
            train,
            test,
            robustness,
            robustness.seed,
            {"words": name},
            progress,
            state=folder / STATE,
        )
    return folder


def check_folder(folder: Path, subject: str) -> None:
    """A ValueError unless `folder` is new, empty, or holds figures of the same model."""
    if not folder.exists():
        return
    if (folder / "config.yaml").exists():
        raise ValueError(f"out is {folder}, a training run's folder: choose another for the figures of {subject}")
    if (folder / "robustness.json").exists():
        earlier = read_run(folder).robustness["subject"].get("words")
        if earlier != subject:
            raise ValueError(
                f"out is {folder}, which holds figures of {earlier}: choose another for those of {subject}"
            )
    elif not unfinished(folder) and any(not path.name.startswith(".") for path in folder.iterdir()):
        raise ValueError(f"out is {folder}, which exists and holds no robustness.json: choose another folder")


def unfinished(folder: Path) -> bool:
    """Whether an interrupted AutoAttack waits there."""
    return (folder / STATE).is_dir()


def has_classes(train: ImageSet, test: ImageSet, robustness: RobustnessConfig) -> bool:
    """Whether the images have labels; a ValueError if they have none and something is asked for that needs them."""
    unlabelled = [which for images, which in ((train, "training"), (test, "test")) if images.labels is None]
    if unlabelled and not only_representation(robustness):
        raise ValueError(
            f"the {unlabelled[0]} images of {test.name} have no labels: there is no class to be wrong in (--representation "
            "alone needs none)"
        )
    return not unlabelled


def measure_movement_into(
    folder: Path, encoder: Encoder, test: ImageSet, config: RunConfig, robustness: RobustnessConfig, words: str
) -> None:
    """How far attacks move the representations of images without labels: measured and reported."""
    layer, domain = config.evaluation.logistic_features or "h", config.evaluation.domain or "clean"
    result = measure_representation(
        encoder, in_memory(test), robustness, layer=layer, domain=domain, data=test.name, words=f"{layer} of {words}"
    )
    result.save(folder, environment=run_folder.environment(config.training.seed))
    write_report(folder)


def classifier(
    encoder: Encoder,
    train: ImageSet,
    test: ImageSet,
    config: RunConfig,
    name: str,
    *,
    progress: Progress | None = None,
) -> tuple[OnFeatures | SoftKNN, dict[str, Any]]:
    """What `robustness.classifier` names, fitted on the training images, and everything that its figures depend on."""
    evaluation, place, domain = config.evaluation, device_of(config), config.evaluation.domain or "clean"
    assert train.labels is not None
    fitted: dict[str, nn.Module] = {}
    entry = evaluate(
        encoder,
        train,
        test,
        evaluation,
        device=place,
        names=(name,),
        seed=config.training.seed,
        classifiers=fitted,
        progress=progress,
    )[name]
    model = fitted.get(name)
    if isinstance(model, OnFeatures):
        return model, entry
    if model is not None:
        return OnFeatures(encoder, model, entry["layer"], domain), entry
    bank = features(encoder, train.images, layer=entry["layer"], domain=domain, device=place)
    chosen = {key: entry[key] for key in ("k", "temperature", "classes", "layer", "domain")}
    return SoftKNN(encoder, bank.to(place), train.labels.to(place), **chosen), entry


def measure_into(
    folder: Path,
    model: nn.Module,
    train: ImageSet,
    test: ImageSet,
    robustness: RobustnessConfig,
    seed: int,
    subject: dict[str, Any],
    progress: Progress | None,
    *,
    state: Path,
    report: bool = True,
) -> None:
    """Measure, write, report, and clear away what AutoAttack kept."""
    assert test.labels is not None
    result = measure_robustness(
        model,
        in_memory(test),
        test.labels,
        robustness,
        classes=test.classes,
        data=test.name,
        train_images=in_memory(train) if robustness.trust else None,  # only its checks need them
        state=state,
        progress=progress,
    )
    result.entry["subject"] |= subject
    result.save(folder, environment=run_folder.environment(seed))
    for name in robustness.attack:  # what other evaluations left unfinished waits on
        shutil.rmtree(state / name, ignore_errors=True)
    if state.is_dir() and not any(state.iterdir()):
        state.rmdir()
    if report:
        write_report(folder)
