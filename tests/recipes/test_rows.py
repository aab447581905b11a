"""Rows of all recipes at all sizes: no two are one model, sizes say what they are, and claims say what they are about."""

import json
import pickle
from collections import Counter
from pathlib import Path

import pytest
import yaml

from sparring.config import DataConfig
from sparring.evaluation.intervals import BOOTSTRAP_COVERAGE
from sparring.recipes import paper
from sparring.recipes.budgets import BUDGETS, brought, labelled
from sparring.recipes.cell import configured
from sparring.recipes.contents import CONTENTS
from sparring.recipes.keys import counts
from sparring.recipes.leaderboard_page import _theirs
from sparring.recipes.paper import Printed, as_printed
from sparring.recipes.place import place_of
from sparring.recipes.recipe import Column
from sparring.recipes.relative import behind, behind_printed
from sparring.recipes.reproduce import find, recipes, table

SHORT = BUDGETS["short"]
RESULTS = Path(__file__).parents[2] / "results"


def trained(recipe):
    """The rows that are trained; those of `trust` it makes itself, and weights that somebody gave are no row's own."""
    return [] if recipe.make is not None else [row for row in recipe.rows if row.given is None]


@pytest.mark.parametrize("size", BUDGETS)
def test_no_two_rows_of_a_recipe_are_one_model(size):
    for name, recipe in recipes().items():
        budget = BUDGETS[size].of(name)
        models = Counter(f"{budget.scaled(row.run)} {row.classifier}" for row in trained(recipe))
        assert not [model for model, rows in models.items() if rows > 1], name


def test_encoders_of_ascl_keep_apart():
    def encoders(name, size):
        budget = BUDGETS[size].of(name)
        return {row.name: budget.scaled(row.run).encoder.name for row in find(name).rows}

    for size in ("short", "smoke"):
        wide = encoders("ascl.table6", size)
        assert wide["ADV, WRN-34-10"] == "wrn-16-1" and wide["ADV, ResNet-18"] == "wrn-10-1"
        assert encoders("ascl.table3", size)["TRADES, WRN-34-10"] == "wrn-16-1"
        drawn = encoders("ascl.figure2", size)
        assert drawn["AT, CNN"] == "cnn" and drawn["AT, ResNet-20"] == "wrn-10-1"
        for name in ("ascl.table3", "ascl.table6"):
            assert "WideResNet-34-10: WideResNet-16-1" in BUDGETS[size].of(name).label
        assert "CNN: the smaller CNN of MNIST" in BUDGETS[size].of("ascl.figure2").label
    assert encoders("ascl.table6", "full")["ADV, WRN-34-10"] == "wrn-34-10"


def test_a_label_that_names_a_schedule_is_true_of_every_row():
    named = 0
    for name, recipe in recipes().items():
        budget = SHORT.of(name)
        schedules = {row.name: budget.scaled(row.run).optimizer.schedule for row in trained(recipe)}
        if "on a cosine schedule" in budget.label:
            other = {row: schedule for row, schedule in schedules.items() if schedule != "cosine"}
            assert set(other.values()) == ({"constant"} if "(CNN: at a constant rate)" in budget.label else set()), name
            named += len(schedules)
    assert named > 50
    table_1 = find("clae.table1")
    own = SHORT.of("clae.table1")
    assert own.scaled(table_1.row("Plain").run).optimizer.schedule == "cosine"
    assert BUDGETS["full"].scaled(table_1.row("Plain").run).optimizer.schedule == "step"
    assert own.scaled(table_1.row("SimCLR").run).optimizer.schedule == "constant"
    assert own.schedule == BUDGETS["smoke"].of("clae.eps").schedule and not SHORT.schedule
    lines = table(table_1, own, [result("Plain", 0, logistic=0.5)])
    assert lines[-1] == f"- schedule: {own.schedule}" and "Plain, UEL" in own.schedule


