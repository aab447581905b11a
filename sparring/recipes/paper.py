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
        numbers[entry["metric"]] = float(entry["value"])
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
        entry["value"]
        for entry in _everything()[table]
        if (entry["method"], entry["metric"]) == (method, metric)
        and dataset in (None, entry["dataset"])
        and setting.items() <= (entry["setting"] or {}).items()
    ]
    if len(found) != 1 or found[0] is None:
        raise ValueError(
            f"{table} has {len(found)} figures of {method}, {metric} with {setting or 'any setting'}, not one"
        )
    return float(found[0])
