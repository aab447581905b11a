from __future__ import annotations

import math

import pytest
from scipy import stats

from sparring.evaluation import mean_interval, paired_difference, wilson


@pytest.mark.parametrize(("correct", "n"), [(0, 10), (3, 10), (10, 10), (512, 1000), (1, 1)])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_wilson_equals_scipy(correct, n, confidence):
    expected = stats.binomtest(correct, n).proportion_ci(confidence, method="wilson")
    assert wilson(correct, n, confidence) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_mean_interval_equals_scipy():
    values = [0.61, 0.64, 0.6, 0.66]
    mean, low, high = mean_interval(values)
    assert mean == pytest.approx(0.6275)
    assert (low, high) == pytest.approx(stats.t.interval(0.95, 3, loc=mean, scale=stats.sem(values)))


def test_one_seed_tells_nothing_of_the_spread():
    mean, low, high = mean_interval([0.5])
    assert mean == 0.5
    assert math.isnan(low) and math.isnan(high)


def test_paired_difference_uses_shared_seeds_only():
    row, other = {0: 0.60, 1: 0.70, 2: 0.65, 9: 0.0}, {0: 0.58, 1: 0.69, 2: 0.62, 7: 1.0}
    difference, low, high = paired_difference(row, other)
    expected = stats.ttest_rel([0.60, 0.70, 0.65], [0.58, 0.69, 0.62])
    assert difference == pytest.approx(0.02)
    assert (low, high) == pytest.approx(tuple(expected.confidence_interval(0.95)))


def test_bad_input_is_one_sentence():
    with pytest.raises(ValueError, match="correct=3, n=2"):
        wilson(3, 2)
    with pytest.raises(ValueError, match="confidence must lie"):
        wilson(1, 2, 1.0)
    with pytest.raises(ValueError, match="share no seed"):
        paired_difference({0: 1.0}, {1: 1.0})
    with pytest.raises(ValueError, match="none to average"):
        mean_interval([])