def test_every_label_leads_back_to_its_size():
    for name in recipes():
        for size in BUDGETS.values():
            own = size.of(name)
            assert labelled(own.label) == own, (name, own.label)
    read = [json.loads(file.read_text()) for file in RESULTS.rglob("*seed*.json")]
    of_recipes = [result for result in read if "rows" in result]
    for result in of_recipes:
        assert result["budget"] in SHORT.of(result["experiment"]).labels, result["row"]
    assert of_recipes


@pytest.mark.parametrize(
    ("names", "label"),
    [
        (
            ("ascl.table2", "ascl.table4", "csl.comparison"),
            "short: WideResNet-10-1 (78,000 parameters), 6,000 training images, 8 epochs on a cosine schedule, bf16",
        ),
        (
            ("clae.table1", "clae.alpha", "clae.eps", "clae.attacks"),
            "short: WideResNet-10-1 (ResNet-50 and 101: WideResNet-16-1 and 22-1), 5,000 training images of at most 32 "
            "pixels, 8 epochs and batch 64 for the method's published ones (others in proportion), bf16, 5,000 test images",
        ),
    ],
)
def test_sizes_of_measured_tables_keep_their_labels(names, label):
    assert {SHORT.of(name).label for name in names} == {label}


def test_claims_of_a_recipe_are_told_apart_by_their_words():
    for name, recipe in recipes().items():
        said = Counter(claim.judge([], measure) for claim in recipe.claims for measure in claim.measures or ("all",))
        assert not [line for line, times in said.items() if times > 1], name


def result(row, seed=0, **accuracies):
    """A result file of accuracies by key; underscores stand for hyphens."""
    entries = {key.replace("_", "-"): {"accuracy": value, "n": 100} for key, value in accuracies.items()}
    return {"row": row, "seed": seed, "data": "some", "budget": SHORT.label, "results": entries}


def test_what_a_paper_prints_behind_its_figures_is_carried():
    blocks = yaml.safe_load((Path(paper.__file__).parent / "paper_results.yaml").read_text(encoding="utf-8"))
    missing, seen = [], 0
    for block, names in CONTENTS.items():
        printed = {
            (float(value), getattr(value, "std", None))
            for name in names
            for row in recipes()[name].rows
            for value in row.paper.values()
        }
        theirs = {(float(e["value"]), float(e["std"])) for e in blocks.get(block, []) if e["std"] is not None}
        missing += [(block, pair) for pair in theirs - printed]
        seen += len(theirs)
    assert not missing and seen > 100
    value = find("clae.table1").row("SimCLR").paper["lr_top1"]
    assert as_printed(value) == "83.27 ± 0.17" and as_printed(62.4) == "62.4" and value == 83.27
    assert json.dumps({"paper": value}) == '{"paper": 83.27}'
    assert as_printed(pickle.loads(pickle.dumps(value))) == "83.27 ± 0.17"
    assert type(Printed.of(62, None)) is float


def test_both_pages_show_it():
    recipe = find("clae.table1")
    lines = "\n".join(table(recipe, SHORT.of(recipe.name), [result("SimCLR", logistic=0.5)]))
    assert "50.0 (83.27 ± 0.17)" in lines
    assert _theirs(recipe.row("SimCLR").paper, Column("logistic", "lr_top1")) == "83.27 ± 0.17"


def test_a_bootstrap_over_few_seeds_says_that_it_is_narrow():
    recipe = find("clae.table1")

    def head(seeds, others=0):
        runs = [("SimCLR", seed) for seed in range(seeds)] + [("Plain", 9 - seed) for seed in range(others)]
        return table(recipe, SHORT.of(recipe.name), [result(row, seed, logistic=0.5) for row, seed in runs])[0]

    for n, often in BOOTSTRAP_COVERAGE.items():
        assert f"with so few seeds: with {n} it covers the true mean about {100 * often:.0f} % of the time]" in head(n)
    # the row with the fewest, whatever the others have; one seed has no interval
    assert "with 2 it covers" in head(3, 2) and "with 3 it covers" in head(3, 1) and "with 4 it covers" in head(8, 4)
    assert not any("narrower" in head(n) for n in (1, 6, 8))
    docs = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")
    assert "50 % (two), 75 % (three), 80 % (four) or 84 % (five)" in docs
    assert [*BOOTSTRAP_COVERAGE.values()] == [0.50, 0.75, 0.80, 0.84]


