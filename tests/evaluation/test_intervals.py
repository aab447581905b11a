from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from sparring.evaluation import bootstrap_interval, mean_interval, paired_difference, wilson
from sparring.evaluation.intervals import BOOTSTRAP_COVERAGE, largest_rho, mean_correlation


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


def test_bootstrap_interval_is_the_quantile_of_all_resamples():
    """With three values all 27 resamples can be listed."""
    values = [0.2, 0.5, 0.6]
    means = np.sort([np.mean(each) for each in itertools.product(values, repeat=3)])
    low, high = bootstrap_interval(values, 0.8, resamples=200_000)
    assert low == pytest.approx(means[int(0.1 * 27)], abs=1e-9) and high == pytest.approx(
        means[int(0.9 * 27)], abs=1e-9
    )
    assert bootstrap_interval(values) == bootstrap_interval(values) == (pytest.approx(0.2), pytest.approx(0.6))
    many = np.random.default_rng(1).normal(0.5, 0.1, 200).tolist()
    expected = stats.bootstrap((many,), np.mean, method="percentile", rng=0).confidence_interval
    assert bootstrap_interval(many) == pytest.approx((expected.low, expected.high), abs=1e-3)
    assert all(map(math.isnan, bootstrap_interval([0.5])))
    with pytest.raises(ValueError, match="there are none to resample"):
        bootstrap_interval([])


@pytest.mark.parametrize("n", BOOTSTRAP_COVERAGE)
def test_a_bootstrap_over_few_seeds_covers_the_mean_as_rarely_as_is_said(n):
    """4,000 samples of normal values: their share is good to 0.008 (one standard deviation)."""
    samples = np.random.default_rng(n).normal(size=(4000, n))
    found = [bootstrap_interval(values.tolist(), resamples=2000) for values in samples]
    covered = np.mean([low <= 0 <= high for low, high in found])
    assert covered == pytest.approx(BOOTSTRAP_COVERAGE[n], abs=0.02)


def test_of_two_and_three_values_the_bootstrap_is_the_range():
    """Each end is one of n^n resamples, 1/4 or 1/27 of them, more than 1/40; of four 1/256. All n normal values lie on one side
    of their mean with probability 2^(1 - n)."""
    assert bootstrap_interval([1.0, 3.0]) == (1, 3) and bootstrap_interval([1.0, 2.0, 10.0]) == (1, 10)
    low, high = bootstrap_interval([1.0, 2.0, 3.0, 10.0])
    assert 1 < low < high < 10
    assert [BOOTSTRAP_COVERAGE[n] for n in (2, 3)] == [1 - 2 ** (1 - n) for n in (2, 3)]


def test_a_mean_correlation_is_students_t_of_fishers_z():
    values = [-0.9, -0.3, 0.2]
    z = np.arctanh(values)
    expected = [np.mean(z), *stats.t.interval(0.95, 2, loc=np.mean(z), scale=stats.sem(z))]
    assert mean_correlation(values) == pytest.approx(tuple(np.tanh(expected)), abs=1e-12)
    assert mean_correlation([-0.9, -0.3], confidence=0.8)[1:] == pytest.approx(
        tuple(np.tanh(stats.t.interval(0.8, 1, loc=np.mean(z[:2]), scale=stats.sem(z[:2])))), abs=1e-12
    )
    # 1 counts as `most`, on both sides
    assert mean_correlation([1.0, 0.5, -1.0], 0.95) == pytest.approx(mean_correlation([0.95, 0.5, -0.95]))
    assert mean_correlation([0.5])[0] == 0.5 and all(map(math.isnan, mean_correlation([0.5])[1:]))
    assert mean_correlation([-1.0, -1.0], 0.95) == (-1, -1, -1)
    rng = np.random.default_rng(0)
    for seeds in range(2, 6):
        for most in (0.95, 1 - 1e-6):
            mean, low, high = mean_correlation(rng.choice([-1.0, -0.9, 0.3, 1.0], seeds).tolist(), most)
            assert -1 <= low <= mean <= high <= 1


def test_a_rho_of_one_counts_as_halfway_from_the_next():
    for rows in (3, 4, 5, 6):
        found = {
            round(stats.spearmanr(range(rows), order).statistic, 9) for order in itertools.permutations(range(rows))
        }
        *_, second, first = sorted(found)
        assert first == 1 and largest_rho(rows) == pytest.approx((1 + second) / 2)


@pytest.mark.parametrize(("rows", "seeds"), [(5, 3), (12, 2), (12, 3)])
def test_the_interval_of_a_mean_rho_covers_it(rows, seeds):
    """Ranks of two noisy measures of the same rows, 2,000 times; 95 % are good to 0.005 (one standard deviation)."""
    rng, x = np.random.default_rng(rows), np.arange(rows) / rows

    def drawn(many):
        ranks = [(sign * x + 0.3 * rng.normal(size=(many, rows))).argsort(1).argsort(1) for sign in (1, -1)]
        return 1 - 6 * ((ranks[0] - ranks[1]) ** 2).sum(1) / (rows * (rows**2 - 1))

    true = drawn(50_000).mean()
    samples = [each.tolist() for each in drawn(2000 * seeds).reshape(2000, seeds) if len(set(each)) > 1]
    found = [mean_correlation(each, largest_rho(rows)) for each in samples]
    assert np.mean([low <= true <= high for _, low, high in found]) > 0.93
    assert -0.6 < true < -0.4
