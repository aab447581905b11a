"""Figures over seeds as they are printed and written."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from sparring.cli import main
from sparring.recipes.aggregate import aggregate, figure, missing_words
from sparring.recipes.budgets import BUDGETS
from sparring.recipes.claims import Claim
from sparring.recipes.leaderboard import leaderboard
from sparring.recipes.place import Place
from sparring.recipes.recipe import Column, Given, Recipe, Row
from sparring.recipes.reproduce import summary, table, verdicts, write_summary
from tests.recipes.tiny import RECIPE

SHORT = BUDGETS["short"]
RECIPE = Recipe(
    name="a.table",
    title="Two",
    source="The paper, Table 1",
    rows=(Row("plain", RECIPE.rows[0].run, {"acc": 40.0}), Row("better", RECIPE.rows[1].run)),
    columns=(Column("pgd-250", "acc"), Column("r_div")),
    claims=(Claim("better", "plain", "better is better", ("pgd-250",)),),
)


def run(row, seed, accuracy, value):
    entry = {"accuracy": accuracy, "n": 1000, "words": "PGD"}
    results = {"pgd-20": entry, "r_div": {"value": value, "words": "R-DIV"}}
    return {"row": row, "seed": seed, "budget": SHORT.label, "data": "mine", "results": results}


RUNS = [run("plain", seed, 0.4 + 0.01 * seed, float("nan") if seed == 2 else 0.5) for seed in range(3)]
RUNS += [run("better", seed, 0.5 + 0.02 * seed, 0.25) for seed in range(2)]


def test_a_table_has_spread_interval_and_n():
    lines = "\n".join(table(RECIPE, SHORT, RUNS))
    assert (
        "| plain | 3 | 41.0 ± 1.0 [40.0, 42.0] (40) | 0.50 ± 0.00 [0.50, 0.50] (2 of 3 seeds; seed 2 is not finite) |"
        in lines
    )
    assert "| better | 2 | 51.0 ± 1.4 [50.0, 52.0] | 0.25 ± 0.00 [0.25, 0.25] |" in lines
    assert figure(RUNS[:1], "plain", "pgd-20").words == "40.0" and figure(RUNS, "nobody", "pgd-20") is None


def test_everything_is_in_the_json():
    found = json.loads(json.dumps(aggregate(RECIPE, SHORT, RUNS, verdicts(RECIPE, SHORT, RUNS)), allow_nan=False))
    plain, better = found["rows"]
    entry = plain["figures"]["pgd-20"]
    assert (entry["n"], entry["mean"], entry["std"]) == (3, pytest.approx(0.41), pytest.approx(0.01))
    assert entry["bootstrap interval"] == pytest.approx([0.4, 0.42]) and entry["paper"] == 40.0
    assert entry["by seed"] == pytest.approx({"0": 0.4, "1": 0.41, "2": 0.42})
    assert plain["figures"]["r_div"]["n"] == 2 and plain["differences"] == {}
    difference = better["differences"]["pgd-20"]
    assert (difference["n"], difference["mean"]) == (2, pytest.approx(0.105))
    low, high = difference["t interval"]
    assert low == pytest.approx(0.105 - 12.7062 * 0.005, abs=1e-5) and high == pytest.approx(
        0.105 + 12.7062 * 0.005, abs=1e-5
    )
    assert found["budget"] == SHORT.label and found["claims"][0].startswith("pgd-20: holds (+10.50 points [+4.15")


def written(folder, runs=RUNS):
    for each in runs:
        file = folder / RECIPE.name / f"{each['row']}-short-seed{each['seed']}.json"
        file.parent.mkdir(exist_ok=True)
        more = {"schema": 1, "experiment": RECIPE.name, "config": {}, "environment": {}}
        file.write_text(json.dumps(each | more))


def test_a_summary_lies_beside_the_results_and_is_no_result(tmp_path):
    written(tmp_path)
    where = Place(out=tmp_path)
    text = write_summary(RECIPE, SHORT, where)
    folder = tmp_path / RECIPE.name
    assert text == summary(RECIPE, SHORT, where) and (folder / "summary-short.md").read_text() == text + "\n"
    assert json.loads((folder / "summary-short.json").read_text())["runs"] == 5
    before = {file.name for file in folder.iterdir()}
    assert "no results of budget full" in write_summary(RECIPE, BUDGETS["full"], where)
    assert {file.name for file in folder.iterdir()} == before
    own = Path(__file__).parents[2] / "results"
    files = [*own.rglob("*.json")]
    assert leaderboard([*files, folder / "summary-short.json"]) == leaderboard(files)


def test_figures_of_other_images_have_a_table_of_their_own(tmp_path):
    written(tmp_path, [each | {"data": "mine" if each["row"] == "plain" else "others"} for each in RUNS])
    for place, first in ((Place(out=tmp_path), "mine"), (Place(out=tmp_path, label="others"), "others")):
        tables = write_summary(RECIPE, SHORT, place).split("\n\n**a.table")
        assert len(tables) == 2 and f"Ours on `{first}`" in tables[0]
        for text in tables:  # better and plain were measured on different images: nothing is claimed of them
            assert "holds" not in text and ": not measured: better is better" in text and " and " not in text[:150]
        folder = tmp_path / RECIPE.name
        summaries = {path.name: json.loads(path.read_text()) for path in folder.glob("summary-*.json")}
        assert summaries["summary-short.json"]["data"] == [first]
    assert {tuple(each["data"]) for each in summaries.values()} == {("mine",), ("others",)}
    assert {"summary-short.json", "summary-short-mine.json"} == set(summaries)  # no stale one of those that came first


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"protocol": "robustness v9"}, ("protocol", "robustness v2")),
        ({"layer": "z"}, ("layer", "h")),
        ({"n": 500}, ("n", 1000)),
    ],
)
def test_figures_measured_unlike_share_no_column(tmp_path, changes, said):
    runs = json.loads(json.dumps([RUNS[3], RUNS[0], RUNS[1]]))
    for each in runs:
        each["results"]["pgd-20"] |= {"protocol": "robustness v2", "layer": "h"}
    runs[1]["results"]["pgd-20"] |= changes
    written(tmp_path, runs)
    message = "a.table: pgd-20: figures of different protocols cannot share a column: .* of plain.*: measure them alike"
    for make in (write_summary, summary):
        with pytest.raises(ValueError, match=message) as error:
            make(RECIPE, SHORT, Place(out=tmp_path))
        assert all(f"{name} {value}" in str(error.value) for name, value in (said, *changes.items()))
    with pytest.raises(ValueError, match=message):
        verdicts(RECIPE, SHORT, runs)
    # what an earlier version did not say contradicts nothing
    del runs[1]["results"]["pgd-20"][next(iter(changes))]
    assert table(RECIPE, SHORT, runs)


def test_rows_may_differ_in_the_layer_and_it_is_said():
    runs = json.loads(json.dumps([RUNS[0], RUNS[3]]))
    for each, layer in zip(runs, "hz", strict=True):
        each["results"]["pgd-20"]["layer"] = layer
    assert "- pgd-20: PGD, layer h or z" in table(RECIPE, SHORT, runs)


def test_what_is_measured_alike_of_several_methods_is_said_once():
    runs = json.loads(json.dumps([RUNS[0], RUNS[3]]))
    for each, method in zip(runs, ("acl after 8 epochs", "own_net after 1 epoch"), strict=True):
        each["results"]["pgd-20"]["words"] = f"rocl-linear v1, 20 of 150 epochs on h of {method}"
    assert "- pgd-20: rocl-linear v1, 20 of 150 epochs on h" in table(RECIPE, SHORT, runs)


def test_rows_and_seeds_without_a_result_are_listed(tmp_path):
    written(tmp_path)
    last = write_summary(RECIPE, SHORT, Place(out=tmp_path)).splitlines()[-1]
    assert last == "- missing, not run or failed (all 3 seeds unless said): better seed 2"
    assert json.loads((tmp_path / RECIPE.name / "summary-short.json").read_text())["missing"] == {"better": [2]}
    assert missing_words(RECIPE, SHORT, RUNS[:1]).endswith(": plain seeds 1, 2; better")
    assert (
        missing_words(RECIPE, replace(SHORT, seeds=1), RUNS[3:])
        == "missing, not run or failed (the one seed unless said): plain"
    )
    assert missing_words(RECIPE, replace(SHORT, seeds=2), RUNS) == ""
    given = replace(RECIPE, rows=(*RECIPE.rows, replace(RECIPE.rows[0], name="given", given=Given("x", "swav"))))
    assert "given" not in missing_words(given, SHORT, RUNS)


def test_images_of_another_kind_are_said_beside_the_figures():
    lines = table(RECIPE, SHORT, [RUNS[0] | {"adapted": "views and normalisation are those of digits"}, RUNS[3]])
    assert "- images: views and normalisation are those of digits" in lines
    other = {"images": "not the published numbers of images: 6, 3 instead of 9, 3"}
    lines = table(RECIPE, SHORT, [RUNS[0] | other | {"adapted": "views are those of digits"}, RUNS[3] | other])
    assert f"- images: views are those of digits; {other['images']}" in lines


def test_files_that_stand_in_no_table_are_named(tmp_path, capsys, monkeypatch):
    recipe, own = "ascl.table4", Path(__file__).parents[2] / "results"
    shutil.copytree(own / recipe, tmp_path / recipe)
    monkeypatch.chdir(tmp_path)
    words = ["reproduce", recipe, "--budget", "short", "--summary", "--out", "."]
    assert main(words) == 0 and capsys.readouterr().err == ""
    file = Path(recipe) / "ascl-leaked-short-seed1.json"
    kept = file.read_text()
    file.write_text(kept.replace(json.dumps(SHORT.of(recipe).label), '"short: some epochs"'))
    assert main(words) == 1
    out, error = capsys.readouterr()
    assert "ASCL-Leaked seed 1" in out.splitlines()[-2]
    said = f"left out: {file}: its size is 'short: some epochs', which this version does not call short"
    assert error == f"sparring: {said}\n"
    file.write_text(kept)
    shutil.copy(file, file.with_name("again-short-seed1.json"))
    assert main(words) == 1
    out, error = capsys.readouterr()
    again = file.with_name("again-short-seed1.json")
    assert out == "" and error.startswith(
        f"sparring: no table: {again} and {file} are both row 'ASCL-Leaked', seed 1: keep"
    )
