"""Figures drawn from accuracies under corruption, against loops, closed forms and what papers print."""

import numpy as np
import pytest

from sparring.evaluation.corruption_error import (
    ALEXNET_CLEAN_ERROR,
    ALEXNET_ERROR,
    corruption_errors,
    mean_corruption_error,
    relative_mean_corruption_error,
)
from tests.reference.corruption_error import corruption_error

ALEXNET_PUBLISHED = {
    "gaussian_noise": 88.6, "shot_noise": 89.4, "impulse_noise": 92.3, "defocus_blur": 82.0, "glass_blur": 82.6,
    "motion_blur": 78.6, "zoom_blur": 79.8, "snow": 86.7, "frost": 82.7, "fog": 81.9, "brightness": 56.5,
    "contrast": 85.3, "elastic_transform": 64.6, "pixelate": 71.8, "jpeg_compression": 60.7,
}  # fmt: skip


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
