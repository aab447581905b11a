"""Claims about shares of the clean accuracy: who loses more of it under attack, and who more under corruptions.

Paper: Gupta et al. 2022 (003), who compare models of different clean accuracy by the relative drop
       d = 1 - accuracy / clean accuracy (`sparring.analysis.relative_drop`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from sparring.analysis import against_twin, relative_drop, slope_through_zero
from sparring.recipes.claims import Runs, of_row, verdict


@dataclass(frozen=True)
class Loses:
    """Row `more` loses a larger share of its clean accuracy than row `less`."""

    more: str
    less: str
    words: str
    measures: tuple[str, ...]
    clean: str = "clean"

    def judge(self, results: Runs, measure: str) -> str:
        """One sentence: the verdict, and d of `more` less d of `less` in points with its 95 % interval.

        Over training seeds it is Student's t, and one seed decides nothing. Weights that somebody gave have no seeds: the
        interval is then Newcombe's over the test images (`sparring.analysis.against_twin`).
        """
        results = list(results)
        values = [
            value
            for row in (self.more, self.less)
            for value in (clean_of(results, row, measure, self.clean), of_row(results, row, measure))
        ]
        seeds = set.intersection(*(set(value) for value in values))
        if not seeds:
            return f"{measure}: not measured: {self.words}"
        if any(value[seed] == 0 for value in values[::2] for seed in seeds):
            return f"{measure}: undecided (a model that is never right has nothing to lose): {self.words}"
        rows = [result for result in results if result["row"] in (self.more, self.less)]
        if len(seeds) == 1 and all("weights" in result for result in rows):
            return f"{measure}: {self._of_weights(rows, values, measure)}: {self.words}"
        own, own_attacked, other, other_attacked = values
        differences = {
            seed: 100
            * float(relative_drop(own[seed], own_attacked[seed]) - relative_drop(other[seed], other_attacked[seed]))
            for seed in seeds
        }
        return f"{measure}: {verdict(differences, unit=' points')}: {self.words}"

    def _of_weights(self, rows: list[Mapping[str, Any]], values: list[dict[int, float]], measure: str) -> str:
        own, own_attacked, other, other_attacked = (next(iter(value.values())) for value in values)
        images = min(result["results"][measure]["n"] for result in rows)
        try:
            found = against_twin(own, own_attacked, other, other_attacked, images=images)
        except ValueError as error:
            return f"undecided ({error})"
        assert found.interval is not None
        mean, (low, high) = 100 * found.difference.item(), (100 * found.interval[0]).tolist()
        word = "holds" if low > 0 else "fails" if high < 0 else "undecided"
        return f"{word} ({mean:+.2f} points [{low:+.2f}, {high:+.2f}] over {images:,} test images, one model each)"


@dataclass(frozen=True)
class Steeper:
    """Over many corruptions `row` loses `slope` times the share that `twin` loses, and the slope is above 1 (003, Fig. 2)."""

    row: str
    twin: str
    words: str
    over: tuple[str, ...]
    """Keys of the corruptions, each a column."""
    clean: str = "clean"

    @property
    def measures(self) -> tuple[str, ...]:
        """What it is told from."""
        return self.over[:1]

    def judge(self, results: Runs, measure: str) -> str:
        """One sentence: the verdict, and the slope with its 95 % interval over the corruptions (mean drops over seeds)."""
        results = list(results)
        drops = [drops_of(results, row, self.clean, self.over) for row in (self.twin, self.row)]
        shared = [key for key in self.over if all(key in drop for drop in drops)]
        if not shared:
            return f"slope of {self.row} over {self.twin}: not measured: {self.words}"
        try:
            found = slope_through_zero(*([drop[key] for key in shared] for drop in drops))
        except ValueError as error:
            return f"slope of {self.row} over {self.twin}: undecided ({error}): {self.words}"
        low, high = found.interval
        word = "holds" if low > 1 else "fails" if high < 1 else "undecided"
        said = f"{found.slope:.2f} [{low:.2f}, {high:.2f}] over {found.n} corruptions"
        return f"slope of {self.row} over {self.twin}: {word} ({said}): {self.words}"


def drops_of(results: Runs, row: str, clean: str, keys: Iterable[str]) -> dict[str, float]:
    """Relative drops of a row by key, of mean accuracies over its seeds; without those that were not measured."""
    results, drops = list(results), dict[str, float]()
    for key in keys:
        before, after = clean_of(results, row, key, clean), of_row(results, row, key)
        if after and before and fmean(before.values()):
            drops[key] = float(relative_drop(fmean(before.values()), fmean(after.values())))
    return drops


def clean_of(results: Runs, row: str, measure: str, clean: str = "clean") -> dict[int, float]:
    """By seed, the clean accuracy on the images of the measure; that of `clean` only where it was on as many."""
    found = {}
    for result in results:
        if result["row"] != row:
            continue
        entry, other = (result["results"].get(key, {}) for key in (measure, clean))
        if "clean_accuracy" in entry:
            found[result["seed"]] = entry["clean_accuracy"]
        elif "accuracy" in other and entry.get("n", other.get("n")) == other.get("n"):
            found[result["seed"]] = other["accuracy"]
    return found
