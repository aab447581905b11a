"""Learning rates against closed forms."""

import math

import pytest

from sparring.training import learning_rate

PLAIN = {"schedule": "step", "lr": 0.03, "epochs": 301, "milestones": [120, 160, 200], "factors": [0.1, 0.05, 0.01]}


@pytest.mark.parametrize(
    ("epoch", "rate"),
    [
        (0.0, 0.03),
        (119.99, 0.03),
        (120.0, 0.003),
        (159.5, 0.003),
        (160.0, 0.0015),
        (199.0, 0.0015),
        (200.0, 0.0003),
        (300.0, 0.0003),
    ],
)
def test_step_takes_factors_of_the_base_rate(epoch, rate):
    assert learning_rate(epoch, **PLAIN) == pytest.approx(rate, rel=1e-12)


@pytest.mark.parametrize("epoch", [0.0, 0.5, 99.0])
def test_constant_stays(epoch):
    assert learning_rate(epoch, schedule="constant", lr=3e-4, epochs=100) == 3e-4


def test_cosine_falls_from_the_rate_to_a_thousandth_of_it():
    rates = [learning_rate(e, schedule="cosine", lr=2.0, epochs=8) for e in (0.0, 2.0, 4.0, 6.0, 8.0)]
    half = (2.0 + 0.002) / 2
    amplitude = (2.0 - 0.002) / 2
    expected = [2.0, half + amplitude / math.sqrt(2), half, half - amplitude / math.sqrt(2), 0.002]
    assert rates == pytest.approx(expected, rel=1e-12)


def test_warm_up_is_linear_and_meets_the_cosine():
    def rate(epoch):
        return learning_rate(epoch, schedule="cosine", lr=1.0, epochs=110, warmup_epochs=10)

    assert rate(0.0) == pytest.approx(0.001)
    assert rate(5.0) == pytest.approx((0.001 + 1) / 2)
    assert rate(10.0) == pytest.approx(1.0)
    assert rate(10 - 1e-9) == pytest.approx(rate(10.0), rel=1e-6)
    assert rate(60.0) == pytest.approx((1 + 0.001) / 2)
