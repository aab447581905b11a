from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sparring.analysis import correlation

R_DIV = [0.64, 0.63, 0.49, 0.48]
ROBUST = [0.481, 0.515, 0.527, 0.537]
"""Of AT, ADR, ASCL and Leaked in ASCL's Fig. 6 (R-DIV) and Tables 2 and 4 (robust accuracy under PGD)."""


def test_equals_scipy():
    random = np.random.default_rng(0)
    for n in (5, 30):
        x = random.normal(size=n)
        y = np.round(x + random.normal(size=n), 1)
        found = correlation(x, y, confidence=0.9)
        pearson = stats.pearsonr(x, y)
        assert found.pearson == pytest.approx(pearson.statistic)
        assert found.pearson_interval == pytest.approx(tuple(pearson.confidence_interval(0.9)))
        assert found.spearman == pytest.approx(stats.spearmanr(x, y).statistic)
        assert (found.n, found.confidence) == (n, 0.9)


def test_the_interval_of_the_ranks_is_that_of_bonett_and_wright():
    found = correlation([1, 2, 3, 4, 5, 6, 7], [2, 1, 4, 3, 7, 5, 6])
    assert found.spearman == pytest.approx(1 - 6 * 10 / (7 * 48))
    half = 1.959964 * np.sqrt((1 + found.spearman**2 / 2) / 4)
    assert np.arctanh(found.spearman_interval) == pytest.approx(
        [np.arctanh(found.spearman) - half, np.arctanh(found.spearman) + half], rel=1e-6
    )


def test_the_interval_of_the_ranks_covers_as_often_as_it_says():
    random = np.random.default_rng(1)
    n, slope, covered = 12, 1.0, 0
    truth = 6 / np.pi * np.arcsin(slope / np.hypot(slope, 1) / 2)
    for _ in range(300):
        x = random.normal(size=n)
        found = correlation(x, slope * x + random.normal(size=n))
        low, high = found.spearman_interval
        covered += low <= truth <= high
        assert -1 <= low <= found.spearman <= high <= 1
    assert 0.92 <= covered / 300 <= 0.98


def test_four_models_in_perfect_order_prove_little():
    found = correlation(R_DIV, ROBUST)
    assert found.spearman == -1
    low, high = found.spearman_interval
    assert low == -1
    assert high > 0
    many = correlation(range(30), [-k for k in range(30)])
    assert many.spearman_interval[1] < -0.95


def test_three_points_say_nothing():
    found = correlation([1, 2, 3], [3, 2, 2.5])
    assert found.spearman == pytest.approx(-0.5)
    assert found.pearson_interval == found.spearman_interval == (-1, 1)


def test_neither_scale_nor_a_monotone_map_matters():
    y = np.array(ROBUST)
    assert correlation(1e-9 * np.array(R_DIV), 1e9 * y).pearson == pytest.approx(correlation(R_DIV, y).pearson)
    assert correlation(R_DIV, np.exp(30 * y)).spearman == correlation(R_DIV, y).spearman
    assert correlation([1, 2, 3, 4], [2, 4, 6, 8]).pearson_interval == (1, 1)


def test_bad_input_is_one_sentence():
    with pytest.raises(ValueError, match="two arrays of one length"):
        correlation(R_DIV, ROBUST[:3])
    with pytest.raises(ValueError, match="2 points: a correlation needs at least 3"):
        correlation([1, 2], [1, 2])
    with pytest.raises(ValueError, match=r"x is 0\.5 at every point"):
        correlation([0.5] * 4, ROBUST)
    with pytest.raises(ValueError, match="y has values that are not finite: nan"):
        correlation(R_DIV, [0.1, float("nan"), 0.2, 0.3])
    with pytest.raises(ValueError, match="confidence must lie strictly between 0 and 1, not 1"):
        correlation(R_DIV, ROBUST, confidence=1.0)
