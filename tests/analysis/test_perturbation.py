from __future__ import annotations

import numpy as np
import pytest
import torch

from sparring.analysis import against_eps


def test_every_measure_sees_the_same_perturbed_images():
    batches = [torch.full((2, 1, 1, 1), value) for value in (1.0, 2.0, 4.0)]
    calls = []

    def shift(radius):
        def perturb(number, images):
            calls.append((radius, number))
            return images + radius

        return perturb

    curves = against_eps(
        batches,
        [0.0, 0.5, 2.0],
        {"up": shift, "down": lambda radius: lambda number, images: images - radius},
        {
            "squared": lambda number, x, x_adv: (x_adv - x).square().mean().item(),
            "product": lambda number, x, x_adv: (number + 1) * x_adv.mean().item(),
        },
    )
    np.testing.assert_allclose(curves["up"]["squared"], [[0] * 3, [0.25] * 3, [4.0] * 3])
    expected = [[(n + 1) * (x - e) for n, x in enumerate((1, 2, 4))] for e in (0, 0.5, 2)]
    np.testing.assert_allclose(curves["down"]["product"], expected)
    assert calls == [(e, n) for e in (0.5, 2.0) for n in range(3)]  # none at radius 0, one for both measures


def test_bad_input_is_one_sentence():
    with pytest.raises(ValueError, match="at least one batch"):
        against_eps([], [0.1], {}, {})
    with pytest.raises(ValueError, match=r"must not be negative: -0\.1"):
        against_eps([torch.zeros(1, 1, 1, 1)], [-0.1], {}, {})
