"""Verdicts worked out by hand."""

import pytest

from sparring.recipes.claims import Claim

CLAIM = Claim("new", "old", "new beats old (somebody)")


def results(new, old):
    return [
        {"row": row, "seed": seed, "results": {"knn": {"accuracy": value}}}
        for row, values in (("new", new), ("old", old), ("other", [0.9]))
        for seed, value in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("new", "old", "verdict"),
    [
        ([0.50, 0.51, 0.52], [0.40, 0.41, 0.42], "holds (+10.00 points [+10.00, +10.00], 3 seeds)"),
        ([0.40, 0.41, 0.42], [0.50, 0.51, 0.52], "fails (-10.00 points [-10.00, -10.00], 3 seeds)"),
        # differences 2, 0 and 1 points: mean 1, s 1, t_2 = 4.303, half width 4.303 / sqrt(3) = 2.484
        ([0.42, 0.40, 0.41], [0.40, 0.40, 0.40], "undecided (+1.00 points [-1.48, +3.48], 3 seeds)"),
        ([0.42], [0.40], "undecided (+2.00 points, one seed)"),
        ([0.28, 0.22], [0.26, 0.20], "undecided (+2.00 points in both seeds: nothing to judge their spread by)"),
    ],
)
def test_a_claim_is_judged_by_its_paired_interval(new, old, verdict):
    assert CLAIM.judge(results(new, old), "knn") == f"knn: {verdict}: new beats old (somebody)"


def test_what_was_not_measured_is_not_judged():
    assert CLAIM.judge(results([0.5], []), "knn") == "knn: not measured: new beats old (somebody)"
    assert CLAIM.judge(results([0.5], [0.4]), "logistic").startswith("logistic: not measured")