def test_the_gap_of_ascl_table_2_is_the_mean_of_three_attacks():
    recipe = find("ascl.table2")
    column = next(column for column in recipe.columns if column.key == "autoattack")
    shown = {row.name: behind_printed(recipe, column, row) for row in recipe.rows}
    assert shown == {
        "natural": "",
        "ADV": " GAP 5.37",
        "TRADES": " GAP 3.43",
        "ADR": " GAP 2.57",
        "ASCL-Leaked": " GAP 0",
    }
    ours = [
        result("ADV", pgd_20=0.30, mpgd_20=0.20, autoattack=0.19),
        result("ASCL-Leaked", pgd_20=0.35, mpgd_20=0.26, autoattack=0.23),
    ]
    # 5, 6 and 4 points
    assert behind(recipe, column, recipe.row("ADV"), SHORT, ours) == " GAP 5.00"
    assert behind(recipe, column, recipe.row("ASCL-Leaked"), SHORT, ours) == ""


def test_gains_of_003_table_5_are_relative_to_the_rows_own_base():
    recipe = find("csl.table5")
    clean, pgd = recipe.columns[:2]
    row = recipe.row
    assert behind_printed(recipe, pgd, row("A-RoCL-dynamic")) == " ↑5.3"
    assert behind_printed(recipe, recipe.columns[3], row("A-RoCL-static")) == " ↑3.4"
    # the medians that its caption has
    assert behind_printed(recipe, clean, row("A-RoCL-dynamic")) == " median ↑5.5"
    assert behind_printed(recipe, clean, row("A-ACL-dynamic")) == " median ↑4.4"
    assert {behind_printed(recipe, pgd, row(name)) for name in ("SupCon", "SimCLR", "RoCL", "ACL")} == {""}
    keys = [column.key for column in recipe.columns]
    ours = [
        {"row": name, "seed": 0, "results": dict(zip(keys, ({"accuracy": value} for value in values), strict=True))}
        for name, values in {
            "RoCL": [0.8, 0.4, 0.2, 0.5, 0.5, 0.4, 0.1],
            "A-RoCL-static": [0.8, 0.5, 0.22, 0.51, 0.52, 0.38, 0.12],
            "ACL": [0.8, 0.5, 0.1, 0.1, 0.1, 0.1, 0.0],
            "A-ACL-static": [0.8, 0.5, 0.1, 0.1, 0.1, 0.1, 0.1],
        }.items()
    ]
    assert behind(recipe, pgd, row("A-RoCL-static"), SHORT, ours) == " ↑25.0"
    # 25, 10, 2, 4, -5 and 20 percent
    assert behind(recipe, clean, row("A-RoCL-static"), SHORT, ours) == " median ↑7.0"
    assert behind(recipe, pgd, row("A-ACL-static"), SHORT, ours) == " ↑0.0"
    assert behind(recipe, recipe.columns[-1], row("A-ACL-static"), SHORT, ours) == ""  # ACL has none to gain on


def test_means_over_classes_are_named_in_clae_table_2():
    names = {column.key: column.paper for column in find("clae.table2").columns}
    assert {key for key, name in names.items() if name.endswith(", mean per class")} == {
        f"transfer-{name}" for name in ("aircraft", "pets", "caltech101", "flowers")
    }
    assert all(names[key] in row.paper for key in names for row in find("clae.table2").rows)


