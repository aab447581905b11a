"""Verdicts worked out by hand."""

import json
import math

import pytest

from sparring.config import RunConfig
from sparring.recipes.aggregate import aggregate, words_of
from sparring.recipes.along import Along
from sparring.recipes.budgets import BUDGETS
from sparring.recipes.claims import Above, Change, Claim, Trend
from sparring.recipes.gains import GainsMore
from sparring.recipes.recipe import Column, Recipe, Row
from sparring.recipes.reproduce import table

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
        # differences 10, 12 and 14 points: mean 12, s 2, half width 4.303 * 2 / sqrt(3) = 4.968
        ([0.50, 0.53, 0.56], [0.40, 0.41, 0.42], "holds (+12.00 points [+7.03, +16.97], 3 seeds)"),
        ([0.40, 0.41, 0.42], [0.50, 0.53, 0.56], "fails (-12.00 points [-16.97, -7.03], 3 seeds)"),
        (
            [0.50, 0.51, 0.52],
            [0.40, 0.41, 0.42],
            "undecided (+10.00 points in all 3 seeds: nothing to judge their spread by)",
        ),
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


def divergences(**rows):
    """Results of r_div and pgd by row, a pair a seed."""
    return [
        {
            "row": row,
            "seed": seed,
            "data": "some",
            "budget": "some",
            "results": {"r_div": {"value": r_div}, "pgd": {"accuracy": pgd}},
        }
        for row, pairs in rows.items()
        for seed, (r_div, pgd) in enumerate(pairs)
    ]


NAN = math.nan
LOWER = Claim("a", "b", "why", ("r_div",))


def test_seeds_without_a_finite_value_are_left_out_and_named():
    seen = divergences(a=[(3, 0.1), (NAN, 0.1), (5, 0.1)], b=[(1, 0.1), (1, 0.1), (1, 0.1)])
    # differences 2 and 4: mean 3, s sqrt(2), t_1 = 12.706, half width 12.706
    assert LOWER.judge(seen, "r_div") == (
        "r_div: undecided (+3.000 [-9.706, +15.706], 2 seeds of 3; seed 1 is not finite): why"
    )
    assert Claim("b", "a", "why").judge(seen, "pgd").startswith("pgd: undecided (+0.00 points in all 3 seeds: ")
    for value in (NAN, math.inf, -math.inf):
        two = divergences(a=[(value, 0.1), (value, 0.1), (5, 0.1)], b=[(1, 0.1), (1, 0.1), (1, 0.1)])
        assert "(+4.000, one seed of 3; seeds 0, 1 are not finite)" in LOWER.judge(two, "r_div")
    none = divergences(a=[(NAN, 0.1)], b=[(1, 0.1)])
    assert LOWER.judge(none, "r_div") == "r_div: undecided (seed 0 is not finite): why"


def test_a_table_counts_the_seeds_of_a_figure_that_is_not_finite_everywhere():
    seen = divergences(a=[(3, 0.1), (NAN, 0.2), (5, 0.1)], b=[(NAN, 0.1), (NAN, 0.1), (math.inf, 0.1)])
    recipe = Recipe("some", "some", "somebody", (Row("a", RunConfig()), Row("b", RunConfig())), (Column("r_div"),))
    assert words_of(seen, "a", "r_div") == "4.00 ± 1.41 [3.00, 5.00] (2 of 3 seeds; seed 1 is not finite)"
    assert words_of(seen, "b", "r_div") == "seeds 0, 1, 2 are not finite" and words_of(seen, "c", "r_div") == "-"
    lines = "\n".join(table(recipe, BUDGETS["short"], seen))
    assert "| a | 3 | 4.00 ± 1.41 [3.00, 5.00] (2 of 3 seeds; seed 1 is not finite) |" in lines
    assert "| b | 3 | seeds 0, 1, 2 are not finite |" in lines
    read = json.loads(json.dumps(aggregate(recipe, BUDGETS["short"], seen, []), allow_nan=False))
    assert read["rows"][0]["figures"]["r_div"]["not finite"] == [1]


