"""Every figure of a run folder with the conditions under which it was measured: only figures of equal ones are compared."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sparring.reporting.run_folder import RunFolder, clean_results, evaluations
from sparring.reporting.trust import figure_words

OUTCOMES = {
    *(
        "accuracy",
        "interval",
        "confidence",
        "best_epoch",
        "last_epoch_accuracy",
        "epochs_trained",
        "checkpoint",
        "words",
    ),
    *("seed", "validation_accuracy", "left_out"),
}
"""Entries of a clean evaluation that are no settings of its protocol; its seed is the training seed."""


@dataclass(frozen=True)
class Verdicts:
    """Image by image: which test images, their labels, and whether each was right."""

    index: np.ndarray
    labels: np.ndarray
    right: np.ndarray

    def same_images(self, other: Verdicts) -> bool:
        """Whether both are on the same images in the same order."""
        return np.array_equal(self.index, other.index) and np.array_equal(self.labels, other.labels)


@dataclass(frozen=True)
class Figure:
    """One number of a run: an accuracy with its interval, or another value."""

    name: str
    conditions: Mapping[str, str]
    """What it was measured with: data, number of images, protocol with version, attack, and so on."""
    value: float | None
    """None of a figure that is a word."""
    words: str
    accuracy: bool = True
    verdicts: Verdicts | None = None

    @property
    def key(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        """What two figures share that may stand in one row."""
        return self.name, tuple(sorted(self.conditions.items()))


def figures_of(run: RunFolder) -> list[Figure]:
    """All figures of the folder, the newest where one was measured twice under the same conditions.

    A figure of a checkpoint that is not the latest of those measured says so in its name.
    """
    found = [*_clean(run), *_robust(run), *_latent(run), *_transferred(run), *_geometry(run)]
    latest = max((checkpoint for checkpoint, _ in found if checkpoint), key=_age, default="")
    kept: dict[Any, Figure] = {}
    for checkpoint, one in found:
        if checkpoint and checkpoint != latest:
            one = replace(one, name=f"{one.name} at {checkpoint}")
        kept.setdefault(one.key, one)
    return _own_norms(list(kept.values()))


def _own_norms(found: list[Figure]) -> list[Figure]:
    """A method says through which of two batch norms its encoder is used, so that is no condition of a figure, but said with
    it; unless the run was measured through both."""

    def alike(one: Figure) -> tuple[str, frozenset[tuple[str, str]]]:
        return one.name, frozenset(item for item in one.conditions.items() if item[0] != "domain")

    times = Counter(map(alike, found))
    return [
        replace(
            one,
            conditions={key: value for key, value in one.conditions.items() if key != "domain"},
            words=one.words + (", adversarial norm" if one.conditions.get("domain") == "adv" else ""),
        )
        if times[alike(one)] == 1
        else one
        for one in found
    ]


Found = list[tuple[str, Figure]]
"""Figures with their checkpoints, empty where none is named."""


def _clean(run: RunFolder) -> Found:
    found = []
    for results in clean_results(run):
        for name, entry in results.items():
            if isinstance(entry, dict) and "accuracy" in entry:
                conditions = {"data": entry.get("data"), "n": entry.get("n_test"), "image size": image_size(run)}
                conditions |= {key: value for key, value in entry.items() if key not in OUTCOMES}
                conditions.pop("n_test", None)
                found.append((entry.get("checkpoint") or "", _accuracy(name, conditions, entry)))
    return found


def _robust(run: RunFolder) -> Found:
    found = []
    for seen, arrays in evaluations(run):
        checkpoint, base = seen["subject"].get("checkpoint") or "", evaluated(run, seen)
        attacks = {name: entry for name, entry in (seen.get("attacks") or {}).items() if "accuracy" in entry}
        if seen["clean"]:
            found.append((checkpoint, _accuracy("clean", base, seen["clean"], _verdicts(arrays, ["clean"]))))
        for name, entry in attacks.items():
            conditions = base | {"n": entry.get("n"), "attack": entry.get("words")}
            found.append((checkpoint, _accuracy(name, conditions, entry, _verdicts(arrays, [name]))))
        if seen.get("worst_case") and len(attacks) > 1:
            conditions = base | {"attack": "; ".join(str(entry.get("words")) for entry in attacks.values())}
            figure = _accuracy("all attacks", conditions, seen["worst_case"], _verdicts(arrays, list(attacks)))
            found.append((checkpoint, figure))
        if corrupted := seen.get("corruptions"):
            conditions = base | {"n": corrupted["n"], "corruptions": corrupted["words"]}
            found.append((checkpoint, _accuracy("corruptions", conditions, {"accuracy": corrupted["mean_accuracy"]})))
        for name, entry in ((seen.get("representation") or {}).get("attacks") or {}).items():
            if entry.get("ratio") is not None:
                conditions = base | {"n": seen["representation"].get("n"), "attack": entry.get("words")}
                found.append((checkpoint, _value(f"{name}, moved over between images", conditions, entry["ratio"])))
        if seen.get("verdict"):
            asked = {
                "protocol": seen["label"],
                "checks": ", ".join(sorted(c["name"] for c in seen.get("checks") or [])),
            }
            found.append((checkpoint, Figure("trust checks", _said(asked), None, seen["verdict"]["colour"])))
    return found


def evaluated(run: RunFolder, seen: Mapping[str, Any]) -> dict[str, Any]:
    """What the figures of a robustness.json or latent.json were measured with, beside their attack."""
    subject, data = seen["subject"], seen["data"]
    fitted = subject.get("fitted") or {}
    return {
        "data": data.get("name"),
        "n": data.get("n"),
        "image size": image_size(run),
        "images": data.get("selection"),
        "seed of the images": data.get("seed"),
        "protocol": seen["label"],
        "classifier": fitted.get("protocol") or subject.get("classifier"),
        "layer": fitted.get("layer"),
        "domain": subject.get("domain"),
    }


def _latent(run: RunFolder) -> Found:
    seen = run.latent
    if not seen:
        return []
    checkpoint, base = seen["subject"].get("checkpoint") or "", latent_conditions(run)
    found = []
    for when, words in (("clean", "clean"), ("adversarial", "under attack")):
        entry = seen["divergence"].get(when) or {}
        conditions = base | {"attack": entry.get("words")}
        for name, key in (("R-DIV", "r_div"), ("intra-class divergence", "intra_adv"), ("inter-class", "inter_adv")):
            if entry.get(key) is not None:
                found.append((checkpoint, _value(f"{name}, {words}", conditions, entry[key])))
    return found


def latent_conditions(run: RunFolder) -> dict[str, Any]:
    """What the figures of latent.json were measured with, beside their attack."""
    return evaluated(run, run.latent) | {"layer": run.latent["subject"].get("layer")}


def image_size(run: RunFolder) -> str | int | None:
    """Pixels a side of the run's images; None where no run wrote the folder."""
    return (run.setting("data.image_size") or "as stored") if run.is_run else None


