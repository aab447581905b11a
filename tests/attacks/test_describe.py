"""A threat model in one sentence."""

import pytest

from sparring.attacks import (
    FFGSM,
    FGSM,
    L1,
    L2,
    PGD,
    AutoAttack,
    Linf,
    MultiTargeted,
    RandomNoise,
    Untargeted,
    beyond_box,
    describe,
)

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
            PGD(Linf(8 / 255), step_size=2 / 255, start_std=0.001),
            None,
            "PGD, Linf, eps 8/255, 10 steps of 2/255, random start N(0, 0.001^2), clipped to [0, 1]",
        ),
        (
            PGD(L2(0.5), steps=1, random_start=False),
            None,
            "PGD, L2, eps 0.5, 1 step of 1.25, start at x, clipped to [0, 1]",
        ),
        (FFGSM(Linf(0.25 / 255)), None, "FFGSM, Linf, eps 0.25/255, step 0.3125/255, clipped to [0, 1]"),
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


PGD_5 = PGD(Linf(8 / 255), steps=5)
IN_WORDS = "PGD, Linf, eps 8/255, 5 steps of 4/255, random start, clipped to [0, 1]"


@pytest.mark.parametrize(
    ("attack", "sentence"),
    [
        (Untargeted(PGD_5), f"{IN_WORDS}, maximises cross-entropy"),
        (
            Untargeted(PGD_5, "margin", restarts=3),
            f"{IN_WORDS}, maximises the margin of the highest wrong logit, 3 restarts",
        ),
        (Untargeted(PGD_5, "dlr"), f"{IN_WORDS}, maximises DLR"),
        (Untargeted(RandomNoise(L2(1.0))), "RandomNoise, L2, eps 1, clipped to [0, 1]"),
        (
            MultiTargeted(PGD_5),
            f"multi-targeted {IN_WORDS}, towards every wrong class in turn, maximises the target's margin",
        ),
        (
            MultiTargeted(PGD_5, "dlr", targets=9),
            f"multi-targeted {IN_WORDS}, towards the 9 highest-scored wrong classes in turn, maximises targeted DLR",
        ),
        (
            MultiTargeted(PGD_5, "cross_entropy", targets=1),
            f"multi-targeted {IN_WORDS}, towards the highest-scored wrong class, maximises the target's log-probability",
        ),
        (
            AutoAttack(Linf(8 / 255), batch_size=10),
            "AutoAttack standard, Linf, eps 8/255, apgd-ce then apgd-t then fab-t then square, 100 iterations, 5000 queries, "
            "seed 0, clipped to [0, 1]",
        ),
        (
            AutoAttack(L2(0.5), seed=3, iterations=20),
            "members of AutoAttack, L2, eps 0.5, apgd-ce then apgd-t then fab-t then square, 20 iterations, 5000 queries, "
            "seed 3, clipped to [0, 1]",
        ),
        (
            AutoAttack(L2(0.5), members=("square",), queries=200),
            "members of AutoAttack, L2, eps 0.5, square, 200 queries, seed 0, clipped to [0, 1]",
        ),
        (
            AutoAttack(L2(0.5), members=("apgd-ce",)),
            "members of AutoAttack, L2, eps 0.5, apgd-ce, 100 iterations, seed 0, clipped to [0, 1]",
        ),
    ],
)
def test_says_what_an_attack_on_a_classifier_does(attack, sentence):
    assert describe(attack) == sentence


def test_normalised_units_on_a_classifier_too():
    words = "FGSM, Linf, eps 0.03 in normalised units (3.8/255 in pixels), not clipped, maximises cross-entropy"
    assert describe(Untargeted(FGSM(NORMALISED)), (0.5, 0.5)) == words


def test_a_ball_as_large_as_the_box_is_worth_a_sentence():
    for threat in (Linf(1.0), Linf(1.2, clip=False)):
        assert "every image in [0, 1] can be reached from every other" in beyond_box(threat)
    assert beyond_box(Linf(1.2)).startswith("Linf eps 306/255 is as large as the box (255/255): ")
    assert beyond_box(Linf(0.999)) is None
    for threat, small in ((L2(48**0.5), L2(6.9)), (L1(48.0), L1(47.9))):
        assert "can be reached" in beyond_box(threat, (3, 4, 4))
        assert beyond_box(small, (3, 4, 4)) is None
        assert beyond_box(threat) is None
    assert beyond_box(Linf(9.0, space="normalized")) is None
