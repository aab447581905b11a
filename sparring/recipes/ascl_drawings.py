"""What ASCL's Figs. 2, 5 and 6 draw: R-DIV and robust accuracy over radii and epochs, and pairs of absolute divergences."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from sparring.recipes.aggregate import figure
from sparring.recipes.budgets import Budget
from sparring.recipes.drawing import Axes, Curve, Drawings, Point, Results, drawn, spread
from sparring.recipes.recipe import Row


@dataclass(frozen=True)
class OverPoints:
    """R-DIV and robust accuracy of each row over the attack radii, or over the checkpoints, that its result's `latent` holds."""

    rows: tuple[str, ...]
    over: Literal["strengths", "epochs"]
    figures: str
    """Which of the paper's."""

    def __call__(self, results: Results, _budget: Budget) -> Drawings:
        """R-DIV, and robust accuracy."""
        axis = "attack radius (Linf, in 255ths)" if self.over == "strengths" else "epoch"
        at = "eps" if self.over == "strengths" else "epoch"
        scale = 255 if self.over == "strengths" else 1
        of = {row: points_of(results, row, self.over, at) for row in self.rows}
        of = {row: points for row, points in of.items() if points}
        if not of:
            return []
        words = next(r["latent"]["divergence"]["adversarial"]["words"] for r in results if r["row"] in of)
        found, when = [], "attack strengths" if self.over == "strengths" else "training"
        for index, (name, y) in enumerate((("R-DIV", "R-DIV"), ("Robust accuracy", "accuracy"))):
            curves = [
                Curve(row, [Point.of(scale * x, [pair[index] for pair in by]) for x, by in points.items()])
                for row, points in of.items()
            ]
            axes = Axes(f"{name} over {when}", axis, y, percent=index == 1)
            found.append(drawn(curves, axes, f"{self.figures}. {words}{MORE[self.over]}. {spread(curves)}"))
        return found


MORE = {"strengths": ", and so at the other radii", "epochs": ", on every kept checkpoint that all seeds have"}


@dataclass(frozen=True)
class Related:
    """R-DIV of each row against its robust accuracy, at every attack radius."""

    rows: tuple[str, ...]
    figures: str
    """Which of the paper's."""

    def __call__(self, results: Results, _budget: Budget) -> Drawings:
        """The one drawing."""
        of = {row: points_of(results, row, "strengths", "eps") for row in self.rows}
        curves = [
            Curve(row, [Point.of(fmean(y for _, y in by), [x for x, _ in by]) for by in points.values()])
            for row, points in of.items()
            if points
        ]
        if not curves:
            return []
        axes = Axes("R-DIV against robust accuracy", "robust accuracy", "R-DIV", percent=False)
        said = f"{self.figures}. A point for each attack radius, joined in their order. {spread(curves)}"
        return [drawn(curves, axes, said, percent_x=True)]


@dataclass(frozen=True)
class Pairs:
    """Absolute divergences of each row, intra- and inter-class with adversarial images among the members, as bars, with R-DIV
    and robust accuracy below."""

    rows: tuple[Row, ...]
    figures: str
    """Which of the paper's."""

    def __call__(self, results: Results, budget: Budget) -> Drawings:
        """The one drawing."""
        from sparring.reporting.latent_figures import distances

        robust, known = budget.attack("pgd-250"), {}
        for row in self.rows:
            intra, inter = (figure(results, row.name, key) for key in ("intra_adv", "inter_adv"))
            if intra is not None and inter is not None:
                known[below(row, results, robust)] = (intra, inter)
        if not known:
            return []
        svg = distances(
            list(known),
            [intra.mean for intra, _ in known.values()],
            [inter.mean for _, inter in known.values()],
            [(intra.std or 0.0, inter.std or 0.0) for intra, inter in known.values()],
            title="Absolute divergences",
        )
        attack = next(r["results"]["r_div"]["words"] for r in results if "r_div" in r["results"])
        bars = [Curve(name, [Point.of(0, list(bar.values.values())) for bar in pair]) for name, pair in known.items()]
        return [(svg, f"{self.figures}. {attack}; robust accuracy: {robust}. {spread(bars)}")]


def below(row: Row, results: Results, robust: str) -> str:
    """What stands below a pair of bars: whose it is, R-DIV, the paper's, robust accuracy."""
    lines = [row.name.replace(", ", "\n")]
    r_div, accuracy = (figure(results, row.name, key) for key in ("r_div", robust))
    lines += [] if r_div is None else [f"R-DIV {r_div.mean:.2f}"]
    lines += [f"(paper {row.paper['r_div_adv']:.2f})"] if "r_div_adv" in row.paper else []
    lines += [] if accuracy is None else [f"{100 * accuracy.mean:.1f} % robust"]
    return "\n".join(lines)


def points_of(results: Results, row: str, over: str, at: str) -> dict[float, list[tuple[float, float]]]:
    """R-DIV and robust accuracy of each seed by x, where every seed has both."""
    runs = [result["latent"][over] for result in results if result["row"] == row and "latent" in result]
    runs = [
        {
            x: (float(r_div), float(robust))
            for x, r_div, robust in zip(of[at], of["r_div"], of["robust_accuracy"], strict=True)
            if r_div is not None and math.isfinite(r_div)
        }
        for of in runs
        if at in of
    ]
    shared = sorted(set.intersection(*(set(run) for run in runs))) if runs else []
    return {x: [run[x] for run in runs] for x in shared}
