"""Figures drawn from accuracies under corruption, against loops, closed forms and what papers print."""

import math

import numpy as np
import pytest
import scipy.stats

from sparring.evaluation.corruption_error import (
    ALEXNET_CLEAN_ERROR,
    ALEXNET_ERROR,
    corruption_errors,
    corruption_slope,
    fit_through_origin,
    mean_corruption_error,
    relative_drop,
    relative_mean_corruption_error,
)
from tests.reference.corruption_error import corruption_error, slope_by_search

ALEXNET_PUBLISHED = {
    "gaussian_noise": 88.6, "shot_noise": 89.4, "impulse_noise": 92.3, "defocus_blur": 82.0, "glass_blur": 82.6,
    "motion_blur": 78.6, "zoom_blur": 79.8, "snow": 86.7, "frost": 82.7, "fog": 81.9, "brightness": 56.5,
    "contrast": 85.3, "elastic_transform": 64.6, "pixelate": 71.8, "jpeg_compression": 60.7,
}  # fmt: skip
# Gupta et al. (003), Table 6: top-1 accuracy at severity 1, the clean images first.
SUPERVISED = (76.7, 49.2, 59.7, 61.8, 72.9, 63.8, 64.9, 65.8, 65.4, 58.6, 64.6, 54.4, 52.9, 61.1, 60.2, 53.3)
SIMCLR = (68.9, 37.2, 51.5, 53.5, 64.0, 60.7, 57.1, 53.9, 54.1, 43.5, 52.4, 44.2, 34.8, 44.2, 52.0, 41.8)
SWAV = (75.3, 35.3, 60.4, 61.9, 71.7, 67.8, 65.8, 65.2, 61.1, 56.6, 62.6, 51.8, 47.9, 59.1, 58.4, 47.2)


def entry(clean, accuracy, severities=(1,), **more):
    return {"clean_accuracy": clean, "accuracy": accuracy, "severities": list(severities)} | {
        "table": "cifar", "seed": 0, "n": 100,
    } | more  # fmt: skip


def table_6(row):
    return entry(row[0] / 100, {f"c{k}": [value / 100] for k, value in enumerate(row[1:])})


def some_errors(seed=0):
    rng = np.random.default_rng(seed)
    return {name: sorted(rng.uniform(0.3, 1, 5).tolist()) for name in ALEXNET_ERROR}


class TestMeanCorruptionError:
    def test_alexnet_is_as_published(self):
        for name, percent in ALEXNET_PUBLISHED.items():
            assert 100 * sum(ALEXNET_ERROR[name]) / 5 == pytest.approx(percent, abs=0.051), name
        assert list(ALEXNET_ERROR) == list(ALEXNET_PUBLISHED)
        assert round(100 * ALEXNET_CLEAN_ERROR, 1) == 43.5

    def test_the_baseline_itself_has_one(self):
        assert mean_corruption_error(ALEXNET_ERROR) == pytest.approx(1)
        assert relative_mean_corruption_error(ALEXNET_ERROR, ALEXNET_CLEAN_ERROR) == pytest.approx(1)

    def test_half_the_errors_have_a_half(self):
        half = {name: [value / 2 for value in values] for name, values in ALEXNET_ERROR.items()}
        assert mean_corruption_error(half) == pytest.approx(0.5)

    @pytest.mark.parametrize("seed", range(3))
    def test_equals_the_loop(self, seed):
        error, baseline = some_errors(seed), some_errors(seed + 10)
        assert mean_corruption_error(error, baseline) == pytest.approx(corruption_error(error, baseline))
        relative = relative_mean_corruption_error(error, 0.2, baseline, 0.25)
        assert relative == pytest.approx(corruption_error(error, baseline, 0.2, 0.25))

    def test_errors_are_summed_over_severities_before_they_are_divided(self):
        error, baseline = {"fog": [0.1, 0.1, 0.1, 0.1, 0.6]}, {"fog": [0.1, 0.2, 0.2, 0.2, 0.3]}
        assert corruption_errors(error, baseline) == {"fog": pytest.approx(1.0)}

    def test_some_severities_meet_those_of_the_baseline(self):
        error = {"fog": [0.3, 0.5]}
        expected = 0.8 / (ALEXNET_ERROR["fog"][1] + ALEXNET_ERROR["fog"][4])
        assert mean_corruption_error(error, severities=(2, 5)) == pytest.approx(expected)

    @pytest.mark.parametrize(
        ("error", "options", "sentence"),
        [
            ({}, {}, "names no corruption"),
            ({"smoke": [0.1] * 5}, {}, "no corruption 'smoke'"),
            ({"fog": [0.1] * 4}, {}, "fog has 4 values for the 5 severities"),
            ({"fog": [0.1]}, {"severities": (6,)}, r"severities: \[6\], but the baseline has 1 to 5"),
            ({"fog": [10.0] * 5}, {}, r"errors are fractions in \[0, 1\]"),
            ({"fog": [0.1] * 5}, {"baseline": {"fog": [0.0] * 5}}, "its error under fog is no larger than without"),
        ],
    )
    def test_refusals(self, error, options, sentence):
        with pytest.raises(ValueError, match=sentence):
            mean_corruption_error(error, **options)


