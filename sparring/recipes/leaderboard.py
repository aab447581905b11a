"""All results as Markdown: recipes beside the paper's figures with their claims judged, other experiments as tables of rows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparring.recipes.budgets import Budget, labelled
from sparring.recipes.recipe import Recipe
from sparring.recipes.reproduce import find, table, verdicts, where_measured
from sparring.reporting import read_results, results_table
from sparring.reporting.table import hardware

JUDGED = ("holds", "fails", "undecided", "not measured")


@dataclass(frozen=True)
class Group:
    """Results of a recipe that share a table: of one data set and one size."""

    recipe: Recipe
    budget: Budget
    data: str
    results: list[dict[str, Any]]


def grouped(paths: Iterable[Path]) -> tuple[list[Group], list[Path]]:
    """Results of recipes by recipe, data and size, and the files of other experiments; summaries are neither.

    Raises ValueError for what is no result.
    """
    files = sorted(path for path in map(Path, paths) if not path.name.startswith("summary-"))
    others, groups = [], dict[tuple[str, ...], list[dict[str, Any]]]()
    for file, result in zip(files, read_results(files), strict=True):
        if "rows" in result:
            groups.setdefault((result["experiment"], result["data"], result["budget"]), []).append(result)
        else:
            others.append(file)
    found = [
        Group(find(experiment), labelled(label), data, results)
        for (experiment, data, label), results in sorted(groups.items())
    ]
    return found, others


def overview(paths: Iterable[Path]) -> str:
    """One line for each recipe, data set and size: how much was run, and how its claims stand. Raises as `leaderboard`."""
    groups, _ = grouped(paths)
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


def verdict_of(line: str) -> str:
    """How a line of `verdicts` judges: holds, fails, undecided or not measured."""
    judged = re.search(rf": ({'|'.join(JUDGED)})\b", line)
    if judged is None:
        raise ValueError(f"{line!r} says of no claim whether it {', '.join(JUDGED)}")
    return judged[1]


def leaderboard(paths: Iterable[Path]) -> str:
    """Every result file in one of the tables; the same files give the same text.

    Results of a recipe share a table where data, budget and hardware agree. Raises ValueError for what is no result.
    """
    groups, others = grouped(paths)
    parts = [results_table(others).rstrip()] if others else []
    for group in groups:
        machines: dict[str, list[dict[str, Any]]] = {}
        for result in group.results:
            machines.setdefault(hardware(result["environment"]), []).append(result)
        parts += [_table(group, results) for _, results in sorted(machines.items())]
    return "\n\n".join(parts) + "\n"


def _table(group: Group, results: list[dict[str, Any]]) -> str:
    judged = [line for line in verdicts(group.recipe, group.budget, results) if ": not measured: " not in line]
    return "\n".join([*table(group.recipe, group.budget, results), "", where_measured(results), "", *judged])
