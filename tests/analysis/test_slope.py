"""The slope of Fig. 2 of paper 003, from its Table 6."""

import math

import numpy as np
import pytest

from sparring.analysis import relative_drop, slope_through_zero
from tests.reference import susceptibility as reference

# paper 003, Table 6 (ImageNet-C, severity 1): impulse, shot, Gaussian, brightness, contrast, pixelate, elastic, JPEG,
# defocus, motion, glass, zoom, fog, frost, snow
CLEAN = {"supervised": 76.7, "simclr": 68.9, "swav": 75.3}
CORRUPTED = {
    "supervised": [49.2, 59.7, 61.8, 72.9, 63.8, 64.9, 65.8, 65.4, 58.6, 64.6, 54.4, 52.9, 61.1, 60.2, 53.3],
    "simclr": [37.2, 51.5, 53.5, 64.0, 60.7, 57.1, 53.9, 54.1, 43.5, 52.4, 44.2, 34.8, 44.2, 52.0, 41.8],
    "swav": [35.3, 60.4, 61.9, 71.7, 67.8, 65.8, 65.2, 61.1, 56.6, 62.6, 51.8, 47.9, 59.1, 58.4, 47.2],
}
DROPS = {name: relative_drop(CLEAN[name] / 100, np.array(row) / 100) for name, row in CORRUPTED.items()}


@pytest.mark.parametrize(("name", "slope"), [("simclr", 1.333), ("swav", 1.126)])
def test_both_self_supervised_models_are_more_sensitive(name, slope):
    found = slope_through_zero(DROPS["supervised"], DROPS[name])
    assert found.slope == pytest.approx(slope, abs=5e-4)
    assert found.slope == pytest.approx(reference.slope(DROPS["supervised"], DROPS[name]), abs=1e-6)
    assert found.interval[0] > 1 and found.n == 15


def test_interval_agrees_with_statsmodels_formula_written_as_a_loop():
    x, y = [0.1, 0.2, 0.4], [0.12, 0.19, 0.5]
    found = slope_through_zero(x, y)
    m = reference.slope(x, y)
    variance = sum((b - m * a) ** 2 for a, b in zip(x, y, strict=True)) / 2
    half = 4.302653 * math.sqrt(variance / sum(a * a for a in x))  # t of 2 degrees of freedom, 97.5 %
    assert found.interval == pytest.approx((m - half, m + half), abs=1e-5)
    assert found.residual == pytest.approx(math.sqrt(variance))


def test_intervals_cover_the_true_slope():
    rng, inside = np.random.default_rng(0), 0
    x = np.linspace(0.05, 0.5, 8)
    for _ in range(400):
        low, high = slope_through_zero(x, 1.3 * x + rng.normal(0, 0.05, 8), confidence=0.9).interval
        inside += low <= 1.3 <= high
    assert 0.86 <= inside / 400 <= 0.94


def test_a_line_is_found_exactly_and_one_point_has_no_spread():
    assert slope_through_zero([0.1, 0.2], [0.2, 0.4]).interval == pytest.approx((2, 2))
    one = slope_through_zero([0.1], [0.3])
    assert one.slope == pytest.approx(3) and math.isnan(one.interval[0]) and math.isnan(one.residual)


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        ([0.1], [0.1, 0.2], "supervised has 1 drops, drop 2"),
        ([], [], "one drop a corruption"),
        ([0.0, 0.0], [0.1, 0.2], "0 everywhere"),
        ([0.1, math.nan], [0.1, 0.2], "not finite"),
    ],
)
def test_mistakes_are_one_sentence(x, y, words):
    with pytest.raises(ValueError, match=words):
        slope_through_zero(x, y)


def test_confidence_must_be_one():
    with pytest.raises(ValueError, match="confidence"):
        slope_through_zero([0.1], [0.1], confidence=2.0)
