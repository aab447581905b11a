"""What a paper claims of the rows of a table, judged by runs: holds, fails or undecided, with its interval."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sparring.analysis import correlation, gap, trade_off
from sparring.evaluation.intervals import mean_interval

Runs = Iterable[Mapping[str, Any]]
"""Result files: each has `row`, `seed` and `results`."""
FEWEST = 3
"""Rows that a trend needs."""


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
        differences = {seed: scale * (higher[seed] - lower[seed]) for seed in seeds}
        return f"{measure}: {verdict(differences, unit=unit, digits=digits)}: {self.words}"


@dataclass(frozen=True)
class Trend:
    """Over the rows of a table, `x` goes with the measure: against it, or along with it (`rising`)."""

    x: str
    words: str
    measures: tuple[str, ...]
    rising: bool = False

    def judge(self, results: Runs, measure: str) -> str:
        """One sentence: the verdict, and Spearman's rho over the rows, its mean over seeds with its 95 % t interval.

        It holds if the whole interval has the claimed sign, fails if it has the other, and is undecided otherwise. The
        interval is that of training seeds: the rows are the table's, not a sample of all methods there might be.
        """
        results = list(results)
        rows = list(dict.fromkeys(result["row"] for result in results))
        x, y = ({row: of_row(results, row, name) for row in rows} for name in (self.x, measure))
        rho = {}
        for seed in sorted({result["seed"] for result in results}):
            shared = [row for row in rows if seed in x[row] and seed in y[row] and math.isfinite(x[row][seed])]
            points = [[values[row][seed] for row in shared] for values in (x, y)]
            if len(shared) >= FEWEST and all(len(set(values)) > 1 for values in points):
                rho[seed] = correlation(*points).spearman
        if not rho:
            return f"{self.x} against {measure}: undecided (no seed with {FEWEST} rows that differ): {self.words}"
        said = verdict(rho, falling=not self.rising, before="Spearman's rho ", unit=f" over {len(rows)} rows")
        return f"{self.x} against {measure}: {said}: {self.words}"


@dataclass(frozen=True)
class Change:
    """In one row a measure moves from the value `before` to the value `after`, up or (`falling`) down."""

    row: str
    before: str
    after: str
    words: str
    falling: bool = False

    @property
    def measures(self) -> tuple[str, ...]:
        """The key at which it ends."""
        return (self.after,)

    def judge(self, results: Runs, measure: str) -> str:
        """One sentence: the verdict, and the mean change over seeds with its 95 % t interval."""
        results = list(results)
        before, after = of_row(results, self.row, self.before), of_row(results, self.row, measure)
        if not before.keys() & after.keys():
            return f"{self.before} to {measure}: not measured: {self.words}"
        changes = {seed: after[seed] - before[seed] for seed in before.keys() & after.keys()}
        return f"{self.before} to {measure}: {verdict(changes, falling=self.falling)}: {self.words}"


@dataclass(frozen=True)
class Above:
    """At the same clean accuracy the rows `ours` are more robust than the rows `other`, one row a training radius."""

    ours: tuple[str, ...]
    other: tuple[str, ...]
    words: str
    measures: tuple[str, ...]
    clean: str = "own"

    def judge(self, results: Runs, measure: str) -> str:
        """One sentence: the verdict, and how far the one trade-off front lies above the other, over seeds."""
        results = list(results)
        seeds, above = sorted({result["seed"] for result in results}), {}
        for seed in seeds:
            points = [
                [
                    [of_row(results, row, name)[seed] for row in rows if seed in of_row(results, row, name)]
                    for name in (self.clean, measure)
                ]
                for rows in (self.ours, self.other)
            ]
            fronts = [trade_off(*front) for front in points if front[0] and len(front[0]) == len(front[1])]
            with suppress(ValueError):  # the two fronts share no clean accuracy
                if len(fronts) == len(points):
                    above[seed] = 100 * gap(*fronts).mean
        if not above:
            return f"{measure}: undecided (no clean accuracy that both reach): {self.words}"
        return f"{measure}: {verdict(above, unit=' points')}: {self.words}"


@dataclass(frozen=True)
class Colours:
    """The trust checks of a row: those of `red` are red whatever the others are, or, if it names none, all are green."""

    row: str
    words: str
    red: tuple[str, ...] = ()
    measures: tuple[str, ...] = ("clean",)

    def judge(self, results: Runs, measure: str) -> str:
        """One sentence: holds if it is so with every seed, else fails, with the checks that are not green."""
        found = [result["checks"] for result in results if result["row"] == self.row and "checks" in result]
        if not found:
            return f"{self.row}: not measured: {self.words}"
        colours = {
            name: {checks[name]["colour"] for checks in found if name in checks} for name in {*found[0], *self.red}
        }
        wrong = [name for name in self.red or colours if colours[name] != {"red" if self.red else "green"}]
        loud = [f"{name} {'/'.join(sorted(of))}" for name, of in sorted(colours.items()) if of != {"green"}]
        return f"{self.row}: {'fails' if wrong else 'holds'} (not green: {', '.join(loud) or 'none'}): {self.words}"


def verdict(
    values: Mapping[int, float], *, falling: bool = False, before: str = "", unit: str = "", digits: int = 2
) -> str:
    """holds, fails or undecided, with the mean of one value a seed and its 95 % t interval in brackets.

    It holds if the whole interval lies above zero (`falling`: below), fails if it lies on the other side. One seed decides
    nothing, nor do two that agree to the last image: an interval of no width is luck, not knowledge.
    """
    mean, low, high = mean_interval(list(values.values()))
    said = f"{before}{mean:+.{digits}f}{unit}"
    if math.isnan(low):
        return f"undecided ({said}, one seed)"
    if high - low < 1e-9 and len(values) == 2:
        return f"undecided ({said} in both seeds: nothing to judge their spread by)"
    right, wrong = (high < 0, low > 0) if falling else (low > 0, high < 0)
    word = "holds" if right else "fails" if wrong else "undecided"
    return f"{word} ({said} [{low:+.{digits}f}, {high:+.{digits}f}], {len(values)} seeds)"


def of_row(results: Runs, row: str, measure: str) -> dict[int, float]:
    """The measure's value by seed: an accuracy, or the value of something that is none."""
    values = {}
    for result in results:
        entry = result["results"].get(measure, {}) if result["row"] == row else {}
        value = entry.get("accuracy", entry.get("value"))
        if value is not None:
            values[result["seed"]] = value
    return values
