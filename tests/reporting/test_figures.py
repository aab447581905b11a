from __future__ import annotations

import re

import numpy as np
import pytest

from sparring.reporting.figures import Bars, Series, bars, lines
from tests.reporting.document import words_in


def paths(svg: str) -> list[tuple[str, str]]:
    return re.findall(r'<path d="([^"]*)"[^>]* style="([^"]*)"', svg, re.DOTALL)


def test_equal_factors_are_equal_distances_and_zero_has_a_place():
    drawing = lines(
        [Series("a", [0, 1, 2, 8], [0.5, 0.5, 0.5, 0.5], "clean")],
        x="x",
        y="y",
        title="t",
        doubling=True,
        level=(0.1, "chance"),
    )
    line = next(d for d, style in paths(drawing) if "var(--clean)" in style)
    x = [float(point) for point in re.findall(r"[ML] ([\d.]+) ", line)]
    steps = np.diff(x)
    assert steps == pytest.approx([steps[0], steps[0], 2 * steps[0]], rel=1e-3)


def test_bars_are_as_high_as_their_values_with_whiskers_over_their_intervals():
    series = [
        Bars("clean", [0.8, 0.4, None], "clean", [0.6, 0.3, None], [0.9, 0.5, None], filled=False),
        Bars("attack", [0.4, 0.1, None], "adversarial", [0.3, 0.0, None], [0.5, 0.2, None]),
    ]
    svg = bars(["a", "b", "$c^"], series, y="accuracy", title="t", level=(0.1, "chance"))
    heights = []
    for d, style in paths(svg):
        y = [float(value) for value in re.findall(r"[ML] [-\d.]+ ([-\d.]+)", d)]
        if "var(--clean)" in style and len(y) >= 4 and "clip-path" in svg[svg.index(d) : svg.index(d) + len(d) + 80]:
            heights.append(max(y) - min(y))
    assert heights[:2] == pytest.approx([2 * heights[1], heights[1]], rel=1e-3)
    whiskers = [
        abs(float(b) - float(a))
        for a, b in re.findall(
            r'd="M [\d.]+ ([\d.]+)\s+L [\d.]+ ([\d.]+)\s*" clip-path="[^"]*" style="[^"]*currentColor', svg
        )
    ]
    unit = heights[0] / 0.8
    assert {round(value / unit, 2) for value in whiskers} >= {0.3, 0.2}
    assert {"a", "b", "$c^", "clean", "attack", "chance"} <= set(words_in(svg))


@pytest.mark.parametrize("kind", [{"integer_x": True}, {"doubling": True}, {}])
def test_a_single_point_has_its_own_number_on_the_axis(kind):
    series = [Series("a", [3], [0.5], "clean"), Series("b", [3], [0.25], "random")]
    axis = lines(series, x="epoch", y="y", title="t", **kind).partition('id="matplotlib.axis_2"')[0]
    assert [word for word in words_in(axis) if re.fullmatch(r"[-\d.]+", word)][:1] == ["3"]


def test_the_legend_stands_below_the_curves():
    at = np.arange(40).tolist()
    drawing = lines([Series(n, at, at, "clean") for n in ("a", "b")], x="epoch", y="y", title="t")
    label = max(float(y) for y in re.findall(r'<text[^>]* y="([\d.]+)"[^>]*>(?:a|b)</text>', drawing))
    axis = max(float(y) for y in re.findall(r'<text[^>]* y="([\d.]+)"[^>]*>epoch</text>', drawing))
    assert label > axis