def test_a_change_of_an_accuracy_is_in_points():
    def seen(name):
        return [
            {"row": "a", "seed": seed, "results": {"clean": {name: 0.5}, "noisy": {name: 0.4 + seed / 1000}}}
            for seed in range(3)
        ]

    falls = Change("a", "clean", "noisy", "why", falling=True)
    # -10, -9.9 and -9.8 points: s 0.1, half width 0.248
    assert falls.judge(seen("accuracy"), "noisy") == (
        "clean to noisy: holds (-9.90 points [-10.15, -9.65], 3 seeds): why"
    )
    assert falls.judge(seen("value"), "noisy") == "clean to noisy: holds (-0.099 [-0.101, -0.097], 3 seeds): why"


TREND = Trend("r_div", "why", ("pgd",))


def line(*pgd, r_div=None):
    """A row a value: r_div rises from row to row, pgd is as given, with every seed a list."""
    xs = r_div or range(len(pgd[0]))
    return divergences(**{f"row {k}": [(x, each[k]) for each in pgd] for k, x in enumerate(xs)})


def test_a_trend_over_few_rows_is_undecided():
    falling = [0.9, 0.8, 0.7, 0.6]
    said = TREND.judge(line(falling, falling, falling), "pgd")
    assert said == "r_div against pgd: undecided (4 rows have both figures, and a trend needs 5): why"
    seen = line([0.9, 0.8, 0.7, 0.6, 0.5], [0.9, 0.8, 0.7, 0.5, 0.6], r_div=[0, 1, 2, 3, NAN])
    assert "undecided (4 rows have both figures" in TREND.judge(seen, "pgd")


def test_a_trend_counts_the_rows_it_used():
    orders = [[0.9, 0.8, 0.7, 0.6, 0.5], [0.9, 0.8, 0.7, 0.5, 0.6], [0.8, 0.9, 0.7, 0.6, 0.5]]
    more = divergences(without=[(NAN, 0.1)] * 3)
    # rho -1, -0.9 and -0.9 over the five rows that have both; -1 counts as -0.95, halfway to the next. Fisher's z: -1.832,
    # -1.472 and -1.472, mean -1.592, s 0.208, half width 4.303 * 0.208 / sqrt(3) = 0.516
    assert TREND.judge(line(*orders) + more, "pgd") == (
        "r_div against pgd: holds (Spearman's rho -0.92 over 5 rows [-0.97, -0.79], 3 seeds): why"
    )
    short = divergences(**{f"row {k}": [(k, 0.9 - k / 10)] for k in range(3)})
    for result in short:
        result["seed"] = 3
    assert "3 seeds; left out: seed 3 has 3 rows)" in TREND.judge(line(*orders) + short, "pgd")
    assert "over 5-6 rows" in TREND.judge(line(*orders) + divergences(more=[(7, 0.1)]), "pgd")


def test_a_trend_that_agrees_to_the_last_digit_is_undecided():
    falling = [0.9, 0.8, 0.7, 0.6, 0.5]
    said = TREND.judge(line(falling, falling, falling), "pgd")
    assert "undecided (Spearman's rho -1.00 over 5 rows in all 3 seeds: nothing to judge their spread by)" in said
    assert "undecided (the rows do not differ)" in TREND.judge(line([0.5] * 5), "pgd")


def test_a_trade_off_takes_rows_with_both_figures():
    seen = [
        {"row": f"{who} {k}", "seed": seed, "results": {"own": {"accuracy": clean}, "pgd": {"accuracy": robust}}}
        for who, above in (("ours", 0.1), ("theirs", 0.0))
        for k, (clean, robust) in enumerate([(0.8, 0.2), (0.7, 0.3), (0.6, 0.4)])
        for seed, robust in enumerate([robust + above, robust + above + 0.01 * (above > 0)])
    ]
    claim = Above(tuple(f"ours {k}" for k in range(3)), tuple(f"theirs {k}" for k in range(3)), "why", ("pgd",))
    before = claim.judge(seen, "pgd")
    assert before.startswith("pgd: holds (+10.50 points [") or "undecided (+10.50 points" in before
    # a row with a clean figure alone and one with a robust figure alone make no point of the front
    lame = [
        {"row": "theirs 3", "seed": 0, "results": {"own": {"accuracy": 0.75}}},
        {"row": "theirs 4", "seed": 0, "results": {"pgd": {"accuracy": 0.9}}},
    ]
    wider = Above(claim.ours, (*claim.other, "theirs 3", "theirs 4"), "why", ("pgd",))
    assert wider.judge(seen + lame, "pgd") == before


