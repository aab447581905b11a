"""The leaderboard page: made of result files alone, every figure with its seeds, interval, protocol and size."""

import json
import re
from pathlib import Path

import pytest

from sparring.cli import main
from sparring.recipes.budgets import BUDGETS
from sparring.recipes.judgements import JUDGED, brief, counted, flat, verdict_of
from sparring.recipes.leaderboard import overview
from sparring.recipes.leaderboard_page import VERDICTS, render, write_leaderboard
from sparring.recipes.reproduce import find, recipes
from sparring.reporting.markdown import to_html
from tests.reporting.document import Structure

RECIPE = find("ascl.table2")


def result(folder, row, seed, accuracy, *, budget="short", gpus=(), **more):
    """One result file of RECIPE."""
    attack = {"short": "pgd-20", "smoke": "pgd-2"}[budget]
    entry = {"accuracy": accuracy, "interval": [accuracy - 0.05, accuracy + 0.05], "n": 1000, "words": "PGD, some"}
    read = {
        "schema": 1,
        "experiment": RECIPE.name,
        "rows": [each.name for each in RECIPE.rows],
        "row": row,
        "seed": seed,
    }
    read |= {"data": "mine", "budget": BUDGETS[budget].label, "config": {}, "paper": {}}
    read |= {"environment": {"gpus": list(gpus), "cpu_count": 2, "commit": "0123456789ab"}}
    read |= {"results": {attack: entry | {"protocol": "robustness v7"}}} | more
    file = folder / RECIPE.name / f"{row.lower()}-{budget}-seed{seed}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(read))


@pytest.fixture
def results(tmp_path):
    for seed, (lower, higher) in enumerate([(0.20, 0.30), (0.21, 0.32), (0.22, 0.33)]):
        result(tmp_path, "ADV", seed, lower)
        result(tmp_path, "ASCL-Leaked", seed, higher, gpus=["H200"])
    return tmp_path


def page_of(results):
    document = render(sorted(results.rglob("*.json")))
    structure = Structure(document)
    assert structure.open == [] and "script" not in structure.tags
    assert {address[1:] for address in structure.addresses} <= set(structure.ids)
    return structure.text, document