class TestRelativeDrop:
    def test_as_table_1_prints_it(self):
        assert round(100 * relative_drop(0.7671, 0.3820)) == 50
        assert round(100 * relative_drop(0.6895, 0.0024)) == 100

    def test_ends(self):
        assert relative_drop(0.8, 0.8) == 0
        assert relative_drop(0.8, 0.0) == 1
        assert relative_drop(0.5, 0.75) == -0.5

    @pytest.mark.parametrize(("clean", "corrupted"), [(0.0, 0.0), (80.0, 40.0), (0.5, -0.1), (math.nan, 0.5)])
    def test_refusals(self, clean, corrupted):
        with pytest.raises(ValueError, match="fractions in"):
            relative_drop(clean, corrupted)


class TestSlope:
    def test_an_exact_line(self):
        line = fit_through_origin([0.1, 0.2, 0.4], [0.15, 0.3, 0.6])
        assert line.slope == pytest.approx(1.5)
        assert line.standard_error == pytest.approx(0, abs=1e-12)
        assert line.r_squared == pytest.approx(1)
        assert line.points == 3

    @pytest.mark.parametrize("seed", range(3))
    def test_equals_search_and_the_textbook(self, seed):
        rng = np.random.default_rng(seed)
        x = rng.uniform(0, 1, 15)
        y = 1.3 * x + rng.normal(0, 0.1, 15)
        line = fit_through_origin(x.tolist(), y.tolist())
        assert line.slope == pytest.approx(slope_by_search(x, y), abs=1e-6)
        # Mirrored points have mean zero, so the ordinary line passes through the origin; it has 2 n - 2 degrees of freedom.
        mirrored = scipy.stats.linregress([*x, *-x], [*y, *-y])
        assert line.slope == pytest.approx(mirrored.slope)
        assert line.standard_error == pytest.approx(mirrored.stderr * math.sqrt((2 * 15 - 2) / (15 - 1)))
        assert line.r_squared == pytest.approx(1 - ((y - line.slope * x) ** 2).sum() / (15 * y.var()))

    def test_a_constant_may_fit_better(self):
        assert fit_through_origin([0.0, 1.0], [1.0, 0.0]).r_squared == -1

    def test_a_single_point_and_equal_points(self):
        line = fit_through_origin([0.2], [0.3])
        assert line.slope == pytest.approx(1.5) and math.isnan(line.standard_error) and math.isnan(line.r_squared)

    def test_figure_2_of_the_paper(self):
        """Both self-supervised models lose more than the supervised one, and SwAV less than SimCLR (003, section 4.1)."""
        simclr = corruption_slope(table_6(SIMCLR), table_6(SUPERVISED))
        swav = corruption_slope(table_6(SWAV), table_6(SUPERVISED))
        assert simclr.slope > swav.slope > 1
        x = [1 - v / SUPERVISED[0] for v in SUPERVISED[1:]]
        for line, row in ((simclr, SIMCLR), (swav, SWAV)):
            assert line.slope == pytest.approx(slope_by_search(x, [1 - v / row[0] for v in row[1:]]), abs=1e-6)
            assert line.points == 15

    def test_a_model_against_itself(self):
        assert corruption_slope(table_6(SWAV), table_6(SWAV)).slope == pytest.approx(1)

    def test_a_point_of_each_corruption_and_severity(self):
        ours = entry(0.8, {"fog": [0.4, 0.2], "snow": [0.6, 0.0]}, (2, 5))
        theirs = entry(0.5, {"snow": [0.4, 0.1], "fog": [0.3, 0.1]}, (2, 5))
        x, y = [0.4, 0.8, 0.2, 0.8], [0.5, 0.75, 0.25, 1.0]
        both = corruption_slope(ours, theirs, severities=(2, 5))
        assert both.slope == pytest.approx(slope_by_search(x, y), abs=1e-6) and both.points == 4
        last = corruption_slope(ours, theirs, severities=(5,))
        assert last.slope == pytest.approx(slope_by_search([0.8, 0.8], [0.75, 1.0]), abs=1e-6)

    def test_refusals(self):
        ours, theirs = entry(0.8, {"fog": [0.4]}), entry(0.5, {"fog": [0.3]})
        with pytest.raises(ValueError, match="table differs between the two models: 'cifar' and 'imagenet'"):
            corruption_slope(ours, theirs | {"table": "imagenet"})
        with pytest.raises(ValueError, match="n differs between the two models: 100 and 50"):
            corruption_slope(ours, theirs | {"n": 50})
        with pytest.raises(ValueError, match="only one has snow"):
            corruption_slope(ours, entry(0.5, {"fog": [0.3], "snow": [0.3]}))
        with pytest.raises(ValueError, match=r"severities: 3 was not measured, only \[1\]"):
            corruption_slope(ours, theirs, severities=(3,))
        with pytest.raises(ValueError, match="severities: there are none"):
            corruption_slope(ours, theirs, severities=())
        with pytest.raises(ValueError, match="clean_accuracy: it is not known"):
            corruption_slope(ours | {"clean_accuracy": None}, theirs)
        with pytest.raises(ValueError, match="the reference drops by nothing"):
            corruption_slope(ours, entry(0.5, {"fog": [0.5]}))
        with pytest.raises(ValueError, match="as many points, one at least, not 1 and 2"):
            fit_through_origin([0.1], [0.1, 0.2])
