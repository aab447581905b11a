"""What a paper claims of the rows of a table, judged by runs: holds, fails or undecided, with its interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from sparring.analysis import correlation, gap, trade_off
from sparring.evaluation.intervals import largest_rho, mean_correlation, mean_interval

Runs = Iterable[Mapping[str, Any]]
"""Result files: each has `row`, `seed` and `results`."""
FEWEST = 5
"""Rows that a trend needs: Spearman's rho of three or four takes few values, and often the same with every seed."""


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
        differences = {seed: higher[seed] - lower[seed] for seed in higher.keys() & lower.keys()}
        said = judged(results, differences, (self.higher, self.lower), measure)
        return f"{called(results, measure)}: {said}: {self.words}"


@dataclass(frozen=True)
class Trend:
    """Over the rows of a table, `x` goes with the measure: against it, or along with it (`rising`)."""

    x: str
    words: str
    measures: tuple[str, ...]
    rising: bool = False

    def judge(self, results: Runs, measure: str) -> str:
        """One sentence: the verdict, and Spearman's rho over the rows, its mean over seeds with its 95 % interval
        (`mean_correlation`).

        It holds if the whole interval has the claimed sign, fails if it has the other, and is undecided otherwise. The
        interval is that of training seeds: the rows are the table's, not a sample of all methods there might be.
        """
        results = list(results)
        rows = list(dict.fromkeys(result["row"] for result in results))
        x, y = ({row: of_row(results, row, name) for row in rows} for name in (self.x, measure))
        seeds = sorted({result["seed"] for result in results})
        used = {seed: [row for row in rows if seed in x[row] and seed in y[row]] for seed in seeds}
        most = max((len(shared) for shared in used.values()), default=0)
        if most < FEWEST:
            said = f"undecided ({most} rows have both figures, and a trend needs {FEWEST})"
            return f"{self.x} against {measure}: {said}: {self.words}"
        rho, over = {}, set()
        for seed, shared in used.items():
            points = [[values[row][seed] for row in shared] for values in (x, y)]
            if len(shared) >= FEWEST and all(len(set(values)) > 1 for values in points):
                rho[seed] = correlation(*points).spearman
                over.add(len(shared))
        if not rho:
            return f"{self.x} against {measure}: undecided (the rows do not differ): {self.words}"
        counted = "-".join(str(count) for count in dict.fromkeys((min(over), max(over))))
        without = [f"seed {seed} has {len(used[seed])} rows" for seed in seeds if len(used[seed]) < FEWEST]
        said = verdict(
            rho,
            falling=not self.rising,
            interval=partial(mean_correlation, most=largest_rho(min(over))),
            before="Spearman's rho ",
            unit=f" over {counted} rows",
            more=f"; left out: {', '.join(without)}" if without else "",
        )
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
        """One sentence: the verdict, and the mean change over seeds with its 95 % t interval, accuracies in points."""
        results = list(results)
        before, after = of_row(results, self.row, self.before), of_row(results, self.row, measure)
        changes = {seed: after[seed] - before[seed] for seed in before.keys() & after.keys()}
        said = judged(results, changes, (self.row,), measure, self.before, falling=self.falling)
        return f"{self.before} to {measure}: {said}: {self.words}"


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
        measured = {result["row"] for result in results}
        if measured.isdisjoint(self.ours) or measured.isdisjoint(self.other):
            return f"{measure}: not measured: {self.words}"
        seeds, above = sorted({result["seed"] for result in results}), {}
        for seed in seeds:
            points = []
            for rows in (self.ours, self.other):
                found = [[of_row(results, row, name) for name in (self.clean, measure)] for row in rows]
                both = [(clean[seed], robust[seed]) for clean, robust in found if seed in clean and seed in robust]
                points.append([[pair[k] for pair in both] for k in (0, 1)])
            fronts = [trade_off(*front) for front in points if front[0]]
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
        """One sentence: holds if it is so with every seed, else fails, with the checks that are not green; undecided where
        all that keeps it from holding are checks that were not made (absent or grey)."""
        found = [result["checks"] for result in results if result["row"] == self.row and "checks" in result]
        if not found:
            return f"{self.row}: not measured: {self.words}"
        colours = {
            name: {checks[name]["colour"] for checks in found if name in checks} for name in {*self.red}.union(*found)
        }
        wrong = [name for name in self.red or colours if colours[name] != {"red" if self.red else "green"}]
        loud = [
            f"{name} {'/'.join(sorted(of)) or 'not made'}" for name, of in sorted(colours.items()) if of != {"green"}
        ]
        unmade = all(colours[name] <= {"red" if self.red else "green", "grey"} for name in wrong)
        word = "holds" if not wrong else "undecided" if unmade else "fails"
        return f"{self.row}: {word} (not green: {', '.join(loud) or 'none'}): {self.words}"


