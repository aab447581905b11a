"""Claims about one row at several points: R-DIV against robust accuracy over attack radii, or over training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from sparring.analysis import correlation
from sparring.evaluation.intervals import mean_correlation
from sparring.recipes.claims import FEWEST, Runs, verdict

POINTS = {"strengths": "radii", "epochs": "kept checkpoints"}


@dataclass(frozen=True)
class Along:
    """In one row robust accuracy falls where R-DIV rises, from attack radius to radius or from checkpoint to checkpoint."""

    row: str
    over: Literal["strengths", "epochs"]
    """Which curve of a result's `latent`."""
    words: str
    measures: tuple[str, ...] = ("r_div",)

    def judge(self, results: Runs, measure: str) -> str:
        """One sentence: the verdict, and Pearson's r over the points of a run, its mean over seeds with its 95 % interval
        (`mean_correlation`).

        It is Pearson's: attacks of growing radius put both measures in order with every seed, and a rho of -1 in all seeds
        is an interval of no width. The interval is that of training seeds; the points are those of one run, and no sample.
        """
        found, most = {}, 0
        for result in results:
            of = result.get("latent", {}).get(self.over, {}) if result["row"] == self.row else {}
            pairs = zip(of.get(measure, []), of.get("robust_accuracy", []), strict=True)
            known = [(x, y) for x, y in pairs if x is not None and math.isfinite(x)]
            most = max(most, len(known))
            if len(known) >= FEWEST and all(len(set(values)) > 1 for values in zip(*known, strict=True)):
                found[result["seed"]] = correlation(*zip(*known, strict=True)).pearson
        what = f"{self.row}, {measure} against robust accuracy over {POINTS[self.over]}"
        if not most:
            return f"{what}: not measured: {self.words}"
        if most < FEWEST:
            return f"{what}: undecided ({most} {POINTS[self.over]} have both figures, and a trend needs {FEWEST}): {self.words}"
        if not found:
            return f"{what}: undecided (one of them does not change): {self.words}"
        said = verdict(found, falling=True, interval=mean_correlation, before="Pearson's r ")
        return f"{what}: {said}: {self.words}"
