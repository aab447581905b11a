"""The runs of a recipe as figures: mean, spread and interval over seeds, differences of rows, verdicts of claims."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from sparring.evaluation import bootstrap_interval, paired_difference
from sparring.evaluation.intervals import BOOTSTRAP_COVERAGE
from sparring.recipes.budgets import Budget
from sparring.recipes.claims import not_finite, of_row, without_figure
from sparring.recipes.given import not_given
from sparring.recipes.recipe import Column, Recipe

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Figure:
    """One measure of one row over its seeds, as a fraction where it is an accuracy."""

    values: Mapping[int, float]
    """By seed; those that are finite."""
    accuracy: bool
    without: tuple[int, ...] = ()
    """Seeds of which the value is not finite."""

    @property
    def mean(self) -> float:
        """Over seeds."""
        return fmean(self.values.values())

    @property
    def std(self) -> float | None:
        """Standard deviation over seeds, n - 1 in the denominator; None with one."""
        return stdev(self.values.values()) if len(self.values) > 1 else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % bootstrap interval of the mean; None with one seed."""
        return bootstrap_interval(list(self.values.values())) if len(self.values) > 1 else None

    @property
    def words(self) -> str:
        """mean ± std [interval], accuracies in percent, and how many seeds that is where some are not finite."""
        more = ""
        if self.without:
            more = (
                f" ({len(self.values)} of {len(self.values) + len(self.without)} seeds; {without_figure(self.without)})"
            )
        scale, digits = (100, 1) if self.accuracy else (1, 2)
        spread = ""
        if self.std is not None and self.interval is not None:
            low, high = (f"{scale * bound:.{digits}f}" for bound in self.interval)
            spread = f" ± {scale * self.std:.{digits}f} [{low}, {high}]"
        return f"{scale * self.mean:.{digits}f}{spread}{more}"


def figure(results: Sequence[Result], row: str, name: str) -> Figure | None:
    """The measure of that name of that row, or None if it has none that is finite."""
    values = dict(sorted(of_row(results, row, name).items()))
    if not values:
        return None
    accuracy = any("accuracy" in result["results"].get(name, {}) for result in results)
    return Figure(values, accuracy, tuple(not_finite(results, row, name)))


def words_of(results: Sequence[Result], row: str, name: str) -> str:
    """`Figure.words`; a dash where nothing was measured, and which seeds are not finite where none is."""
    found = figure(results, row, name)
    if found is not None:
        return found.words
    without = not_finite(results, row, name)
    return without_figure(without) if without else "-"


def aggregate(recipe: Recipe, budget: Budget, results: Sequence[Result], verdicts: Sequence[str]) -> dict[str, Any]:
    """Everything that is known of a recipe at a size, for a JSON: each row's figures, differences from the first row, claims.

    Differences are paired over seeds, with their 95 % t interval.
    """
    measured = [column for column in recipe.columns if any(key(column, budget) in r["results"] for r in results)]
    first = recipe.rows[0].name
    return {
        "schema": 1,
        "recipe": recipe.name,
        "title": recipe.title,
        "source": recipe.source,
        "budget": " and ".join(sorted({result["budget"] for result in results})),
        "data": sorted({result["data"] for result in results}),
        "runs": len(results),
        "confidence": 0.95,
        "rows": [
            {
                "row": row.name,
                "figures": {
                    key(column, budget): _entry(found, row.paper.get(column.paper or ""))
                    | {"protocol": protocol_of([r for r in results if r["row"] == row.name], key(column, budget))}
                    for column in measured
                    if (found := figure(results, row.name, key(column, budget))) is not None
                },
                "difference from": first,
                "differences": {
                    key(column, budget): difference
                    for column in measured
                    if row.name != first
                    if (difference := _difference(results, row.name, first, key(column, budget))) is not None
                },
            }
            for row in recipe.rows
            if any(result["row"] == row.name for result in results)
        ],
        "claims": [line.removeprefix("- ") for line in verdicts],
        "missing": missing(recipe, budget, results),
    }


def missing(recipe: Recipe, budget: Budget, results: Sequence[Result]) -> dict[str, list[int]]:
    """By row, the seeds of the recipe at this size that have no result: not run, or failed. Rows whose weights nobody gave
    are left out."""
    found = {}
    for row in recipe.rows:
        done = {result["seed"] for result in results if result["row"] == row.name}
        absent = [seed for seed in seeds_of(recipe, budget) if seed not in done]
        if absent and not not_given(row, budget):
            found[row.name] = absent
    return found


def missing_words(recipe: Recipe, budget: Budget, results: Sequence[Result]) -> str:
    """That in one line; empty if nothing is missing."""
    planned = list(seeds_of(recipe, budget))
    rows = [
        row if seeds == planned else f"{row} seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
        for row, seeds in missing(recipe, budget, results).items()
    ]
    every = f"all {len(planned)} seeds" if len(planned) > 1 else "the one seed"
    return f"missing, not run or failed ({every} unless said): {'; '.join(rows)}" if rows else ""


def seeds_of(recipe: Recipe, budget: Budget) -> range:
    """The recipe's seeds at a size."""
    return range(min(recipe.seeds, budget.seeds or recipe.seeds))


def computed(recipe: Recipe, results: Sequence[Result]) -> str | None:
    """How all were computed otherwise than the recipe at their size; ValueError where some were and others were not."""
    found = {result.get("computed") for result in results if "weights" not in result}
    if len(found) > 1:
        said = " and ".join(f"({words})" if words else "as the recipe" for words in sorted(found, key=str))
        raise ValueError(f"{recipe.name}: some are trained {said}: keep them apart, in another --out")
    return found.pop() if found else None


def protocol_of(results: Sequence[Result], name: str) -> str:
    """How a measure was taken, in the words of its results: logistic v1, paper (best test epoch)."""
    found = (result["results"].get(name, {}).get("protocol") for result in results)
    return " or ".join(sorted({protocol for protocol in found if protocol}))


def few_seeds(results: Sequence[Result]) -> str:
    """What a reader must know of a bootstrap over few seeds: how often that of the row with the fewest (but not one, which has
    none) covers its mean."""
    seeds = {(result["row"], result["seed"]) for result in results}
    fewest = min((n for n in Counter(row for row, _ in seeds).values() if n > 1), default=0)
    if fewest not in BOOTSTRAP_COVERAGE:
        return ""
    often = f"{100 * BOOTSTRAP_COVERAGE[fewest]:.0f} %"
    return (
        f"; narrower than its name with so few seeds: with {fewest} it covers the true mean about {often} of the time"
    )


def key(column: Column, budget: Budget) -> str:
    """The column's key at this budget: pgd-250 becomes what the budget attacks with."""
    return budget.attack(column.key)


def _entry(found: Figure, printed: float | None) -> dict[str, Any]:
    return {
        "unit": "fraction" if found.accuracy else "value",
        "n": len(found.values),
        "mean": found.mean,
        "std": found.std,
        "bootstrap interval": found.interval,
        "by seed": {str(seed): value for seed, value in found.values.items()},
        "not finite": list(found.without),
        "paper": printed,
        "paper std": getattr(printed, "std", None),
    }


def _difference(results: Sequence[Result], row: str, other: str, name: str) -> dict[str, Any] | None:
    ours, theirs = figure(results, row, name), figure(results, other, name)
    if ours is None or theirs is None or not (shared := ours.values.keys() & theirs.values.keys()):
        return None
    mean, low, high = paired_difference(dict(ours.values), dict(theirs.values))
    return {"n": len(shared), "mean": mean, "t interval": None if math.isnan(low) else (low, high)}
