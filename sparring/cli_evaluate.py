"""The verb `sparring evaluate`: a run's clean figures, or how robust a run or anybody's model is."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import Any

from sparring import configuration
from sparring.config import NO_FIGURE, ROOTS
from sparring.configuration import Field, fields, robustness_fields, transfer_fields, weights_fields
from sparring.flags import RUN, Words, key_of, read_words, settings_help
from sparring.measuring import PROTOCOLS
from sparring.summary import summarise, summarise_robustness, summarise_transfer, summarise_weights

EVALUATE = """\
usage: sparring evaluate RUN [--protocol NAMES] [--SETTING VALUE ...]
       sparring evaluate RUN --attack NAMES [--eps RADIUS] [--corruptions] [--SETTING VALUE ...]
       sparring evaluate RUN --transfer NAMES [--root FOLDER] [--download] [--SETTING VALUE ...]
       sparring evaluate python:MODULE.FUNCTION --data NAME --attack NAMES [--out FOLDER] [--SETTING VALUE ...]
       sparring evaluate weights:FILE --data NAME [--layout NAME] [--protocol NAMES] [--attack NAMES] [--out FOLDER] [...]

Measure a trained run again; with --attack, --corruptions or --representation, measure how robust it is; with --transfer,
how good its frozen encoder is on other data sets. Writes results.json (or robustness.json, transfer.json) and report.html
anew; earlier figures are kept as results-N.json (robustness-N.json, transfer-N.json).

  RUN                         a run folder (its newest checkpoint), or RUN/checkpoints/epoch-0010
  python:MODULE.FUNCTION      anybody's classifier: a function that returns an nn.Module from images in [0, 1] to logits;
                              its figures go to --out [runs/robustness-FUNCTION]
  weights:FILE                a published encoder, from the checkpoint file of its repository (simclr, supcon, swav, moco,
                              rocl, acl, torchvision, timm), or a folder of `sparring export`; its figures
                              go to --out [runs/weights-FILE]
  --protocol NAMES            knn, logistic, slf, alf, aff, finetune, ... (`sparring list protocols`), or several with commas
                              [knn,logistic, and own if there is one]
  --protocol-version VERSION  default (nothing is chosen on test images) or paper (as published: best test epoch of logistic
                              and linear-003, kNN on z); every figure made so says so [default]
  --debug                     show where an error happened

`sparring list evaluation-attacks` names the attacks. Settings of a robust evaluation, of a transfer, then those that may differ
from the run's:
"""

OPTIONS = {"debug": False, "help": False, "protocol": True, "protocol-version": True}
OF_A_RUN = (*ROOTS, *(key for key in NO_FIGURE if key.startswith("data.")), "training.device")
OF_A_MODEL = ("training.device", "out", "overwrite")
OF_A_TRANSFER = ("training.device", "evaluation.domain")
OTHERS = ("--attack", "--corruptions", "--corrupted-root", "--representation", "--protocol", "--protocol-version")
OF_WEIGHTS = ("training.device", "training.seed", "out")
MODEL = "python:"
WEIGHTS = "weights:"


def evaluate(words: list[str]) -> int:
    """Run the verb on its words and return the exit code."""
    foreign, weights = (any(word.startswith(kind) for word in words) for kind in (MODEL, WEIGHTS))
    moved = any(word.startswith("--transfer") for word in words)
    if moved:
        _only_transfer(words)
    known = settings_of_a_transfer() if moved else settings_of_weights() if weights else settings_of(foreign)
    read = read_known(words, OPTIONS, known, "evaluate")
    if "help" in read.options:
        print(EVALUATE + settings_help(weights_fields() | known | transfer_fields()))
        return 0
    place = one_place(read.positional, "evaluate")
    if moved:
        return _transfer(place, read.settings)
    robust = {key: value for key, value in read.settings.items() if key in robustness_fields()}
    settings = {key: value for key, value in read.settings.items() if key not in robust}
    if (weights or foreign) and "data.name" not in settings:
        raise ValueError(f"--data must be named: the images on which {place} is measured, such as --data cifar10")
    if weights:
        return _weights(place, settings, robust, read)
    if foreign or robust:
        for option in ("protocol", "protocol-version"):
            if option in read.options:
                raise ValueError(
                    f"--{option} belongs to the evaluation without attacks; run the two one after the other"
                )
        return _robustness(place, settings, robust, foreign)
    return _clean(place, settings, read)


def one_place(positional: list[str], verb: str) -> str:
    """The one run folder that a verb works on."""
    if len(positional) != 1:
        raise ValueError(
            f"{verb} needs one run folder, such as runs/clae-digits-seed0, not {len(positional) or 'none'}"
        )
    return positional[0]


def settings_of(foreign: bool) -> dict[str, Field]:
    """What the verb takes by their dotted names: for a run of one's own, or for a `foreign` model."""

    def changeable(key: str) -> bool:
        if foreign:
            return key.startswith("data.") or key in OF_A_MODEL
        return key.startswith("evaluation.") or key in OF_A_RUN

    return robustness_fields() | {key: field for key, field in fields().items() if changeable(key)}


def settings_of_a_transfer() -> dict[str, Field]:
    """What the verb takes with --transfer: without a run's data, so that --root and --download mean the transfer's."""
    return transfer_fields() | {key: fields()[key] for key in OF_A_TRANSFER}


def settings_of_weights() -> dict[str, Field]:
    """What the verb takes for a published encoder: how its file is read stands for a run's settings of its encoder."""

    def changeable(key: str) -> bool:
        return key.startswith(("data.", "evaluation.")) or key in OF_WEIGHTS

    return weights_fields() | robustness_fields() | {key: field for key, field in fields().items() if changeable(key)}


