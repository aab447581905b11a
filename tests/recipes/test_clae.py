"""Recipes of CLAE: what its rows train, at the paper's size and scaled down, and what a run's analysis becomes."""

import json
from dataclasses import replace

import pytest

from sparring.recipes import clae_attacks, clae_batch, clae_depth, clae_epochs, clae_figure3, clae_figure4, clae_table1
from sparring.recipes.budgets import BUDGETS, labelled
from sparring.recipes.cell import Cell
from sparring.recipes.clae_rows import BASES, SIMCLR, against, name_of
from sparring.recipes.keys import last_epochs, perturbations
from sparring.recipes.place import folder_of, place_of
from sparring.recipes.reproduce import find, reproduce

FULL, SHORT, SMOKE = (BUDGETS[name].of("clae.table1") for name in ("full", "short", "smoke"))


def place(folder):
    return place_of("digits", None, None, folder / "results", folder / "runs")


def test_table_1_at_the_papers_size_is_the_published_code():
    rows = {row.name: FULL.scaled(row.run) for row in clae_table1.CIFAR_10.rows}
    plain, simclr = rows["Plain+CLAE, eps 0.07"], rows["SimCLR+CLAE, eps 0.03"]
    assert (plain.method.name, plain.method.base, plain.method.alpha, plain.method.temperature) == (
        "clae", "plain", 1.0, 0.1)  # fmt: skip
    assert (plain.training.epochs, plain.training.batch_size, plain.optimizer.name, plain.optimizer.lr) == (
        301, 128, "sgd", 0.03)  # fmt: skip
    assert (simclr.training.epochs, simclr.training.batch_size, simclr.optimizer.name, simclr.optimizer.lr) == (
        100, 256, "adam", 3e-4)  # fmt: skip
    for run, eps in ((plain, 0.07), (simclr, 0.03)):
        assert (run.attack.name, run.attack.eps, run.attack.space, run.attack.clip) == (
            "fgsm",
            eps,
            "normalized",
            False,
        )
        assert (run.encoder.name, run.evaluation.logistic_epochs, run.evaluation.knn_k) == ("resnet18", 1000, 200)
    assert plain.encoder.std == [0.2023, 0.1994, 0.2010] and simclr.encoder.std == [0.5] * 3
    assert (plain.evaluation.logistic_features, simclr.evaluation.logistic_features) == ("z", "h")
    assert rows["SimCLR"].method.name == "simclr" and clae_table1.CIFAR_10.version == "paper"


def test_rows_of_table_1_differ_in_nothing_but_method_and_radius():
    for base, run in BASES.items():
        own, near, far = (FULL.scaled(against(run, eps)) for eps in (0.0, 0.03, 0.07))
        assert replace(near, attack=far.attack) == far and near.attack != far.attack
        assert replace(near, method=own.method, attack=own.attack, encoder=own.encoder) == own
        assert replace(near.encoder, adv_momentum=own.encoder.adv_momentum) == own.encoder, base


def test_figures_stand_in_the_rows_that_the_tables_print_them_in():
    assert find("clae.table1").row("SimCLR+CLAE, eps 0.07").paper == {"knn_top1": 76.7, "lr_top1": 83.13}
    assert find("clae.table1-tiny").row("Plain").paper == {"lr_top1": 31.71}
    assert find("clae.batch").row("SimCLR+CLAE, eps 0.03, batch 64").paper == {"lr_top1": 54.0}
    assert find("clae.tiny-depth").row("SimCLR+CLAE, eps 0.07, ResNet-50").paper == {"lr_top1": 43.68}
    assert find("clae.alpha").row("alpha 0").paper == {"lr_top1": 53.79}
    assert find("clae.eps").row("SimCLR+CLAE, eps 0.05").paper == {"knn_top1": 39.03, "lr_top1": 55.35}
    assert find("clae.tiny-lr-epochs").row("SimCLR, LR 1000 epochs").paper == {"lr_top1": 40.11}
    assert find("clae.imagenet100").row("SimCLR+CLAE, eps 0.03").paper == {"linear_top1": 62.4}


VARIED = ("batch", "tiny-batch", "depth", "tiny-depth", "epochs", "tiny-lr-epochs")
"""Recipes whose rows differ in what a size shrinks."""


@pytest.mark.parametrize("budget", [SHORT, SMOKE], ids=lambda budget: budget.name)
@pytest.mark.parametrize("name", VARIED)
def test_rows_that_differ_at_the_papers_size_differ_at_every_size(name, budget):
    rows = find(f"clae.{name}").rows
    assert len({str(budget.scaled(row.run)) for row in rows}) == len(rows)


def test_a_size_in_proportion_keeps_batches_epochs_depths_and_regressions_apart():
    def of(recipe, read):
        return [read(SHORT.scaled(row.run)) for row in recipe.rows if "CLAE" not in row.name]

    assert of(clae_batch.RECIPE, lambda run: run.training.batch_size) == [16, 32, 64]
    assert of(clae_batch.TINY, lambda run: run.training.batch_size) == [8, 16, 32]
    assert of(clae_epochs.RECIPE, lambda run: run.training.epochs) == [8, 16, 24, 32, 40]
    assert of(clae_epochs.LR_EPOCHS, lambda run: run.evaluation.logistic_epochs) == [20, 100]
    assert of(clae_depth.RECIPE, lambda run: run.encoder.name) == ["wrn-10-1", "wrn-16-1", "wrn-22-1"]
    assert of(clae_depth.TINY, lambda run: run.data.image_size) == [32, 32]
    plain, _, simclr = (SHORT.scaled(run) for run in BASES.values())
    assert plain.training.epochs == simclr.training.epochs == 8
    assert plain.optimizer.lr == pytest.approx(0.03 * 64 / 128)
    # another paper's sizes are as they were
    assert BUDGETS["short"].of("csl.table3") is BUDGETS["short"] and SHORT is not BUDGETS["short"]
    assert SHORT.of("clae.eps") == SHORT and labelled(SHORT.label) == SHORT
    assert replace(BUDGETS["short"], epochs=1).of("clae.eps").epochs == 1