def called(results: Runs, measure: str) -> str:
    """The measure's key, and by which epoch where that was chosen on test images: logistic (best test epoch)."""
    chosen = {result["results"].get(measure, {}).get("selection") for result in results} & {"best test epoch"}
    return f"{measure} ({chosen.pop()})" if chosen else measure


def judged(
    results: Runs, values: Mapping[int, float], rows: Iterable[str], *measures: str, falling: bool = False
) -> str:
    """`verdict` on differences of `measures`, accuracies in points, with the seeds named that have no finite figure."""
    results = list(results)
    without = {seed for row in rows for measure in measures for seed in not_finite(results, row, measure)}
    if not values:
        return f"undecided ({without_figure(without)})" if without else "not measured"
    accuracy = any("accuracy" in result["results"].get(measures[0], {}) for result in results)
    scale, unit, digits = (100, " points", 2) if accuracy else (1, "", 3)
    scaled = {seed: scale * value for seed, value in values.items()}
    more = f" of {len(values) + len(without)}; {without_figure(without)}" if without else ""
    return verdict(scaled, falling=falling, unit=unit, digits=digits, more=more)


def verdict(
    values: Mapping[int, float],
    *,
    falling: bool = False,
    interval: Callable[[Sequence[float]], tuple[float, float, float]] = mean_interval,
    before: str = "",
    unit: str = "",
    digits: int = 2,
    more: str = "",
) -> str:
    """holds, fails or undecided, with the mean of one value a seed and its 95 % `interval` in brackets, and `more`.

    It holds if the whole interval lies above zero (`falling`: below), fails if it lies on the other side. One seed decides
    nothing, nor do several that agree to the last digit: an interval of no width is luck, not knowledge.
    """
    mean, low, high = interval(list(values.values()))
    said = f"{before}{mean:+.{digits}f}{unit}"
    if math.isnan(low):
        return f"undecided ({said}, one seed{more})"
    if high - low < 1e-9:
        seeds = "both seeds" if len(values) == 2 else f"all {len(values)} seeds"
        return f"undecided ({said} in {seeds}{more}: nothing to judge their spread by)"
    right, wrong = (high < 0, low > 0) if falling else (low > 0, high < 0)
    word = "holds" if right else "fails" if wrong else "undecided"
    return f"{word} ({said} [{low:+.{digits}f}, {high:+.{digits}f}], {len(values)} seeds{more})"


def of_row(results: Runs, row: str, measure: str) -> dict[int, float]:
    """The measure's value by seed, where it is finite: an accuracy, or the value of something that is none."""
    return {seed: value for seed, value in _of_row(results, row, measure).items() if math.isfinite(value)}


def not_finite(results: Runs, row: str, measure: str) -> list[int]:
    """Seeds with which the measure is infinite or not a number, as R-DIV is where a representation has collapsed."""
    return sorted(seed for seed, value in _of_row(results, row, measure).items() if not math.isfinite(value))


def without_figure(seeds: Iterable[int]) -> str:
    """seed 1 is not finite."""
    named = sorted(seeds)
    return f"seed{'s' * (len(named) > 1)} {', '.join(map(str, named))} {'are' if len(named) > 1 else 'is'} not finite"


def _of_row(results: Runs, row: str, measure: str) -> dict[int, float]:
    values = {}
    for result in results:
        entry = result["results"].get(measure, {}) if result["row"] == row else {}
        value = entry.get("accuracy", entry.get("value"))
        if value is not None:
            values[result["seed"]] = float(value)
    return values
