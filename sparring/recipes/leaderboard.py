"""All results as Markdown: recipes beside the paper's figures with their claims judged, other experiments as tables of rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparring.recipes.budgets import Budget, labelled
from sparring.recipes.judgements import JUDGED, brief, by_claim, verdict_of
from sparring.recipes.keys import completed
from sparring.recipes.recipe import Recipe
from sparring.recipes.reproduce import find, shown_columns, table, verdicts, where_measured
from sparring.recipes.result_files import check_once
from sparring.reporting import read_results, results_table


@dataclass(frozen=True)
class Group:
    """Results of a recipe that share a table: of one data set and one size."""

    recipe: Recipe
    budget: Budget
    data: str
    results: list[dict[str, Any]]


@dataclass(frozen=True)
class Sorted:
    """Result files by what can be made of them."""

    groups: list[Group]
    others: list[Path]
    """Files of experiments that are no recipes."""
    unreadable: list[str]
    """Why results of recipes stand in no table, a sentence each."""


def grouped(paths: Iterable[Path]) -> Sorted:
    """Results of recipes by recipe, data and size; summaries are left out. Raises ValueError for what is no result."""
    files = sorted(path for path in map(Path, paths) if not path.name.startswith("summary-"))
    others, groups = [], dict[tuple[str, ...], dict[Path, dict[str, Any]]]()
    for file, result in zip(files, read_results(files), strict=True):
        if "rows" in result:
            groups.setdefault((result["experiment"], result["data"], result["budget"]), {})[file] = completed(result)
        else:
            others.append(file)
    found, unreadable = [], []
    for (experiment, data, label), results in sorted(groups.items()):
        try:
            group = Group(find(experiment), labelled(label), data, list(results.values()))
            _check(group, results)
            found.append(group)
        except ValueError as error:
            unreadable.append(f"{experiment} ({data}): {error}")
    return Sorted(found, others, unreadable)


def _check(group: Group, results: Mapping[Path, Mapping[str, Any]]) -> None:
    """A ValueError for figures that cannot share a table, or two of one row and seed."""
    check_once(results)
    shown_columns(group.recipe, group.budget, group.results)


def _all(paths: Iterable[Path]) -> Sorted:
    """`grouped`; a ValueError where something is unreadable."""
    found = grouped(paths)
    if found.unreadable:
        raise ValueError("; ".join(found.unreadable))
    return found


def overview(paths: Iterable[Path]) -> str:
    """One line for each recipe, data set and size: how much was run, and how its claims stand. Raises as `leaderboard`."""
    groups = _all(paths).groups
    lines = [
        "| recipe | what | data | size | rows | seeds | claims that hold | fail | are undecided |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for group in groups:
        judged = [verdict_of(line) for line in verdicts(group.recipe, group.budget, group.results)]
        counts = [str(judged.count(verdict)) for verdict in JUDGED[:3]]
        rows = f"{len({result['row'] for result in group.results})} of {len(group.recipe.rows)}"
        seeds = str(len({result["seed"] for result in group.results}))
        cells = [
            f"`{group.recipe.name}`",
            group.recipe.title,
            f"`{group.data}`",
            group.budget.name,
            rows,
            seeds,
            *counts,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def leaderboard(paths: Iterable[Path]) -> str:
    """Every result file in one of the tables; the same files give the same text.

    Results of a recipe share a table where data and budget agree. Raises ValueError for what is no result, or cannot stand in
    a table.
    """
    found = _all(paths)
    parts = [results_table(found.others).rstrip()] if found.others else []
    return "\n\n".join([*parts, *map(_table, found.groups)]) + "\n"


def _table(group: Group) -> str:
    judged = by_claim(group.recipe, group.budget, group.results)
    measured = [(words, [line for line in lines if verdict_of(line) != "not measured"]) for words, lines in judged]
    said = where_measured(group.results, judged)
    return "\n".join([*table(group.recipe, group.budget, group.results), "", said, "", *brief(measured)])