def test_attacks_of_figure_7_have_the_works_settings():
    runs = {name: FULL.scaled(run) for name, run in clae_attacks.ATTACKS.items()}
    assert [run.attack.name for run in runs.values()] == ["fgsm", "rfgsm", "ffgsm", "pgd"]
    assert {run.attack.eps for run in runs.values()} == {0.03} and {run.attack.clip for run in runs.values()} == {False}
    pgd = runs["PGD"].attack
    assert (pgd.steps, pgd.step_size, pgd.random_start) == (10, pytest.approx(2.5 * 0.03 / 10), True)


def test_recipes_that_train_the_same_share_a_folder_whatever_they_call_it(tmp_path):
    where = place(tmp_path)
    rows = [
        find("clae.alpha").row("alpha 1"),
        find("clae.eps").row("SimCLR+CLAE, eps 0.03"),
        find("clae.attacks").row("FGSM"),
        find("clae.dim").row("SimCLR+CLAE, eps 0.03, dim 64"),
        find("clae.random-start").row("CLAE, FGSM"),
    ]
    folders = {folder_of(row, 0, SHORT, where) for row in rows}
    assert len(folders) == 1
    assert folder_of(rows[0], 1, SHORT, where) not in folders
    # one that an earlier version named after its row is found again
    (folder,) = folders
    old = folder.with_name(folder.name.replace("clae-", "simclr-plus-clae-", 1))
    old.mkdir(parents=True)
    assert folder_of(rows[1], 0, SHORT, where) == old


def analysis():
    return {
        "images": 64,
        "attack": {"words": "FGSM, Linf, eps 0.03 in normalised units", "space": "normalized"},
        "eps": [0.0, 0.03],
        "curves": {
            "adversarial": {"contrastive_loss": {"mean": [4.0, 5.0]}, "accuracy": {"mean": [0.6, 0.4]}},
            "random": {"contrastive_loss": {"mean": [4.0, 4.1]}, "accuracy": {"mean": [0.6, 0.59]}},
        },
        "batch_norm": [{"mean_gap": 0.1, "var_ratio": 0.5}, {"mean_gap": 0.3, "var_ratio": 8.0}],
    }


def test_what_perturbations_do_has_keys_by_kind_and_radius():
    found = perturbations(analysis())
    assert found["contrastive_loss adversarial 0.03"] == {
        "value": 5.0, "n": 64, "words": "contrastive loss of images under FGSM of radius 0.03 in normalised units"
    }  # fmt: skip
    assert found["accuracy random 0.03"]["accuracy"] == 0.59 and "value" not in found["accuracy random 0.03"]
    assert found["bn_mean_gap"]["value"] == pytest.approx(0.2)
    assert found["bn_var_ratio"]["value"] == pytest.approx(2.0)  # sqrt(0.5 * 8)
    assert "bn_mean_gap" not in perturbations(analysis() | {"batch_norm": []})


def test_the_last_epoch_stands_beside_the_best_test_epoch():
    entry = {
        "accuracy": 0.7,
        "last_epoch_accuracy": 0.65,
        "n_test": 9,
        "protocol": "logistic v1, paper (best test epoch)",
    }
    assert last_epochs({"logistic": entry, "knn": {"accuracy": 0.5}}) == {
        "logistic, last epoch": {"accuracy": 0.65, "n_test": 9, "protocol": "logistic v1"}
    }


def test_figures_3_and_4_run_and_share_what_they_train(tmp_path):
    where, row = place(tmp_path), name_of("SimCLR", 0.03)
    printed = reproduce(clae_figure3.RECIPE, BUDGETS["smoke"], rows=[row], seeds=[0], place=where, tell=lambda _: None)
    cell = Cell(clae_figure3.RECIPE, clae_figure3.RECIPE.row(row), 0, SMOKE, where)
    result = json.loads(cell.file.read_text())
    assert result["budget"] == SMOKE.label and SMOKE.label in printed
    losses = result["results"]
    clean = result["analysis"]["curves"]["adversarial"]["contrastive_loss"]["mean"][0]
    assert losses["contrastive_loss adversarial 0.1"]["value"] > losses["contrastive_loss random 0.1"]["value"]
    assert losses["contrastive_loss adversarial 0.1"]["value"] > clean
    assert "contrastive_loss random 0.1 to contrastive_loss adversarial 0.1: undecided (" in printed
    assert {"logistic", "logistic, last epoch", "knn", "bn_mean_gap"} <= losses.keys()
    assert losses["logistic, last epoch"]["accuracy"] <= losses["logistic"]["accuracy"]

    trained = (cell.run / "weights.safetensors").stat().st_mtime_ns
    reproduce(clae_figure4.RECIPE, BUDGETS["smoke"], rows=[row], seeds=[0], place=where, tell=lambda _: None)
    assert (cell.run / "weights.safetensors").stat().st_mtime_ns == trained
    assert len(list((tmp_path / "runs" / "smoke").iterdir())) == 1


def test_simclr_itself_is_the_row_without_an_adversary():
    assert against(SIMCLR, 0.0) is SIMCLR and name_of("UEL", 0) == "UEL"
