"""Differences of differences: what gains more from a change, one pair of rows or another."""

from __future__ import annotations

from dataclasses import dataclass

from sparring.recipes.claims import Runs, called, judged, of_row


@dataclass(frozen=True)
class GainsMore:
    """The first row of `more` lies further above its second than the first of `less` above its second."""

    more: tuple[str, str]
    less: tuple[str, str]
    words: str
    measures: tuple[str, ...]

    def judge(self, results: Runs, measure: str) -> str:
        """One sentence: the verdict, and the mean over shared seeds of (a - b) - (c - d) with its 95 % t interval."""
        results, rows = list(results), (*self.more, *self.less)
        a, b, c, d = (of_row(results, row, measure) for row in rows)
        seeds = a.keys() & b.keys() & c.keys() & d.keys()
        differences = {seed: (a[seed] - b[seed]) - (c[seed] - d[seed]) for seed in seeds}
        return f"{called(results, measure)}: {judged(results, differences, rows, measure)}: {self.words}"
