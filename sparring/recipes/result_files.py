"""The result files of a recipe: which are there, and which of them share a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sparring.recipes.budgets import BUDGETS, Budget
from sparring.recipes.grid import Tell
from sparring.recipes.keys import completed
from sparring.recipes.place import Place, data_label
from sparring.recipes.recipe import Recipe
from sparring.reporting import read_results


def files(recipe: Recipe, place: Place, size: str = "*") -> list[Path]:
    """Those of a size by their names, or of all; summaries are none."""
    found = (place.out / recipe.name).glob(f"*-{size}-seed*.json")
    return sorted(file for file in found if not file.name.startswith("summary-"))


def check_any(recipes: Sequence[Recipe], place: Place) -> None:
    """A ValueError if there are results of none of these recipes, at whatever size."""
    if not any(files(recipe, place) for recipe in recipes):
        which = recipes[0].name if len(recipes) == 1 else f"any of {len(recipes)} recipes"
        raise ValueError(f"there are no results of {which} in {place.out}: leave --summary out to make them")


def none_words(recipe: Recipe, budget: Budget, place: Place) -> str:
    """That there are no results of this size, and of which other sizes there are some."""
    others = [name for name in BUDGETS if files(recipe, place, name)]
    there = f"; there are results of budget {' and '.join(others)}: add --budget {others[0]}" if others else ""
    return f"{recipe.name}: there are no results of budget {budget.name} in {place.out / recipe.name}{there}"


def read(recipe: Recipe, budget: Budget, place: Place, tell: Tell) -> dict[str, list[dict[str, Any]]]:
    """Results by what their images are called, those of `place` first: no figure of one is compared with one of another.

    `tell` takes a sentence for each file that is left out. Raises ValueError for what is no result, and for two of one row and
    seed.
    """
    found, ours = files(recipe, place, budget.name), data_label(recipe, place)
    groups: dict[str, dict[Path, dict[str, Any]]] = {}
    for file, result in zip(found, read_results(found), strict=True):
        if result["budget"] in budget.labels:
            groups.setdefault(result["data"], {})[file] = completed(result)
        else:
            tell(f"left out: {file}: its size is {result['budget']!r}, which this version does not call {budget.name}")
    for group in groups.values():
        check_once(group)
    labels = sorted(groups, key=lambda data: (data != ours, data))
    return {data: list(groups[data].values()) for data in labels}


def check_once(results: Mapping[Path, Mapping[str, Any]]) -> None:
    """A ValueError for two results of one row and seed."""
    seen: dict[tuple[str, int], Path] = {}
    for file, result in results.items():
        first = seen.setdefault((result["row"], result["seed"]), file)
        if first != file:
            raise ValueError(
                f"{first} and {file} are both row {result['row']!r}, seed {result['seed']}: keep them in two folders of results"
            )
