"""What paper 003 prints behind its accuracies: the share that is lost, that of the twin, the gap that is closed."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from contextlib import suppress
from statistics import fmean
from typing import Any

from sparring.analysis import gap_closed, relative_drop, slope_through_zero
from sparring.recipes.budgets import Budget
from sparring.recipes.claims import of_row
from sparring.recipes.recipe import Column, Derived, Means, Recipe, Row
from sparring.recipes.susceptible import clean_of

CLEAN = "clean"


def _before(key: str) -> str:
    """Under which a row's means have the clean accuracy on the images of `key`."""
    return f"{CLEAN} of {key}"


def _drop(key: str, row: Means) -> float:
    return float(relative_drop(row[_before(key)], row[key]))


DROP = Derived("↓", "percent of the clean accuracy on the same images that are lost", _drop)


def _more(key: str, row: Means, other: Means) -> float:
    return _drop(key, row) - _drop(key, other)


def _closed(key: str, row: Means, base: Means, twin: Means) -> float:
    return float(gap_closed(_drop(key, base), _drop(key, row), _drop(key, twin)))


def _slope(over: Sequence[str], key: str, row: Means, twin: Means) -> float:
    return slope_through_zero(*([_drop(name, each) for name in over] for each in (twin, row))).slope


def against(twin: str) -> Derived:
    """How much more of its clean accuracy a row loses than its supervised twin."""
    return Derived("Δ", f"points by which that lies above {twin}'s", _more, (twin,), forms=("+.1%", "+.0%"))


def gap(base: str, twin: str, paper: str | None = None) -> Derived:
    """The share of the gap between `base` and its supervised twin that a row closes."""
    words = f"percent of the gap from {base}'s to {twin}'s that are closed, where {twin} loses less"
    return Derived("↑", words, _closed, (base, twin), paper)


def slope(twin: str, over: Sequence[str]) -> Derived:
    """How steeply a row's drops rise with its twin's over corruptions."""
    fitted = functools.partial(_slope, tuple(over))
    return Derived("×", f"slope of its drops over {twin}'s, through 0", fitted, (twin,), forms=(".2f", ".2f"))


def behind(recipe: Recipe, column: Column, row: Row, budget: Budget, results: Sequence[Mapping[str, Any]]) -> str:
    """What stands behind our figure of a cell, such as " ↓71.1 Δ-2.1"; empty where there is nothing."""
    said = ""
    for derived in column.derived:
        rows = [row.name, *derived.references]
        means = [_means(recipe, budget, results, name) for name in rows]
        said += _said(derived, column, row, means, derived.forms[0])
    return said


def behind_printed(recipe: Recipe, column: Column, row: Row) -> str:
    """The same of the paper: its own figures where it prints them, else computed from its accuracies, without decimals."""
    said = ""
    for derived in column.derived:
        own = row.paper.get(f"{derived.paper}_{column.paper}") if derived.paper else None
        if own is not None and row.name in (derived.rows or (row.name,)):
            said += f" {derived.mark}{own:g}"
        else:
            rows = [row, *(recipe.row(name) for name in derived.references)]
            said += _said(derived, column, row, [_printed(recipe, each) for each in rows], derived.forms[1])
    return said


def _said(derived: Derived, column: Column, row: Row, means: Sequence[Means], form: str) -> str:
    if row.name in derived.references or (derived.rows and row.name not in derived.rows):
        return ""
    with suppress(KeyError, ValueError):  # not measured, or not defined: nothing was right before the attack
        return f" {derived.mark}{derived.of(column.key, *means):{form}}".removesuffix("%")
    return ""


def _means(recipe: Recipe, budget: Budget, results: Sequence[Mapping[str, Any]], row: str) -> Means:
    """Our means over seeds by the columns' keys at the paper's size, and the clean accuracies on the images of each."""
    found = {}
    for column in recipe.columns:
        name = budget.attack(column.key)
        found[column.key] = of_row(results, row, name)
        found[_before(column.key)] = clean_of(results, row, name, CLEAN)
    return {key: fmean(values.values()) for key, values in found.items() if values}


def _printed(recipe: Recipe, row: Row) -> Means:
    found = {
        column.key: row.paper[column.paper] / 100
        for column in recipe.columns
        if column.paper is not None and column.paper in row.paper
    }
    return found | {_before(key): found[CLEAN] for key in found if CLEAN in found}
