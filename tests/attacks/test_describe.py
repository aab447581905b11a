"""A threat model in one sentence."""

import pytest

from sparring.attacks import FFGSM, FGSM, L1, L2, PGD, Linf, RandomNoise, describe

NORMALISED = Linf(0.03, space="normalized", clip=False)


@pytest.mark.parametrize(
    ("attack", "std", "sentence"),
    [
        (FGSM(NORMALISED), None, "FGSM, Linf, eps 0.03 in normalised units, not clipped"),
        (
            FGSM(NORMALISED),
            (0.5, 0.51),
            "FGSM, Linf, eps 0.03 in normalised units (3.8/255 to 3.9/255 in pixels), not clipped",
        ),
        (FGSM(NORMALISED), (0.5, 0.5), "FGSM, Linf, eps 0.03 in normalised units (3.8/255 in pixels), not clipped"),
        (
            PGD(Linf(8 / 255), steps=20, step_size=2 / 255, restarts=5),
            None,
            "PGD, Linf, eps 8/255, 20 steps of 2/255, random start, 5 restarts, clipped to [0, 1]",
        ),
        (
            PGD(L2(0.5), steps=1, random_start=False),
            None,
            "PGD, L2, eps 0.5, 1 step of 1.25, start at x, clipped to [0, 1]",
        ),
        (FFGSM(Linf(0.25 / 255)), None, "FFGSM, Linf, eps 0.25/255, step 0.31/255, clipped to [0, 1]"),
        (FGSM(L1(12.0)), None, "FGSM, L1, eps 12, steps move 0.01 of the coordinates, clipped to [0, 1]"),
        (
            RandomNoise(L2(1.0, space="normalized"), update_statistics=True),
            (0.2, 0.25),
            "RandomNoise, L2, eps 1 in normalised units (0.2 to 0.25 in pixels), clipped to [0, 1], running statistics updated",
        ),
    ],
)
def test_says_what_the_adversary_may_do(attack, std, sentence):
    assert describe(attack, std) == sentence
