"""No recipe has a claim that stays undecided whatever its rows and seeds give."""

import random
from dataclasses import replace

import pytest

from sparring.recipes.along import Along
from sparring.recipes.budgets import BUDGETS
from sparring.recipes.claims import Trend
from sparring.recipes.judgements import verdict_of
from sparring.recipes.reproduce import find, recipes

DRAWS = 400


def keys_of(recipe, budget):
    """All that the recipe shows or claims something about."""
    named = {column.key for column in recipe.columns}
    for claim in recipe.claims:
        named |= {*claim.measures, *getattr(claim, "keys", ()), getattr(claim, "clean", "own")}
        named |= {getattr(claim, name) for name in ("x", "before", "after") if hasattr(claim, name)}
        named |= set(claim.over) if isinstance(getattr(claim, "over", None), tuple) else set()
    return sorted(budget.attack(key) for key in named)


def points_of(recipe, budget):
    """How many radii and kept checkpoints a look into the latent space has, where a claim asks for them."""
    if not any(isinstance(claim, Along) for claim in recipe.claims):
        return {}
    training = budget.scaled(recipe.rows[0].run).training
    kept = -(-training.epochs // training.checkpoint_every) if recipe.latent.epochs else 0
    return {"strengths": len(budget.latent(recipe.latent).radii), "epochs": kept}


def curves_of(points, rng):
    """A look into the latent space with so many points."""

    def curve(n):
        robust = [rng.random() for _ in range(n)]
        return {"robust_accuracy": robust, "r_div": [1 - value + rng.gauss(0, 0.1) for value in robust]}

    return {"latent": {name: curve(n) for name, n in points.items()}}


def drawn(recipe, keys, points, rng):
    """Results of every row and seed: a height of each row and key, in every second draw one that goes with the row's alone."""
    together, results = rng.random() < 0.5, []
    made = {"any", *(name for claim in recipe.claims for name in getattr(claim, "red", ()))}
    checks = {name: {"colour": "green"} for name in made}
    signs = {key: rng.choice((-1, 1)) for key in keys}
    for row in recipe.rows:
        own = rng.random()
        heights = {
            key: 0.1 + 0.8 * (own if signs[key] > 0 else 1 - own) if together else 0.1 + 0.8 * rng.random()
            for key in keys
        }
        for seed in range(1 if row.given is not None else recipe.seeds):
            entries = {
                key: {"accuracy": max(0.01, height + rng.gauss(0, 0.03)), "n": 1000, "clean_accuracy": 0.99}
                for key, height in heights.items()
            }
            about = {"row": row.name, "seed": seed, "results": entries, "checks": checks}
            about |= {"weights": {}} if row.given is not None else curves_of(points, rng)
            results.append(about)
    return results


def undecidable(recipe, size, draws=DRAWS):
    """The claims that no draw decides."""
    budget, rng = BUDGETS[size].of(recipe.name), random.Random(recipe.name)
    keys, points = keys_of(recipe, budget), points_of(recipe, budget)
    open_claims = [(claim, budget.attack(key)) for claim in recipe.claims for key in claim.measures or keys]
    for _ in range(draws):
        if not open_claims:
            return []
        results = drawn(recipe, keys, points, rng)
        open_claims = [
            (claim, measure)
            for claim, measure in open_claims
            if verdict_of(f"- {claim.judge(results, measure)}") not in ("holds", "fails")
        ]
    return [claim.judge(results, measure) for claim, measure in open_claims]


@pytest.mark.parametrize("size", ["full", "short"])
def test_every_claim_can_be_decided(size):
    assert {name: left for name, recipe in recipes().items() if (left := undecidable(recipe, size))} == {}


def test_one_that_cannot_be_decided_is_found():
    four = find("ascl.table4")
    trend = Trend("r_div", "somebody", ("pgd-250",))
    [said] = undecidable(replace(four, claims=(trend,)), "short", draws=9)
    assert "undecided (4 rows have both figures, and a trend needs 5)" in said
    few = replace(find("ascl.figure9"), claims=(Along("ASCL-Leaked", "strengths", "somebody"),))
    [said] = undecidable(few, "full", draws=9)
    assert "undecided (2 radii have both figures, and a trend needs 5)" in said
