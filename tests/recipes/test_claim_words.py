"""Claims say what is judged, and on which figures."""

import re
from html import unescape
from pathlib import Path

import pytest

from sparring.recipes.aggregate import aggregate
from sparring.recipes.budgets import BUDGETS
from sparring.recipes.leaderboard import Group
from sparring.recipes.leaderboard_page import _group
from sparring.recipes.reproduce import find, recipes, table, verdicts

BUDGET = BUDGETS["short"].of("clae.depth")


def test_claims_are_worded_as_the_comparisons_that_are_judged():
    """No claim says how much, that nothing is better, or that more than its two rows or values differ."""
    unjudged = re.compile(
        r"\b(about|around|best|peaks?|far|few|a little|slightly|much|too|helps?|costs?|closes|both|over training)\b"
    )
    said = [(name, claim.words) for name, recipe in recipes().items() for claim in recipe.claims]
    assert not [each for each in said if unjudged.search(each[1])]
    named = {  # rows or values of a comparison of the ends, where the words once said "larger", "deeper" or "longer"
        "clae.batch": "SimCLR: batch 256 better than batch 64",
        "clae.depth": "SimCLR: ResNet-101 better than ResNet-18",
        "clae.epochs": "SimCLR+CLAE, eps 0.07: 500 epochs better than 100 epochs",
        "clae.alpha": "CLAE with weight 0.8 is better than with 2",
        "clae.attacks": "CLAE with FGSM is better than with PGD",
        "clae.table1": "CLAE of UEL is better at 0.03 than at 0.07",
        "ascl.figure3": "at the same natural accuracy Leaked is more robust than ADR (",
        "ascl.figure4": "an anchor has fewer negatives with Leaked than with Global selection",
        "ascl.table7": "VAT with weight 4 is more robust than with 3",
        "csl.table4": "a larger share is lost with frequency than with precision(N=100)",
    }
    for name, words in named.items():
        assert any(claim.startswith(words) for recipe, claim in said if recipe == name), name


def test_a_claim_is_judged_on_one_of_two_figures_of_one_training():
    """Best test epoch and last epoch are the same logistic regression: the paper's is judged, both stand in the table."""
    for name, recipe in recipes().items():
        measures = [measure for claim in recipe.claims for measure in claim.measures]
        assert not [measure for measure in measures if measure.endswith(", last epoch")], name
        if "logistic" in measures:
            assert {"logistic", "logistic, last epoch"} <= {column.key for column in recipe.columns}, name
    lines = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8").splitlines()
    [alpha] = [line for line in lines if line.startswith("| `clae.alpha` |")]
    assert sum(int(cell) for cell in alpha.split("|")[-4:-1]) == len(find("clae.alpha").claims) == 9


def measured(row, seed, accuracy):
    """Results of a logistic regression read at its best test epoch and at its last."""
    best = {"accuracy": accuracy, "protocol": "logistic v1, paper (best test epoch)", "selection": "best test epoch"}
    results = {"logistic": best, "logistic, last epoch": {"accuracy": accuracy - 0.01, "protocol": "logistic v1"}}
    return {"row": row, "seed": seed, "data": "some", "budget": BUDGET.label, "results": results}


def test_what_was_chosen_on_test_images_says_so_in_verdicts_captions_and_json():
    recipe = find("clae.depth")
    seen = [measured(row.name, seed, 0.4 + 0.01 * seed) for row in recipe.rows for seed in (0, 1)]
    lines = verdicts(recipe, BUDGET, seen)
    assert len(lines) == len(recipe.claims) and all(line.startswith("- logistic (best test epoch): ") for line in lines)
    (_, caption), (_, theirs) = recipe.drawings(seen, BUDGET)
    assert "logistic: logistic v1, paper (best test epoch)." in caption and "best test epoch" not in theirs
    figures = aggregate(recipe, BUDGET, seen, lines)["rows"][0]["figures"]
    assert figures["logistic"]["protocol"] == "logistic v1, paper (best test epoch)"
    assert figures["logistic, last epoch"]["protocol"] == "logistic v1"
    # figures that say nothing of a choice are called by their key
    for result in seen:
        del result["results"]["logistic"]["selection"], result["results"]["logistic"]["protocol"]
    assert verdicts(recipe, BUDGET, seen)[0].startswith("- logistic: ")
    assert "logistic:" not in recipe.drawings(seen, BUDGET)[0][1]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("clae.depth", "encoder wrn-10-1 for resnet18, wrn-16-1 for resnet50, wrn-22-1 for resnet101"),
        ("clae.batch", "batch size 16 for 64, 32 for 128, 64 for 256"),
        ("clae.epochs", "epochs 8 for 100, 16 for 200, 24 for 300, 32 for 400, 40 for 500"),
        ("clae.alpha", ""),  # rows have one encoder, batch size and number of epochs, which the label says
    ],
)
def test_what_stands_in_for_a_named_size_is_said_below_the_table_and_the_drawing(name, said):
    recipe, head = find(name), "rows and claims name the paper's sizes; what ran"
    for budget, expected in ((BUDGETS["short"].of(name), said), (BUDGETS["full"], "")):
        seen = [measured(row.name, 0, 0.4) | {"budget": budget.label, "environment": {}} for row in recipe.rows]
        lines = [line for line in table(recipe, budget, seen) if line.startswith(f"- {head}")]
        assert lines == ([f"- {head}: {expected}"] if expected else [])
        caption = recipe.drawings(seen, budget)[0][1]
        assert (f"x is the paper's; what ran: {expected}. One seed." in caption) == bool(expected)
        assert expected or "what ran" not in caption
        page = _group(0, Group(recipe, budget, "some", seen))
        assert (f"{head}: {expected}</li>" in unescape(page)) == bool(expected)