def rows_of(document):
    return [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", document)]


def test_ours_stand_beside_the_papers(results):
    text, document = page_of(results)
    rows = rows_of(document)
    assert ["ADV", "3", "21.0 ± 1.0 [20.0, 22.0]", "48.1"] in rows
    assert ["ASCL-Leaked", "3", "31.7 ± 1.5 [30.0, 33.0]", "53.7"] in rows
    assert "<th>paper&#x27;s pgd250</th>" in document
    assert f">{RECIPE.name}: {RECIPE.title} (short, mine)</h2>" in document
    assert "pgd-20: n = 1,000, robustness v7, PGD, some" in text
    assert "1 x H200 and 2 CPU cores" in text and "01234567" in text and RECIPE.source in text
    assert BUDGETS["short"].label in text and "seeds 0, 1, 2" in text
    assert f"1 of {len(recipes())} recipes" in text
    assert "smoke" not in text.replace("smoke:", "")


def test_a_claim_about_checks_is_judged_of_one_model_and_the_head_says_so(results):
    checks = {name: {"colour": "green"} for name in ("transfer", "beats_noise")}
    result(results, "natural", 0, 0.1, experiment="trust", budget="smoke", checks=checks)
    file = results / RECIPE.name / "natural-smoke-seed0.json"
    about = {"budget": BUDGETS["smoke"].of("trust").label, "results": {"clean": {"accuracy": 0.5, "n": 9}}}
    file.write_text(json.dumps(json.loads(file.read_text()) | about))
    text, _ = page_of(results)
    assert "natural: holds (not green: none): every check of an honest model is green" in text
    assert "Claims about trust checks are judged by the colours of the checks, of one model too." in text


def test_what_is_missing_of_the_plan_is_said(results):
    said = "Missing, not run or failed (all 3 seeds unless said): natural; TRADES; ADR."
    assert said in page_of(results)[0]
    result(results, "TRADES", 1, 0.2)
    assert said.replace("TRADES", "TRADES seeds 0, 2") in page_of(results)[0]


def test_claims_stand_with_their_verdicts(results):
    text, document = page_of(results)
    held = re.findall(r'<li class="green"><b class="mark">.*?holds</b><div><p>(.*?)</p>', document)
    assert held and held[0].startswith("pgd-20: holds (+10.67 points [+9.23, +12.10], 3 seeds): ")
    overview = next(row for row in rows_of(document) if row and "#table-0" in row[0])
    assert overview[2:7] == ["short", "mine", "2 of 5", "6", str(len(held))]
    assert "claims not measured: a row of theirs was not run" in text
    result(results, "ASCL-Leaked", 0, 0.1)
    result(results, "ASCL-Leaked", 1, 0.1)
    result(results, "ASCL-Leaked", 2, 0.1)
    assert "pgd-20: fails (-11.00 points" in page_of(results)[0]


def test_the_overview_counts_rows_seeds_and_verdicts(results):
    [line] = overview(results.rglob("*.json")).splitlines()[2:]
    held = page_of(results)[1].count('<li class="green">')
    undecided = page_of(results)[1].count('<li class="yellow">')
    cells = [RECIPE.name, RECIPE.title, "mine", "short", "2 of 5", "3", str(held), "0", str(undecided)]
    assert [cell.strip(" `") for cell in line.strip("|").split("|")] == cells


def test_every_smoke_figure_says_so(results):
    result(results, "ADV", 0, 0.125, budget="smoke")
    text, document = page_of(results)
    assert ["ADV", "1", "12.5 [7.5, 17.5] (smoke)", "48.1"] in rows_of(document)
    assert text.index("short:") < text.index("smoke:") and 'class="warn"' in document
    result(results, "ASCL-Leaked", 0, 0.2, budget="smoke")
    text = page_of(results)[0]
    assert "Claims, at a size that cannot judge them (smoke)" in text and "one seed)" in text


def test_a_missing_protocol_version_is_said(results):
    entry = {"accuracy": 0.2, "n": 10, "words": "PGD, old"}
    result(
        results,
        "TRADES",
        0,
        0.2,
        results={"mpgd-20": entry, "r_div": {"value": 0.5, "n": 9}},
        latent={"label": "latent v3"},
    )
    text, document = page_of(results)
    assert "mpgd-20: n = 10, version of the protocol not recorded, PGD, old" in text
    assert "r_div: n = 9, latent v3" in text
    assert ["TRADES", "1", "-", "51.9", "20.0", "38.2", "0.50"] in rows_of(document)


def test_images_that_are_not_the_published_ones_are_said(results):
    result(results, "TRADES", 0, 0.2, images="not the published numbers of images: 6 instead of 9")
    assert "images: not the published numbers of images: 6 instead of 9" in page_of(results)[0]


def test_results_that_are_no_recipes_are_there_too(results):
    more = {"experiment": "mine", "results": {"knn": {"accuracy": 0.5, "protocol": "knn v1", "layer": "h"}}}
    more["results"]["knn"] |= {"n_train": 5, "n_test": 6}
    result(results, "ADV", 9, 0.5, **more, config={"method": {"base": None}})
    file = results / RECIPE.name / "adv-short-seed9.json"
    read = json.loads(file.read_text())
    del read["rows"]
    file.write_text(json.dumps(read))
    text, document = page_of(results)
    assert "trust: Can a robust" in text
    file.write_text(json.dumps(read | {"experiment": "trust"}))
    assert "trust: Can a robust" not in page_of(results)[0]
    file.write_text(json.dumps(read))
    assert "Other experiments" in text and "<b>mine</b> on <code>mine</code>" in document
    assert ["ADV", "1", "50.00"] in rows_of(document)


def test_figures_measured_unlike_take_no_other_table_with_them(results):
    result(results, "TRADES", 0, 0.2, budget="smoke")
    result(results, "TRADES", 0, 0.3)
    file = results / RECIPE.name / "trades-short-seed0.json"
    read = json.loads(file.read_text())
    read["results"]["pgd-20"]["n"] = 77
    file.write_text(json.dumps(read))
    text, document = page_of(results)
    assert "Without a table" in text
    assert (
        "ascl.table2 (mine): ascl.table2: pgd-20: figures of different protocols cannot share a column: n 1000 of"
        in text
    )
    assert "21.0 ± 1.0" not in text and "20.0 [15.0, 25.0] (smoke)" in text
    assert document.count('href="#table-') == 1
    with pytest.raises(ValueError, match="cannot share a column"):
        overview(results.rglob("*.json"))


def test_results_that_no_table_can_hold_are_named(results):
    result(results, "TRADES", 0, 0.2, budget="smoke")
    result(results / "second", "ADV", 0, 0.9)
    result(results, "TRADES", 5, 0.3, budget="smoke", data="unknown size")
    file = results / RECIPE.name / "trades-smoke-seed5.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"budget": "short: of another version"}))
    result(results, "TRADES", 6, 0.3, experiment="ascl.table99", budget="smoke")
    text, _ = page_of(results)
    first, second = (folder / RECIPE.name / "adv-short-seed0.json" for folder in (results, results / "second"))
    assert f"ascl.table2 (mine): {first} and {second} are both row 'ADV', seed 0: keep them in two folders" in text
    assert "ascl.table2 (unknown size): no size of this version has the label" in text
    assert "ascl.table99 (mine): there is no recipe 'ascl.table99'" in text and "20.0 [15.0, 25.0] (smoke)" in text
    page = write_leaderboard(results, results / "page.html").read_text()
    assert "21.0 ± 1.0" in page and "second" not in page  # it takes no results of folders further down


def test_a_figures_recipe_is_drawn():
    files = sorted((Path(__file__).parents[2] / "results" / "clae.alpha").glob("*.json"))
    first, again = render(files), render(files)
    drawn = re.findall('aria-label="(.*?)"', first)
    assert drawn == ["Logistic regression over alpha", "Logistic regression over alpha, paper"] and first == again
    assert "(smoke)" not in first


def test_a_drawing_at_smoke_says_so(tmp_path):
    for row in find("ascl.figure6").rows[:2]:
        entries = {key: {"value": 0.5, "n": 3, "words": "PGD"} for key in ("r_div", "intra_adv", "inter_adv")}
        result(tmp_path, row.name, 0, 0.5, budget="smoke", experiment="ascl.figure6", results=entries)
    document = render(list(tmp_path.rglob("*.json")))
    [caption] = re.findall("<figcaption>(Fig. 6.*?)</figcaption>", document)
    assert caption.endswith(" (smoke)")


def test_markdown_is_escaped():
    assert to_html("**a** <b> `c<d`\n\n| x | y |\n|---|---|\n| 1 | & |\n\n- one\n- **two**") == (
        "<p><b>a</b> &lt;b&gt; <code>c&lt;d</code></p>\n"
        '<div class="scroll"><table><thead><tr><th>x</th><th>y</th></tr></thead><tbody><tr><td>1</td><td>&amp;</td></tr>'
        '</tbody></table></div>\n<ul class="soft"><li>one</li><li><b>two</b></li></ul>'
    )


SAID = {1: "holds", 2: "fails", 4: "undecided", 8: "holds"}
LINES = [f"- pgd {n}/255: {word} (+1 points): x is better" for n, word in SAID.items()]


def test_a_claim_on_many_measures_has_one_line_with_every_verdict():
    one = ["- fog 1: fails (-1 points): y"] * 3
    said = brief(
        [("x is better", LINES), ("y", one), ("z", []), ("w", [line.replace("pgd ", "pgd-") for line in LINES])]
    )
    assert said[0] == "- pgd 1/255, 8/255: holds; 2/255: fails; 4/255: undecided: x is better"
    assert said[1:4] == one and said[4].startswith("- pgd-1/255, pgd-8/255: holds; pgd-2/255: fails; ")
    assert len(said) == 6 and "summary-*.json" in said[5] and brief([("y", one)]) == one
    assert brief([("x", ["- a 1: fails: x", "- b 1: fails: x"] * 2)])[0] == "- a 1, b 1, a 1, b 1: fails: x"
    assert counted(flat([("x", LINES), ("y", one)])) == "2 hold, 4 fail, 1 undecided"
    assert counted(["- a: not measured: b", LINES[0]]) == "1 holds, 1 not measured"


def test_many_verdicts_are_folded_behind_their_counts(results, monkeypatch):
    [heading] = re.findall(r"<details open><summary>(Claims.*?)</summary>", page_of(results)[1])
    assert heading == "Claims: 1 holds, 1 undecided"
    monkeypatch.setattr("sparring.recipes.leaderboard_page.OPEN", 0)
    assert f"<details><summary>{heading}</summary>" in page_of(results)[1]


@pytest.mark.parametrize("word", JUDGED)
def test_a_verdict_is_read_from_its_line(word):
    assert word in VERDICTS
    assert verdict_of(f"- pgd-20: {word} (+1 points): a claim that holds: fails") == word
    with pytest.raises(ValueError, match="says of no claim"):
        verdict_of("- nothing")


def test_the_command_writes_the_page_and_mistakes_are_one_sentence(results, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["leaderboard", "."]) == 0 and capsys.readouterr().out == "leaderboard.html\n"
    first = (tmp_path / "leaderboard.html").read_bytes()
    assert write_leaderboard(results, tmp_path / "again.html").read_bytes() == first
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.json").write_text("{}")
    for words, sentence in (
        (["nowhere"], "nowhere is no folder of results"),
        (["empty"], "empty holds no result files"),
        (["bad"], "x.json is no result file: it lacks schema"),
        ([".", "bad"], "leaderboard takes one folder of results, not . and bad"),
        ([".", "--out", "page.txt"], "--out must be a file whose name ends in .html, not page.txt"),
    ):
        assert main(["leaderboard", *words]) == 2
        out, err = capsys.readouterr()
        assert out == "" and sentence in err and err.count("\n") == 1


def test_reproduce_all_ends_with_the_page(results, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", "--all", "--budget", "smoke", "--summary", "--out", str(results)]) == 0
    out = capsys.readouterr().out
    assert out.rstrip().endswith(str(results / "leaderboard.html"))
    assert "Leaderboard" in (results / "leaderboard.html").read_text()
