"""What a paper claims of two rows of a table, judged by paired runs: holds, fails or undecided, with its interval."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sparring.evaluation import paired_difference


@dataclass(frozen=True)
class Claim:
    """Row `better` has a higher accuracy than row `worse`; `words` say who claims it and where."""

    better: str
    worse: str
    words: str

    def judge(self, results: Iterable[dict[str, Any]], measure: str) -> str:
        """One sentence: the verdict, and the mean difference over shared seeds with its 95 % t interval, in points.

        It holds if the interval lies above zero, fails if it lies below, and is undecided otherwise, with one seed too.
        """
        runs: dict[str, dict[int, float]] = {self.better: {}, self.worse: {}}
        for result in results:
            if result["row"] in runs and "accuracy" in result["results"].get(measure, {}):
                runs[result["row"]][result["seed"]] = result["results"][measure]["accuracy"]
        better, worse = runs[self.better], runs[self.worse]
        seeds = better.keys() & worse.keys()
        if not seeds:
            return f"{measure}: not measured: {self.words}"
        difference, low, high = (100 * value for value in paired_difference(better, worse))
        if math.isnan(low):
            return f"{measure}: undecided ({difference:+.2f} points, one seed): {self.words}"
        verdict = "holds" if low > 0 else "fails" if high < 0 else "undecided"
        interval = f"{difference:+.2f} points [{low:+.2f}, {high:+.2f}], {len(seeds)} seeds"
        return f"{measure}: {verdict} ({interval}): {self.words}"
