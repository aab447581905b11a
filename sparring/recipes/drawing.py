"""Drawings of a recipe's page: its columns over a number, or a name, of each row, or against each other.

Every point is a mean over seeds with one standard deviation as its band. What the paper prints is a line of its own: beside ours
at the paper's size, in a drawing of its own at any other, whose figures lie elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from sparring.recipes.aggregate import figure, key, protocol_of
from sparring.recipes.budgets import Budget
from sparring.recipes.own_sizes import stand_ins
from sparring.recipes.recipe import Column, Row

if TYPE_CHECKING:
    from sparring.reporting.figures import Series

Results = Sequence[Mapping[str, Any]]
Drawings = list[tuple[str, str]]
COLORS = ("adversarial", "random", "third", "fourth", "fifth", "clean")
OURS, PAPERS = (0, 2, 4, 3, 5, 1), (1, 3, 5, 0, 2, 4)
"""Styles of `figures.STYLES`: of up to three lines the paper's are those of dashes and dots."""


@dataclass(frozen=True)
class Point:
    """A mean over seeds and its standard deviation (0 with one), or what a paper prints."""

    x: float | int
    y: float | int
    std: float | int
    seeds: int

    @staticmethod
    def of(x: float | int, values: Sequence[float | int]) -> Point:
        """Of the values of all seeds."""
        return Point(x, fmean(values), stdev(values) if len(values) > 1 else 0.0, len(values))


@dataclass(frozen=True)
class Curve:
    """One line."""

    name: str
    points: Sequence[Point]
    paper: bool = False


@dataclass(frozen=True)
class Axes:
    """What stands beside a drawing."""

    title: str
    x: str
    y: str
    percent: bool
    doubling: bool = False
    names: tuple[str, ...] | None = None
    joined: bool = True


@dataclass(frozen=True)
class OverRows:
    """Columns of a recipe against a number, or a name, of each row."""

    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    at: Mapping[str, tuple[str, float | int | str]]
    """By row: which line it is a point of, and at which x; names stand in their order."""
    axis: str
    what: Mapping[str, str] = field(default_factory=dict)
    """What a column is called, by its key."""
    doubling: bool = False
    joined: bool = True
    more: str = ""
    """What a reader must know of x, in the caption."""

    def __call__(self, results: Results, budget: Budget) -> Drawings:
        """A drawing, or ours and the paper's, for each column of which there is a figure."""
        return [drawing for column in self.columns for drawing in self._of(column, results, budget)]

    def _of(self, column: Column, results: Results, budget: Budget) -> Drawings:
        measure = key(column, budget)
        found = {row.name: one for row in self.rows if (one := figure(results, row.name, measure)) is not None}
        if not found:
            return []
        accuracy = next(iter(found.values())).accuracy
        scale = 100 if accuracy else 1
        ours = [(row, list(one.values.values())) for row, one in found.items()]
        theirs = [(row.name, row.paper[column.paper]) for row in self.rows if column.paper in row.paper]
        name = self.what.get(column.key, column.key)
        axes = Axes(
            f"{name} over {self.axis}",
            self.axis,
            "accuracy" if accuracy else name,
            accuracy,
            self.doubling,
            self._names,
            self.joined,
        )
        more = [self.more] if self.more else []
        more += [f"{measure}: {protocol}."] if (protocol := protocol_of(results, measure)) else []
        more += [f"x is the paper's; what ran: {others}."] if (others := stand_ins(budget, self.rows)) else []
        return ours_and_theirs(
            self._curves([(row, Point.of(self._place(row), values)) for row, values in ours], paper=False),
            self._curves(
                [
                    (row, Point(self._place(row), value / scale, getattr(value, "std", 0) / scale, 0))
                    for row, value in theirs
                ],
                paper=True,
            ),
            axes,
            " ".join(more),
            full=budget.name == "full",
        )

    @property
    def _names(self) -> tuple[str, ...] | None:
        where = dict.fromkeys(x for _, x in self.at.values())
        return tuple(map(str, where)) if any(isinstance(x, str) for x in where) else None

    def _place(self, row: str) -> float:
        x = self.at[row][1]
        return float(x if self._names is None else self._names.index(str(x)))

    def _curves(self, points: Sequence[tuple[str, Point]], *, paper: bool) -> list[Curve]:
        lines: dict[str, list[Point]] = {line: [] for line, _ in self.at.values()}
        for row, point in points:
            lines[self.at[row][0]].append(point)
        by_x = {name: sorted(points, key=lambda point: point.x) for name, points in lines.items() if points}
        return [Curve(name, points, paper) for name, points in by_x.items()]