def test_who_gains_more_is_a_difference_of_differences():
    gains = {"deep with": [0.60, 0.61, 0.62], "deep": [0.50] * 3, "flat with": [0.45, 0.46, 0.45], "flat": [0.40] * 3}
    seen = [
        {"row": row, "seed": seed, "results": {"lr": {"accuracy": value}}}
        for row, values in gains.items()
        for seed, value in enumerate(values)
    ]
    claim = GainsMore(("deep with", "deep"), ("flat with", "flat"), "why", ("lr",))
    # 10 - 5, 11 - 6 and 12 - 5 points: mean 5.667, s 1.155, half width 2.868
    assert claim.judge(seen, "lr") == "lr: holds (+5.67 points [+2.80, +8.54], 3 seeds): why"
    assert claim.judge(seen[:-3], "lr") == "lr: not measured: why"


def along(*curves):
    """One result a seed, with R-DIV and robust accuracy over radii."""
    named = [dict(zip(("r_div", "robust_accuracy"), curve, strict=True)) for curve in curves]
    return [{"row": "a", "seed": seed, "results": {}, "latent": {"strengths": of}} for seed, of in enumerate(named)]


ALONG = Along("a", "strengths", "why")
RADII = "a, r_div against robust accuracy over radii"


def test_a_relation_within_runs_is_pearsons_over_seeds():
    x, far, farther = [0, 1, 2, 3, 4], [4, 3, 2, 1, -1], [4, 3, 2, 1, -2]
    # Pearson's r of x with far: covariance -12, deviations sqrt(10) and sqrt(14.8): -12 / sqrt(148) = -0.9864; with farther:
    # -14 / sqrt(10 * 21.2) = -0.9615. Fisher's z: -2.493 and -1.966, mean -2.230, half width 12.706 * 0.264 = 3.350
    said = ALONG.judge(along((x, far), (x, farther)), "r_div")
    assert said == f"{RADII}: undecided (Pearson's r -0.98 [-1.00, +0.81], 2 seeds): why"
    # with three: s 0.304, half width 4.303 * 0.304 / sqrt(3) = 0.756 about -2.318
    said = ALONG.judge(along((x, far), (x, farther), (x, far)), "r_div")
    assert said == f"{RADII}: holds (Pearson's r -0.98 [-1.00, -0.92], 3 seeds): why"
    rising = ALONG.judge(along((x, [0, 1, 2, 3, 5]), (x, [0, 1, 2, 3, 6]), (x, [0, 1, 2, 3, 5])), "r_div")
    assert rising.startswith(f"{RADII}: fails (Pearson's r +0.98 [")
    assert "undecided (Pearson's r -1.00, one seed)" in ALONG.judge(along((x, [4, 3, 2, 1, 0])), "r_div")


def test_a_relation_within_runs_needs_points_that_differ():
    few = along(([0, 1, 2, None, NAN], [4, 3, 2, 1, 0]), ([0, 1, 2, 3, None], [4, 3, 2, 1, 0]))
    assert ALONG.judge(few, "r_div") == f"{RADII}: undecided (4 radii have both figures, and a trend needs 5): why"
    flat = along(([1] * 5, [4, 3, 2, 1, 0]))
    assert ALONG.judge(flat, "r_div") == f"{RADII}: undecided (one of them does not change): why"
    assert ALONG.judge([], "r_div") == f"{RADII}: not measured: why"
    left_out = [{"row": "a", "seed": 0, "results": {}, "latent": {"epochs": {"left_out": "why not"}}}]
    assert Along("a", "epochs", "why").judge(left_out, "r_div").endswith("kept checkpoints: not measured: why")
