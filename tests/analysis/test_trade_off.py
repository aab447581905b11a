from __future__ import annotations

import numpy as np
import pytest

from sparring.analysis import gap, trade_off

CLEAN = [0.80, 0.75, 0.74, 0.70, 0.75]
ROBUST = [0.40, 0.50, 0.45, 0.53, 0.48]


def test_only_the_undominated_stand_on_the_front():
    found = trade_off(CLEAN, ROBUST)
    assert found.front.tolist() == [3, 1, 0]
    assert found.clean.tolist() == [0.70, 0.75, 0.80]
    assert found.area == pytest.approx(0.70 * 0.53 + 0.05 * 0.50 + 0.05 * 0.40)


def test_front_and_area_equal_their_definitions():
    random = np.random.default_rng(0)
    clean, robust = np.round(random.random((2, 40)), 1)
    found = trade_off(clean, robust)
    for i in range(40):
        beaten = any(
            clean[j] >= clean[i] and robust[j] >= robust[i] and (clean[j] > clean[i] or robust[j] > robust[i])
            for j in range(40)
        )
        first = not any((clean[j], robust[j]) == (clean[i], robust[i]) for j in range(i))
        assert (i in found.front) == (not beaten and first)
    levels = (np.arange(10_000) + 0.5) / 10_000
    best = [max((robust[i] for i in range(40) if clean[i] >= level), default=0) for level in levels]
    assert found.area == pytest.approx(np.mean(best), abs=1e-4)


def test_perfect_and_useless():
    assert trade_off([1, 0.5], [1, 0.9]).area == 1
    assert trade_off([0], [1]).area == 0


def test_the_gap_at_equal_clean_accuracy():
    other = trade_off([0.6, 0.8], [0.5, 0.3])
    shifted = gap(trade_off([0.6, 0.7, 0.8], [0.55, 0.45, 0.35]), other)
    assert (shifted.mean, shifted.low, shifted.high) == pytest.approx((0.05, 0.05, 0.05))
    # a bend at 0.7: 0 above the line at the ends, 0.05 in the middle; the part beyond 0.8 is not compared
    bent = gap(trade_off([0.6, 0.7, 0.8, 0.9], [0.5, 0.45, 0.3, 0.1]), other)
    assert (bent.mean, bent.low, bent.high) == pytest.approx((0.025, 0, 0.05))
    assert bent.clean == (0.6, 0.8)
    # 0, 0.05, 0.05 at 0.6, 0.7, 0.8
    assert gap(trade_off([0.6, 0.7, 0.8], [0.5, 0.45, 0.35]), other).mean == pytest.approx(0.0375)
    back = gap(other, trade_off([0.6, 0.7, 0.8, 0.9], [0.5, 0.45, 0.3, 0.1]))
    assert back.mean == pytest.approx(-bent.mean)


def test_the_gap_of_one_model_is_read_off_the_other_line():
    found = gap(trade_off([0.7], [0.5]), trade_off([0.6, 0.8], [0.5, 0.3]))
    assert (found.mean, found.low, found.high, found.clean) == (
        pytest.approx(0.1),
        pytest.approx(0.1),
        pytest.approx(0.1),
        (0.7, 0.7),
    )


def test_bad_input_is_one_sentence():
    with pytest.raises(ValueError, match="clean has 2 accuracies, robust 1"):
        trade_off([0.5, 0.6], [0.4])
    with pytest.raises(ValueError, match=r"robust holds 48.1, but accuracies are fractions in \[0, 1\]"):
        trade_off([0.788], [48.1])
    with pytest.raises(ValueError, match="clean must be one accuracy a model"):
        trade_off([], [])
    with pytest.raises(ValueError, match=r"share no clean accuracy: 0.700 to 0.700 and 0.800 to 0.900"):
        gap(trade_off([0.7], [0.5]), trade_off([0.8, 0.9], [0.5, 0.4]))