@dataclass(frozen=True)
class AgainstColumn:
    """One column against another, a line for each of `lines`: its rows in their order."""

    lines: Mapping[str, tuple[str, ...]]
    x: Column
    y: Column
    what: Mapping[str, str]
    title: str
    points: str
    """What a line's points are, in the caption."""

    def __call__(self, results: Results, budget: Budget) -> Drawings:
        """The one drawing."""
        x, y = (key(column, budget) for column in (self.x, self.y))
        curves = []
        for name, rows in self.lines.items():
            both = [(figure(results, row, x), figure(results, row, y)) for row in rows]
            known = [Point.of(a.mean, list(b.values.values())) for a, b in both if a is not None and b is not None]
            curves += [Curve(name, known)] if known else []
        names = [self.what.get(column.key, column.key) for column in (self.x, self.y)]
        axes = Axes(self.title, *names, percent=True)
        return [drawn(curves, axes, f"{self.points} {spread(curves)}", percent_x=True)] if curves else []


@dataclass(frozen=True)
class Together:
    """Several kinds of drawings on one page."""

    parts: tuple[Callable[[Results, Budget], Drawings], ...]

    def __call__(self, results: Results, budget: Budget) -> Drawings:
        """Those of each part."""
        return [drawing for part in self.parts for drawing in part(results, budget)]


def ours_and_theirs(ours: list[Curve], theirs: list[Curve], axes: Axes, more: str, *, full: bool) -> Drawings:
    """One drawing of both at the paper's size, else one of each."""
    said = f"{more} {spread(ours)}".strip()
    if not theirs:
        return [drawn(ours, axes, said)]
    if full:
        return [drawn([*ours, *theirs], axes, f"{said} Dashes and dots: what the paper prints.")]
    beside = replace(axes, title=f"{axes.title}, paper")
    return [drawn(ours, axes, said), drawn(theirs, beside, "What the paper prints, with its ±, on an axis of its own.")]


def drawn(curves: Sequence[Curve], axes: Axes, caption: str, *, percent_x: bool = False) -> tuple[str, str]:
    """Curves as SVG, and their caption."""
    from sparring.reporting.figures import lines

    order = list(dict.fromkeys(curve.name for curve in curves))
    both = len({curve.paper for curve in curves}) > 1
    svg = lines(
        [series(curve, order.index(curve.name), axes, both=both) for curve in curves],
        x=axes.x,
        y=axes.y,
        title=axes.title,
        percent=axes.percent,
        percent_x=percent_x,
        doubling=axes.doubling,
        names=axes.names,
        columns=2,
    )
    return svg, caption


def series(curve: Curve, place: int, axes: Axes, *, both: bool) -> Series:
    """A line; of `both`, ours and the paper's in one drawing, only ours have bands."""
    from sparring.reporting.figures import Series

    points, marked = curve.points, curve.paper and both
    band = any(point.std for point in points) and not marked
    return Series(
        f"{curve.name}, paper" if marked else curve.name,
        [point.x for point in points],
        [point.y for point in points],
        COLORS[place % len(COLORS)],
        [point.y - point.std for point in points] if band else None,
        [point.y + point.std for point in points] if band else None,
        axes.joined,
        PAPERS[place % len(PAPERS)] if curve.paper else OURS[place % len(OURS)],
    )


def spread(curves: Sequence[Curve]) -> str:
    """How many seeds a point is the mean of, and what the band is."""
    said = over_seeds(point.seeds for curve in curves for point in curve.points)
    return said.replace(" seeds.", " seeds, one standard deviation on either side.")


def over_seeds(counts: Iterable[int]) -> str:
    """Means over 1 to 3 seeds."""
    known = sorted(set(counts))
    if known == [1]:
        return "One seed."
    return f"Means over {' to '.join(map(str, dict.fromkeys((known[0], known[-1]))))} seeds."