def _transferred(run: RunFolder) -> Found:
    found, protocol = [], run.transfer.get("protocol") or {}
    for name, entry in (run.transfer.get("sets") or {}).items():
        if "accuracy" in entry:
            conditions = {"data": name, "n": entry["n_test"], "protocol": run.transfer["label"]}
            conditions |= {key: entry.get(key) for key in ("metric", "n_train", "n_val", "selection")}
            conditions |= {
                "layer": entry.get("layer") or protocol.get("layer"),
                "image size": run.transfer["image_size"],
            }
            conditions |= {"domain": run.transfer["subject"].get("domain")}
            checkpoint = run.transfer["subject"].get("checkpoint") or ""
            figure = _accuracy(f"transfer to {name}", conditions, entry)
            penalty = f", l2 {entry['l2']:.3g}" if entry.get("l2") is not None else ""
            found.append((checkpoint, replace(figure, words=figure.words + penalty)))
    return found


def _geometry(run: RunFolder) -> Found:
    found = []
    for layer, value in (run.analysis.get("geometry") or {}).items():
        conditions = {"data": run.analysis.get("data"), "n": run.analysis.get("images")}
        conditions |= {"domain": run.analysis.get("domain"), "dimensions": value["dim"]}
        found.append(("", _value(f"effective rank of {layer}", conditions, value["effective_rank"])))
        found.append(("", _value(f"uniformity of {layer}", conditions, value["uniformity"])))
    return found


def _accuracy(
    name: str, conditions: Mapping[str, Any], entry: Mapping[str, Any], verdicts: Verdicts | None = None
) -> Figure:
    words = f"{100 * entry['accuracy']:.1f} %"
    if entry.get("interval"):
        words += " [{:.1f}, {:.1f}]".format(*(100 * bound for bound in entry["interval"]))
    return Figure(name, _said(conditions), float(entry["accuracy"]), words, verdicts=verdicts)


def _value(name: str, conditions: Mapping[str, Any], value: float) -> Figure:
    return Figure(name, _said(conditions), float(value), f"{value:.3g}", accuracy=False)


def _said(conditions: Mapping[str, Any]) -> dict[str, str]:
    return {key.replace("_", " "): figure_words(value) for key, value in conditions.items() if value is not None}


def _verdicts(arrays: Mapping[str, np.ndarray], names: list[str]) -> Verdicts | None:
    """Right under all of the attacks of those names; None where the arrays do not hold them."""
    keys = [f"correct_{name}" for name in names]
    if not all(key in arrays for key in ("index", "labels", *keys)):
        return None
    right = np.logical_and.reduce([arrays[key].astype(bool) for key in keys])
    return Verdicts(arrays["index"], arrays["labels"], right)


def _age(checkpoint: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", checkpoint)]
