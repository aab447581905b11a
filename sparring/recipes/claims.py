"""What a paper claims of the rows of a table, judged by runs: holds, fails or undecided, with its interval."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from sparring.analysis import correlation
from sparring.evaluation import paired_difference

Runs = Iterable[Mapping[str, Any]]
"""Result files: each has `row`, `seed` and `results`."""


@dataclass(frozen=True)
class Claim:
    """Row `higher` lies above row `lower` in a measure; `words` say what that means, who claims it and where."""

    higher: str
    lower: str
    words: str
    measures: tuple[str, ...] = ()
    """Columns on which it is claimed, by their keys at the paper's size; none means every accuracy of the recipe."""

    def judge(self, results: Runs, measure: str) -> str:
        """One sentence: the verdict, and the mean difference over shared seeds with its 95 % t interval, accuracies in
        points.

        It holds if the interval lies above zero, fails if it lies below, and is undecided otherwise, with one seed too.
        """
        results = list(results)
        higher, lower = (of_row(results, row, measure) for row in (self.higher, self.lower))
        seeds = higher.keys() & lower.keys()
        if not seeds:
            return f"{measure}: not measured: {self.words}"
        accuracy = any("accuracy" in result["results"].get(measure, {}) for result in results)
        scale, unit, digits = (100, " points", 2) if accuracy else (1, "", 3)
        difference, low, high = (scale * value for value in paired_difference(higher, lower))
        if math.isnan(low):
            return f"{measure}: undecided ({difference:+.{digits}f}{unit}, one seed): {self.words}"
        verdict = "holds" if low > 0 else "fails" if high < 0 else "undecided"
        interval = f"{difference:+.{digits}f}{unit} [{low:+.{digits}f}, {high:+.{digits}f}], {len(seeds)} seeds"
        return f"{measure}: {verdict} ({interval}): {self.words}"


@dataclass(frozen=True)
class Trend:
    """Over the rows of a table, `x` goes with the measure: against it (falling) or along with it (rising)."""

    x: str
    words: str
    measures: tuple[str, ...]
    rising: bool = False

    def judge(self, results: Runs, measure: str) -> str:
        """One sentence: the verdict, and Spearman's rho over the rows' means with its 95 % interval.

        It holds if the whole interval has the claimed sign, fails if it has the other, and is undecided otherwise.
        """
        results = list(results)
        rows = list(dict.fromkeys(result["row"] for result in results))
        x, y = (
            {row: fmean(values.values()) for row in rows if (values := of_row(results, row, name))}
            for name in (self.x, measure)
        )
        shared = [row for row in rows if row in x and row in y and math.isfinite(x[row])]
        if len(shared) < 3 or len({x[row] for row in shared}) < 2 or len({y[row] for row in shared}) < 2:
            return f"{self.x} against {measure}: undecided (fewer than three rows that differ): {self.words}"
        found = correlation([x[row] for row in shared], [y[row] for row in shared])
        low, high = found.spearman_interval
        along, against = (low > 0, high < 0) if self.rising else (high < 0, low > 0)
        verdict = "holds" if along else "fails" if against else "undecided"
        words = f"Spearman's rho {found.spearman:+.2f} [{low:+.2f}, {high:+.2f}] over {found.n} rows"
        return f"{self.x} against {measure}: {verdict} ({words}): {self.words}"


def of_row(results: Runs, row: str, measure: str) -> dict[int, float]:
    """The measure's value by seed: an accuracy, or the value of something that is none."""
    values = {}
    for result in results:
        entry = result["results"].get(measure, {}) if result["row"] == row else {}
        value = entry.get("accuracy", entry.get("value"))
        if value is not None:
            values[result["seed"]] = value
    return values