def read_known(words: list[str], options: dict[str, bool], known: dict[str, Field], verb: str) -> Words:
    """The words of a verb that measures; what only training takes is refused for that reason."""
    try:
        return read_words(words, options, known, RUN)
    except ValueError as error:
        for word in words:
            flag = word.removeprefix("--").partition("=")[0]
            if not word.startswith("--") or flag in options or _means(flag, known):
                continue
            if _means(flag, fields()):
                raise ValueError(
                    f"--{flag} cannot be changed by {verb}: a run is measured as it was trained"
                ) from error
        raise


def _means(flag: str, known: dict[str, Field]) -> bool:
    try:
        return bool(key_of(flag, known=known))
    except ValueError:
        return False


def _protocols(read: Words) -> tuple[list[str] | None, str]:
    """The protocols that were asked for, and their version."""
    protocols = read.options["protocol"][-1].split(",") if "protocol" in read.options else None
    version = read.options.get("protocol-version", ["default"])[-1]
    _one_of("--protocol", protocols or (), tuple(PROTOCOLS))
    _one_of("--protocol-version", [version], ("default", "paper"))
    return protocols, version


def _weights(place: str, settings: dict[str, Any], robust: dict[str, Any], read: Words) -> int:
    protocols, version = _protocols(read)
    weights = configuration.build_weights(settings)
    config = configuration.build({key: value for key, value in settings.items() if key not in weights_fields()})
    attacks = configuration.build_robustness(robust) if robust else None
    from sparring.evaluation.check import check_finetunes, check_used

    check_finetunes(settings, [*(protocols or ()), attacks and attacks.classifier])
    if attacks is not None:
        check_used(attacks, {key.removeprefix("robustness.") for key in robust})
    from sparring import published

    progress = Terminal()
    folder = published.of_weights(
        place,
        config,
        weights,
        robustness=attacks,
        protocols=protocols,
        version=version,  # pyright: ignore[reportArgumentType]
        progress=progress,
    )
    progress.close()
    summarise_weights(folder)
    if attacks is not None:
        summarise_robustness(folder)
    return 0


def _clean(place: str, settings: dict[str, Any], read: Words) -> int:
    protocols, version = _protocols(read)
    from sparring import training
    from sparring.evaluation.check import check_finetunes
    from sparring.experiment import measure
    from sparring.training.resume import run_and_checkpoint

    check_finetunes(settings, protocols or ())
    run, _ = run_and_checkpoint(place, field="RUN")
    config = training.resolve(configuration.build(configuration.read_yaml(run / "config.yaml") | settings))
    progress = Terminal()
    measure(place, config, protocols=protocols, version=version, progress=progress)  # pyright: ignore[reportArgumentType]
    progress.close()
    summarise(run)
    return 0


def _only_transfer(words: list[str]) -> None:
    given = [word.partition("=")[0] for word in words]
    for other in OTHERS:
        if other in given:
            raise ValueError(f"{other} and --transfer are different evaluations; run one after the other")
    if any(word.startswith((MODEL, WEIGHTS)) for word in words):
        raise ValueError("--transfer measures the encoder of a run folder, not another model's")


def _transfer(place: str, given: dict[str, Any]) -> int:
    from sparring import transfer

    progress = Terminal()
    settings = {key: value for key, value in given.items() if key not in transfer_fields()}
    entries = transfer.of_a_run(place, settings, configuration.build_transfer(given), progress=progress)
    progress.close()
    summarise_transfer(entries)
    return 0


def _one_of(flag: str, given: Iterable[str], allowed: tuple[str, ...]) -> None:
    for word in given:
        if word not in allowed:
            near = configuration.nearest(word, allowed)
            hint = f"; did you mean {near}?" if near else ""
            raise ValueError(f"{flag} must be one of {', '.join(allowed)}, not {word!r}{hint}")


def _robustness(place: str, settings: dict[str, Any], robust: dict[str, Any], foreign: bool) -> int:
    config = configuration.build_robustness(robust)
    if foreign and "robustness.classifier" in robust:
        raise ValueError(f"robustness.classifier is {config.classifier}, but {place} is a classifier already")
    from sparring import robustness
    from sparring.evaluation.check import check_finetunes, check_used

    check_used(config, {key.removeprefix("robustness.") for key in robust})
    check_finetunes(settings, [config.classifier])
    progress = Terminal()
    try:
        if foreign:
            folder = robustness.of_a_model(place, configuration.build(settings), config, progress=progress)
        else:
            folder = robustness.of_a_run(place, settings, config, progress=progress)
    except KeyboardInterrupt:
        kept = " what AutoAttack had done is kept, the rest runs again" if "autoattack" in config.attack else ""
        raise KeyboardInterrupt(f"interrupted; the same command starts again{':' * bool(kept)}{kept}") from None
    progress.close()
    summarise_robustness(folder)
    return 0


class Terminal:
    """Progress as one line that rewrites itself on a terminal, and as a line a minute elsewhere."""

    def __init__(self) -> None:
        self.live = sys.stderr.isatty()
        self.shown = 0.0
        self.width = 0

    def __call__(self, what: str, done: int, total: int, seconds_left: float | None) -> None:
        """Show where the evaluation is."""
        now = time.monotonic()
        if now - self.shown < (0.2 if self.live else 60):
            return
        self.shown = now
        left = "" if seconds_left is None else f", about {duration(seconds_left)} left"
        line = f"{what}: {done:,} of {total:,}{left}"
        if self.live:
            print(f"\r{line:{self.width}}", end="", file=sys.stderr, flush=True)
            self.width = len(line)
        else:
            print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Clear the line."""
        if self.live and self.width:
            print(f"\r{'':{self.width}}\r", end="", file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Seconds in words."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
