"""The recipe's rows are what they say; results of its older self are read as before."""

from dataclasses import asdict
from pathlib import Path

from sparring.recipes.budgets import BUDGETS
from sparring.recipes.clae_random_start import RECIPE
from sparring.recipes.leaderboard import leaderboard

ROOT = Path(__file__).parent.parent.parent


def differences(one, other):
    flat = [
        {
            f"{group}.{key}": value
            for group, part in asdict(run).items()
            if isinstance(part, dict)
            for key, value in part.items()
        }
        for run in (one, other)
    ]
    return {key for key in flat[0] if flat[0][key] != flat[1][key]}


def test_rows_differ_in_nothing_but_what_their_names_say():
    rows = {row.name: row.run for row in RECIPE.rows}
    assert differences(rows["CLAE, FGSM"], rows["CLAE, random start"]) == {"attack.name"}
    for name in BUDGETS:
        budget = BUDGETS[name].of(RECIPE.name)
        scaled = [budget.scaled(run) for run in rows.values()]
        assert differences(scaled[1], scaled[2]) == {"attack.name", "attack.step_size"}
        assert all(key.startswith(("method.", "attack.")) for key in differences(*scaled[:2])), name


def test_the_full_budget_is_the_papers():
    run = BUDGETS["full"].of(RECIPE.name).scaled(RECIPE.row("CLAE, FGSM").run)
    assert (run.encoder.name, run.training.epochs, run.training.batch_size) == ("resnet18", 100, 256)
    assert (run.attack.eps, run.attack.space, run.attack.clip) == (0.03, "normalized", False)
    assert RECIPE.row("CLAE, FGSM").paper == {"knn_top1": 76.45, "lr_top1": 83.32}
    assert RECIPE.row("CLAE, random start").paper == {}


def test_results_of_the_older_script_are_still_a_table():
    text = leaderboard((ROOT / "results" / "clae-random-start").glob("*.json"))
    assert "**clae-random-start** on `cifar10-jpeg`" in text and "| CLAE, random start | 3 |" in text
