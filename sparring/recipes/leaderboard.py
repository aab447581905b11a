"""All results as Markdown: recipes beside the paper's figures with their claims judged, other experiments as tables of rows."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sparring.recipes.budgets import labelled
from sparring.recipes.reproduce import find, table, verdicts
from sparring.reporting import read_results, results_table
from sparring.reporting.table import hardware


def leaderboard(paths: Iterable[Path]) -> str:
    """Every result file in one of the tables; the same files give the same text.

    Results of a recipe share a table where data, budget and hardware agree. Raises ValueError for what is no result.
    """
    files = sorted(path for path in map(Path, paths) if not path.name.startswith("summary-"))
    others, groups = [], dict[tuple[str, ...], list[dict[str, Any]]]()
    for file, result in zip(files, read_results(files), strict=True):
        if "rows" not in result:
            others.append(file)
            continue
        key = (result["experiment"], result["data"], result["budget"], hardware(result["environment"]))
        groups.setdefault(key, []).append(result)
    parts = [results_table(others).rstrip()] if others else []
    for (experiment, _, label, machine), results in sorted(groups.items()):
        recipe, budget = find(experiment), labelled(label)
        commits = sorted({result["environment"].get("commit", "unknown")[:8] for result in results})
        where = f"Measured on {machine}, trained at commit {', '.join(commits)}. {len(results)} runs; claims:"
        judged = [line for line in verdicts(recipe, budget, results) if ": not measured: " not in line]
        parts.append("\n".join([*table(recipe, budget, results), "", where, "", *judged]))
    return "\n\n".join(parts) + "\n"