def test_the_share_that_is_lost_stands_in_clae_figure_3():
    recipe = find("clae.figure3")
    seen = [result(recipe.rows[0].name, **{"accuracy adversarial 0": 0.5, "accuracy adversarial 0.1": 0.4})]
    assert behind(recipe, recipe.columns[-1], recipe.rows[0], SHORT, seen) == " ↓20.0"
    assert behind(recipe, recipe.columns[-3], recipe.rows[0], SHORT, seen) == ""


def test_negatives_are_counted_by_domain(tmp_path):
    epochs = [
        {"clean_positives": 1, "adversarial_positives": 2, "clean_negatives": 7, "adversarial_negatives": 9},
        {"clean_positives": 2, "adversarial_positives": 3, "clean_negatives": 4, "adversarial_negatives": 6},
    ]
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, epochs)))
    found = {key: entry["value"] for key, entry in counts(tmp_path).items()}
    assert found["num_neg_first"] == 16 and found["num_neg_clean_first"] == 7 and found["num_neg_adv_last"] == 6
    assert not [claim for claim in find("ascl.figure4").claims if set(claim.measures) - found.keys()]


def printed_results(recipe):
    """The paper's own figures as if one seed had measured them."""
    names = {column.key: column.paper for column in recipe.columns}
    return [
        {
            "row": row.name,
            "seed": 0,
            "results": {key: {"accuracy": row.paper[name] / 100} for key, name in names.items() if name in row.paper},
        }
        for row in recipe.rows
    ]


@pytest.mark.parametrize(
    ("name", "number"),
    [("clae.table1", 2), ("clae.depth", 2), ("clae.tiny-depth", 2), ("clae.alpha", 2), ("ascl.table7", 1)],
)
def test_what_the_text_claims_of_a_table_is_so_in_the_table(name, number):
    recipe = find(name)
    words = ("is better at 0.03 than at 0.07", "gains more on", "weight 0.8 is better than with", "than with weight 4")
    chosen = [claim for claim in recipe.claims if any(each in claim.words for each in words)]
    said = [claim.judge(printed_results(recipe), measure) for claim in chosen for measure in claim.measures[:2]]
    judged = [line for line in said if "not measured" not in line]
    assert len(judged) >= number and all("undecided (+" in line for line in judged), judged


def test_comparable_attacks_are_all_above_pgd():
    pairs = {(claim.higher, claim.lower) for claim in find("clae.attacks").claims}
    assert {("FGSM", "PGD"), ("R-FGSM", "PGD"), ("F-FGSM", "PGD")} <= pairs
    gains = [claim for claim in find("clae.epochs").claims if hasattr(claim, "more")]
    assert [(claim.more[0], claim.less[1]) for claim in gains] == [
        ("SimCLR+CLAE, eps 0.07, 500 epochs", "SimCLR+CLAE, eps 0.03, 100 epochs")
    ]


def test_imagenet_is_judged_on_224_of_256_pixels_at_every_size(tmp_path):
    def data(name, size, *place):
        row = find(name).row("SwAV")
        where = place_of(*(place or (None, None, None)), tmp_path, tmp_path)
        found = configured(row, 0, BUDGETS[size].of(name), where).data
        return found.image_size, found.resize

    for name in ("csl.table1", "csl.table6", "csl.figure2"):
        assert data(name, "full") == data(name, "short") == (224, 256)
        assert data(name, "full", "folder", tmp_path, None) == (224, 256)
        assert data(name, "smoke") == (32, 37)  # 256 / 224 * 32 = 36.6
        assert data(name, "smoke", "digits", None, None) == (32, None)  # no image files
    assert brought(DataConfig(image_size=224, resize=256), 112).resize == 128
    assert brought(DataConfig(image_size=None), 32) == DataConfig(image_size=32)
    assert {row.run.data.resize for row in trained(find("clae.table2"))} == {None}
