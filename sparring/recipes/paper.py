"""The figures that the papers print, as data: paper_results.yaml, one entry a figure.

001 is CLAE (ACCV 2020), 000 its supplement, 002 ASCL (2021), 003 "On higher adversarial susceptibility of contrastive
self-supervised learning". Accuracies are in percent, as printed; a figure that the source does not give is absent.
"""

from __future__ import annotations

import functools
from importlib import resources
from typing import Any

import yaml

Numbers = dict[str, float]
"""Printed figures by the paper's name of the metric, such as pgd250."""


class Printed(float):
    """A figure with what the paper prints behind its ±."""

    std: float

    @classmethod
    def of(cls, value: float | int, std: float | int | None) -> float:
        """The figure; a plain one where the paper prints no ±."""
        if std is None:
            return float(value)
        printed = cls(value)
        printed.std = float(std)
        return printed


def as_printed(value: float | int) -> str:
    """83.27 ± 0.17, or 83.27."""
    return f"{value:g} ± {value.std:g}" if isinstance(value, Printed) else f"{value:g}"


@functools.cache
def _everything() -> dict[str, list[dict[str, Any]]]:
    text = (resources.files("sparring.recipes") / "paper_results.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


def printed(table: str, method: str, *, dataset: str | None = None, **setting: Any) -> Numbers:
    """The figures of one row of a table such as "002_T2": those of `method` whose setting has all of `setting`.

    Raises ValueError for an unknown table, for a row without figures, and where two figures of one metric fit.
    """
    if table not in _everything():
        raise ValueError(f"there is no table {table} in paper_results.yaml; there are {', '.join(_everything())}")
    numbers: Numbers = {}
    for entry in _everything()[table]:
        fits = setting.items() <= (entry["setting"] or {}).items() and dataset in (None, entry["dataset"])
        if entry["method"] != method or not fits or entry["value"] is None:
            continue
        if entry["metric"] in numbers:
            raise ValueError(f"{table} has several figures of {method}, {entry['metric']}: say which setting is meant")
        numbers[entry["metric"]] = Printed.of(entry["value"], entry["std"])
    if not numbers:
        raise ValueError(f"{table} has no figures of {method} with {setting or 'any setting'}")
    return numbers


def figure(table: str, method: str, metric: str, *, dataset: str | None = None, **setting: Any) -> float:
    """One printed figure of a table with several of a kind, such as pgd_linf at eps "8/255".

    Raises ValueError unless there is exactly one.
    """
    if table not in _everything():
        raise ValueError(f"there is no table {table} in paper_results.yaml; there are {', '.join(_everything())}")
    found = [
        entry
        for entry in _everything()[table]
        if (entry["method"], entry["metric"]) == (method, metric)
        and dataset in (None, entry["dataset"])
        and setting.items() <= (entry["setting"] or {}).items()
    ]
    if len(found) != 1 or found[0]["value"] is None:
        raise ValueError(
            f"{table} has {len(found)} figures of {method}, {metric} with {setting or 'any setting'}, not one"
        )
    return Printed.of(found[0]["value"], found[0]["std"])
