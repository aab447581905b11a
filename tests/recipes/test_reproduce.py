"""Recipes: the papers' figures, cells that are run once, tables side by side, claims, and the verb."""

import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from sparring.cli import main
from sparring.config import AttackConfig, DataConfig
from sparring.measuring import LatentConfig, RobustnessConfig
from sparring.recipes import cell, paper
from sparring.recipes.budgets import BUDGETS
from sparring.recipes.claims import Above, Change, Claim, Trend
from sparring.recipes.measurements import Robust, digest_of, settings, stored
from sparring.recipes.place import Place, place_of, slug
from sparring.recipes.recipe import derived
from sparring.recipes.reproduce import find, recipes, reproduce, summary
from sparring.reporting.table import hardware

SMOKE = BUDGETS["smoke"]


def place(folder):
    return place_of("digits", None, None, folder / "results", folder / "runs")


def test_printed_figures_are_found_by_row_and_setting():
    assert paper.printed("002_T2", "ADV", dataset="cifar10")["pgd250"] == 48.1
    assert paper.printed("002_T5", "ASCL-Leaked", proj="p1")["aa"] == 42.3
    assert "aa" not in paper.printed("002_T7", "ASCL-ablation", lambda_scl=0, lambda_vat=3)  # lost in the source
    with pytest.raises(ValueError, match="several figures of ADV, natural"):
        paper.printed("002_T2", "ADV")
    with pytest.raises(ValueError, match="no figures of Nobody"):
        paper.printed("002_T2", "Nobody")
    with pytest.raises(ValueError, match="there is no table 002_T9"):
        paper.printed("002_T9", "ADV")


def test_every_figure_of_every_recipe_is_one_of_the_papers():
    text = (Path(paper.__file__).parent / "paper_results.yaml").read_text(encoding="utf-8")
    values = {entry["value"] for table in yaml.safe_load(text).values() for entry in table}
    for recipe in recipes().values():
        for row in recipe.rows:
            assert set(row.paper.values()) <= values, (recipe.name, row.name)


@pytest.mark.parametrize("name", recipes())
def test_a_recipe_is_whole(name):
    recipe = recipes()[name]
    names = [row.name for row in recipe.rows]
    assert len(names) == len(set(names)) == len({slug(row) for row in names})
    printed = {metric for row in recipe.rows for metric in row.paper}
    for column in recipe.columns:
        assert column.paper is None or column.paper in printed, column
    keys = {column.key for column in recipe.columns}
    for claim in recipe.claims:
        assert set(claim.measures) <= keys, claim
        if isinstance(claim, Claim):
            assert {claim.higher, claim.lower} <= set(names), claim
        elif isinstance(claim, Trend):
            assert claim.x in keys
        else:
            fields = ("row", "twin", "more", "less", "ours", "other")
            said = [getattr(claim, field) for field in fields if hasattr(claim, field)]
            rows = {row for value in said for row in ([value] if isinstance(value, str) else value)}
            assert rows <= set(names), claim
    configs = [str((row.run, row.given)) for row in recipe.rows]
    assert recipe.make is not None or len(set(configs)) == len(configs), "two rows of one configuration"
    for row in recipe.rows:
        full, smoke = BUDGETS["full"].scaled(row.run), SMOKE.scaled(row.run)
        assert (smoke.method, smoke.attack) == (full.method, full.attack)
        assert smoke.training.epochs == 1 and smoke.data.train_images == SMOKE.train_images


def test_the_full_budget_is_the_papers():
    full = BUDGETS["full"].scaled(find("ascl.table2").row("ASCL-Leaked").run)
    assert (full.encoder.name, full.training.epochs, full.training.batch_size) == ("resnet20", 200, 128)
    assert (full.optimizer.name, full.optimizer.milestones) == ("adam", [80, 120, 160])
    assert (full.method.lambda_scl, full.method.lambda_vat, full.method.temperature) == (1.0, 2.0, 0.07)
    small = BUDGETS["full"].scaled(find("ascl.table2-cifar100").row("ADV").run)
    assert (small.attack.eps, small.attack.step_size, small.attack.steps) == (0.01, 0.001, 10)
    for under in find("ascl.table2-cifar100").robustness:
        assert under.config.eps == 0.01
        assert under.config.step_size == (None if under.config.attack == ["autoattack"] else 0.001)


def test_budgets_shrink_attacks_and_say_so():
    short = BUDGETS["short"]
    weak, strong = (
        short.robustness(RobustnessConfig(attack=[name], images=None)) for name in ("pgd-250", "autoattack")
    )
    assert (weak.attack, weak.images, strong.attack, strong.images) == (["pgd-20"], 1000, ["autoattack"], 200)
    assert SMOKE.attack("autoattack") == "square" and SMOKE.attack("mpgd-250") == "mpgd-2"
    assert BUDGETS["full"].attack("mpgd-250") == "mpgd-250"
    assert SMOKE.attack("autoattack 1/255") == "square 1/255"
    look = SMOKE.latent(LatentConfig(steps=250))
    assert (look.steps, look.images, look.batch_size) == (2, 32, 32)


def test_a_digest_is_of_what_differs_from_the_defaults():
    assert digest_of(AttackConfig()) == digest_of(AttackConfig())
    assert len({digest_of(AttackConfig(eps=eps)) for eps in (None, 0.1, 0.2)}) == 3
    run = find("ascl.table2").row("ADV").run
    assert digest_of(run) != digest_of(derived(run, {"training.seed": 1}))


def test_other_images_keep_the_rows_encoder_unless_they_are_of_another_kind(tmp_path):
    run = BUDGETS["short"].scaled(find("ascl.table2").row("ADV").run)
    folder = Place(DataConfig(name="folder", root="somewhere"), "mine").on(run)
    assert (folder.data.root, folder.data.image_size, folder.data.views) == ("somewhere", 32, run.data.views)
    assert folder.encoder.mean == run.encoder.mean
    digits = place(tmp_path).on(run)
    assert digits.encoder.mean is None and digits.data.views is None


def tiny():
    """Table 7 with one row and little to measure."""
    recipe = find("ascl.table7")
    return replace(recipe, rows=recipe.rows[:2], protocols=(), robustness=recipe.robustness[:1])


def test_a_cell_is_run_once_and_continues_where_it_stopped(tmp_path, monkeypatch):
    recipe, where, told = tiny(), place(tmp_path), []
    name = recipe.rows[1].name
    whole = cell.Cell(recipe, recipe.row(name), 0, SMOKE, where)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")

    # stopped after training: measured without being trained again
    whole.run.mkdir(parents=True)
    (whole.run / "config.yaml").write_text("cut o")  # what a run leaves that is killed at its very beginning
    cell.train_cell(whole)
    trained = (whole.run / "weights.safetensors").stat().st_mtime_ns
    printed = reproduce(recipe, SMOKE, rows=[name], seeds=[0], place=where, tell=told.append)
    assert (whole.run / "weights.safetensors").stat().st_mtime_ns == trained
    assert [line.split(": ")[2].split(",")[0] for line in told] == ["robustness", "results"]
    file = tmp_path / "results" / recipe.name / "scl-1-vat-0-smoke-seed0.json"
    result = json.loads(file.read_text())
    assert result["budget"] == SMOKE.label and result["data"] == "digits" and result["paper"] == whole.row.paper
    assert {"clean", "pgd-2", "num_pos_first"} <= result["results"].keys()
    assert result["results"]["pgd-2"]["n"] == 32
    assert "work" not in file.read_text().replace("workers", "").replace("network", "")
    assert f"| {name} | 1 |" in printed and "(46.5)" in printed
    assert f"Trained on {hardware(result['environment'])}, at commit " in printed
    rerun = f"sparring reproduce {recipe.name} --budget smoke --rows 'SCL 1, VAT 0' --seeds 0 --data digits"
    assert name == "SCL 1, VAT 0" and result["rerun"] == rerun

    # images are decoded by as many processes as the worker has cores, which are no part of what was trained or measured
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert yaml.safe_load((whole.run / "config.yaml").read_text())["data"]["workers"] == 7
    assert result["config"]["data"]["workers"] == whole.config.data.workers == 2
    assert stored(whole.run, whole.config.data).data.workers == 3
    assert settings(whole.config.evaluation, whole.config.data)["data.workers"] == 3

    # a finished cell is left alone; measurements without a JSON are taken from their files
    told.clear()
    reproduce(recipe, SMOKE, rows=[name], seeds=[0], place=where, tell=told.append)
    assert told == []
    for damaged, says in (
        ('{"a":', "is not valid JSON"),
        ("[]", "must hold a JSON object, not a list"),
        ("{}", "it lacks schema"),
    ):
        file.write_text(damaged)
        with pytest.raises(ValueError, match=f"{says}.*; remove that file to have it made again"):
            whole.finished()
    file.unlink()
    monkeypatch.setattr(Robust, "take", lambda *_, **__: pytest.fail("measured twice"))
    reproduce(recipe, SMOKE, rows=[name], seeds=[0], place=where, tell=told.append)
    assert json.loads(file.read_text())["results"] == result["results"]
    assert sorted(path.name for path in whole.home.iterdir()) == ["log.txt", "measured", "run"]
    with pytest.raises(ValueError, match=r"has figures of data 'digits', not 'mine': choose another --out"):
        reproduce(recipe, SMOKE, rows=[name], seeds=[0], place=replace(where, label="mine"))


def test_a_failure_is_said_at_the_end_and_the_others_go_on(tmp_path, monkeypatch):
    recipe, where = tiny(), place(tmp_path)
    home = cell.folder_of(recipe.rows[0], 0, SMOKE, where)

    def refuse(measurement, run, state, *, report):
        if home in run.parents:
            raise OSError("the disk is full")
        return {"attacks": {}, "clean": accuracy(0.5), "subject": {"words": "x"}, "label": "robustness v0"}

    monkeypatch.setattr(Robust, "take", refuse)
    with pytest.raises(RuntimeError) as error:
        reproduce(recipe, SMOKE, place=where, tell=lambda line: None)
    failing, fine = recipe.rows
    words = f"{failing.name}, seed 0: robustness: OSError: the disk is full ({home / 'log.txt'})"
    assert str(error.value) == f"{recipe.name}: {words}"
    assert "Traceback" in (home / "log.txt").read_text()
    assert cell.result_file(recipe, fine, 0, SMOKE, where).exists()
    assert not cell.result_file(recipe, failing, 0, SMOKE, where).exists()


def test_how_a_cell_is_evaluated_is_no_part_of_what_is_trained(tmp_path):
    row, where = find("ascl.table2").row("ADV"), place(tmp_path)
    short = BUDGETS["short"]
    same = replace(short, finetune_epochs=3, epochs_of_classifiers=7)
    assert cell.folder_of(row, 0, short, where) == cell.folder_of(row, 0, same, where)
    other = replace(short, epochs=9)
    assert cell.folder_of(row, 0, short, where) != cell.folder_of(row, 0, other, where)


def results(**rows):
    """Result files by row, with one value of each measure a seed."""
    return [
        {"row": row, "seed": seed, "budget": SMOKE.label, "data": "digits", "results": entry}
        for row, entries in rows.items()
        for seed, entry in enumerate(entries)
    ]


def accuracy(value):
    return {"accuracy": value, "n": 10, "words": "an attack"}


def test_claims_of_values_are_in_their_own_unit():
    seen = results(a=[{"r_div": {"value": 0.9}}] * 2, b=[{"r_div": {"value": 0.5}}, {"r_div": {"value": 0.4}}])
    assert Claim("a", "b", "why").judge(seen, "r_div").startswith("r_div: undecided (+0.450 [")
    seen = results(a=[{"r_div": {"value": v}} for v in (0.9, 0.91, 0.9)], b=[{"r_div": {"value": 0.4}}] * 3)
    assert Claim("a", "b", "why").judge(seen, "r_div").startswith("r_div: holds (+0.503 [")
    assert Claim("b", "a", "why").judge(seen, "r_div").startswith("r_div: fails (-0.503 [")


def test_no_claim_is_denied_by_the_figures_it_is_taken_from():
    for recipe in recipes().values():
        names = {column.key: column.paper for column in recipe.columns}
        for claim in recipe.claims:
            if not isinstance(claim, Claim):
                continue
            higher, lower = recipe.row(claim.higher).paper, recipe.row(claim.lower).paper
            for metric in (names[key] for key in claim.measures):
                if metric in higher and metric in lower:
                    assert higher[metric] > lower[metric], (recipe.name, claim, metric)


def trending(rows, seeds, sign):
    """R-DIV rises (sign 1) or falls with robustness; with seed 0 the first two rows have changed places."""
    found = {
        f"row {k}": [{"r_div": {"value": sign * k / 10 + s / 100}, "pgd": accuracy(k / 10)} for s in range(seeds)]
        for k in range(rows)
    }
    first, second = found["row 0"][0]["r_div"], found["row 1"][0]["r_div"]
    first["value"], second["value"] = second["value"], first["value"]
    return found


def test_a_trend_is_judged_over_the_rows_seed_by_seed():
    falling = Trend("r_div", "lower is better", ("pgd",))
    # rho -0.9, -1 and -1, of which -1 counts as -0.95: z -1.472, -1.832 and -1.832, mean -1.712, s 0.208, half width
    # 4.303 * 0.208 / sqrt(3) = 0.516; tanh of -1.712, -2.228 and -1.196
    assert "holds (Spearman's rho -0.94 over 5 rows [-0.98, -0.83], 3 seeds)" in falling.judge(
        results(**trending(5, 3, -1)), "pgd"
    )
    assert "fails" in falling.judge(results(**trending(5, 3, 1)), "pgd")
    assert "holds" in replace(falling, rising=True).judge(results(**trending(5, 3, 1)), "pgd")
    assert "undecided (Spearman's rho -0.90 over 5 rows, one seed)" in falling.judge(
        results(**trending(5, 1, -1)), "pgd"
    )
    assert "undecided (4 rows have both figures, and a trend needs 5)" in falling.judge(
        results(**trending(4, 3, -1)), "pgd"
    )
    mixed = trending(5, 3, -1)
    for k, row in enumerate(mixed.values()):
        row[2]["r_div"]["value"] = k / 10  # one seed of three contradicts the others
    assert "undecided (Spearman's rho -0.45" in falling.judge(results(**mixed), "pgd")


def test_a_change_is_judged_within_one_row():
    seen = results(a=[{"first": {"value": 10.0 + s}, "last": {"value": 4.0 + 1.5 * s}} for s in (0, 1, 2)])
    assert ": holds (-5.500 [" in Change("a", "first", "last", "falls", falling=True).judge(seen, "last")
    assert ": fails (-5.500 [" in Change("a", "first", "last", "rises").judge(seen, "last")
    assert ": undecided (-6.000, one seed)" in Change("a", "first", "last", "rises").judge(seen[:1], "last")
    assert "not measured" in Change("b", "first", "last", "rises").judge(seen, "last")


def test_a_front_lies_above_another_at_the_same_clean_accuracy():
    def point(clean, robust):
        return {"own": accuracy(clean), "pgd": accuracy(robust)}

    seen = results(
        a2=[point(0.8, 0.3), point(0.8, 0.31)],
        a4=[point(0.6, 0.5), point(0.6, 0.51)],
        b2=[point(0.8, 0.2), point(0.8, 0.212)],
        b4=[point(0.6, 0.4), point(0.6, 0.412)],
        far=[point(0.1, 0.1)] * 2,
    )
    above = Above(("a2", "a4"), ("b2", "b4"), "why", ("pgd",))
    assert above.judge(seen, "pgd").startswith("pgd: holds (+9.90 points [")
    assert replace(above, ours=above.other, other=above.ours).judge(seen, "pgd").startswith("pgd: fails (-9.90")
    assert "one seed" in above.judge([result for result in seen if result["seed"] == 0], "pgd")
    assert "no clean accuracy that both reach" in replace(above, other=("far",)).judge(seen, "pgd")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "reproduce needs the name of a recipe"),
        (["ascl.table2", "--all"], "--all is every recipe: leave it out, or ascl.table2"),
        (["list", "ascl.table2"], "reproduce list takes no names, not ascl.table2"),
        (
            ["ascl.tabel2"],
            "there is no recipe 'ascl.tabel2': `sparring reproduce list` names them; did you mean ascl.table2",
        ),
        (["ascl.table2", "--budget", "tiny"], "--budget must be one of full, short, smoke, not 'tiny'"),
        (["ascl.table2", "--rows", "Nobody"], "ascl.table2 has no row 'Nobody'; its rows are natural; ADV"),
        (["clae.table1", "--rows", "simcrl"], "; SimCLR+CLAE, eps 0.07; did you mean SimCLR?"),
        (["ascl.table2", "--rows", ""], "--rows names no row; rows of ascl.table2 are natural; ADV"),
        (["ascl.table2", "--rows", "Naturla"], "; did you mean natural?"),
        (["ascl.table2", "--rows", "natural,ADV"], "(several rows are separated by ';')"),
        (
            ["ascl.table2", "--budget", "short", "--data", "digits"],
            "--budget short takes 6,000 training images, but digits",
        ),
        (["ascl.table2", "ascl.table4", "--rows", "ADV"], "--rows names rows of one recipe, but there are 2"),
        (["ascl.table2", "--seeds", "0,x"], "--seeds must be whole numbers"),
        (["ascl.table2", "--seeds", ","], "--seeds must be whole numbers"),
        (["ascl.table2", "--data-label", "mine"], "--data-label says what other images are called"),
        (["ascl.table2", "--budget", "smoke", "--out", "file"], "--out lies in file, which is a file, not a folder"),
        (
            ["ascl.table2", "--budget", "smoke", "--runs", "file/x"],
            "--runs lies in file, which is a file, not a folder",
        ),
        (["ascl.table2", "--data", "folder"], "--root: the folder of images must be named"),
        (["ascl.table2", "--data", "cifr10"], "--data: 'cifr10' is none of"),
        (["ascl.table2", "--summary", "--rows", "ADV"], "--summary prints all that is there: leave --rows out"),
        (["csl.table6", "--corrupted", "."], "--corrupted: . has none of the known corruptions"),
        (["ascl.table2", "--workers", "0"], "--workers must be a whole number of at least 1, not '0'"),
        (["ascl.table2", "--buget", "smoke"], "--buget is no option; did you mean --budget?"),
        (["ascl.table2", "--budget", "smoke", "--root", "nowhere"], "nowhere"),
    ],
)
def test_mistakes_are_one_sentence_and_nothing_is_written(words, sentence, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert main(["reproduce", *words]) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_how_a_cell_is_made_again_names_all_that_its_figures_depend_on(tmp_path):
    where = place_of("folder", tmp_path, "my images", tmp_path / "results", tmp_path / "runs", transfer_root="sets")
    table = find("clae.table2")
    said = cell.rerun(cell.Cell(table, table.rows[1], 3, BUDGETS["short"], where))
    assert said == (
        "sparring reproduce clae.table2 --budget short --rows SimCLR+CLAE --seeds 3 --data folder --root IMAGES "
        "--data-label 'my images' --transfer-root FOLDER"
    )


def test_a_cell_says_how_it_was_evaluated_not_how_another_that_trains_the_same_was(tmp_path):
    """Rows of two recipes share a run folder, whose config.yaml is of the first."""
    recipe, where = tiny(), place(tmp_path)
    one = replace(recipe, rows=recipe.rows[:1])
    reproduce(one, SMOKE, seeds=[0], place=where, tell=lambda line: None)
    row = replace(recipe.rows[0], run=derived(recipe.rows[0].run, {"evaluation.logistic_lr": 0.125}))
    other = replace(one, name="other.table", rows=(row,))
    reproduce(other, SMOKE, seeds=[0], place=where, tell=lambda line: None)
    rates = []
    for each in (one, other):
        (file,) = (tmp_path / "results" / each.name).glob("*seed0.json")
        rates.append(json.loads(file.read_text())["config"]["evaluation"]["logistic_lr"])
    assert rates[0] != 0.125 and rates[1] == 0.125
    assert len(list((tmp_path / "runs" / "smoke").iterdir())) == 1


def test_a_recipe_that_cannot_run_keeps_no_other_from_running(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["reproduce", "ascl.table7", "clae.table2", "--budget", "short", "--data", "folder", "--root", "images"]
    begun = []
    monkeypatch.setattr("sparring.cli_reproduce._run", lambda tasks, *_: begun.extend(tasks) or [])
    assert main(words) == 2  # none can
    assert capsys.readouterr().err.count("\n") == 1 and begun == []
    monkeypatch.setattr("sparring.recipes.reproduce.check_place", lambda *_: None)
    assert main(words) == 1
    error = capsys.readouterr().err
    assert error.startswith("sparring: not run: clae.table2: clae.table2 measures nothing but transfers")
    assert error.count("\n") == 1 and {task.recipes for task in begun} == {("ascl.table7",)}
    words[words.index("short")] = "full"
    assert main(words) == 1
    assert capsys.readouterr().err.startswith(f"ascl.table7: {find('ascl.table7').cost}\nsparring: not run: clae")


def test_a_table_that_cannot_be_made_keeps_no_other_from_being_printed(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("ascl.table2", "ascl.table4"):
        for seed, n in enumerate((100, 100 if name == "ascl.table4" else 200)):
            entry = {"accuracy": 0.5, "n": n, "words": "PGD", "protocol": "robustness v2"}
            row = find(name).rows[0].name
            read = {"schema": 1, "experiment": name, "row": row, "rows": [row], "seed": seed, "data": "digits"}
            read["data"] = "seed set" if name == "ascl.table4" and seed else "digits"
            read |= {"budget": SMOKE.label, "config": {}, "environment": {}, "results": {"pgd-2": entry}}
            file = tmp_path / "results" / name / f"{slug(row)}-smoke-seed{seed}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(read))
    for _ in range(2):  # a summary beside them is no result, whatever its data set is called
        assert main(["reproduce", "ascl.table2", "ascl.table4", "--budget", "smoke", "--summary"]) == 1
        out, error = capsys.readouterr()
        assert out.count("**ascl.table4: ") == 2 and "50.0" in out and "**ascl.table2: " not in out
        assert error.startswith("sparring: no table: ascl.table2: pgd-2: figures of different protocols cannot share a")
        assert error.count("\n") == 1
    assert (tmp_path / "results" / "ascl.table4" / "summary-smoke-seed-set.json").exists()


def test_a_row_is_found_in_whatever_case():
    assert find("clae.table1").row("simclr").name == "SimCLR"
    assert find("clae.table1").row("uel+clae, EPS 0.03").name == "UEL+CLAE, eps 0.03"


def test_list_and_summary(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", "list"]) == 0
    assert "ascl.table2" in capsys.readouterr().out
    assert summary(find("ascl.table2"), SMOKE, place(tmp_path)).startswith("ascl.table2: there are no results")


@pytest.mark.parametrize(
    ("which", "said"), [("ascl.table2", "ascl.table2"), ("--all", f"any of {len(recipes())} recipes")]
)
def test_a_summary_of_nothing_is_refused_and_other_sizes_are_named(which, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["reproduce", which, "--summary", "--out", "mine"]
    for _ in range(2):  # a folder that is not there, and an empty one
        assert main(words) == 2
        sentence = f"sparring: error: there are no results of {said} in mine: leave --summary out to make them\n"
        assert capsys.readouterr() == ("", sentence)
        (tmp_path / "mine" / "ascl.table2").mkdir(parents=True, exist_ok=True)
    own = Path(__file__).parents[2] / "results"
    (tmp_path / "mine").rename(tmp_path / "empty")
    shutil.copytree(own / "ascl.table2", tmp_path / "mine" / "ascl.table2")
    assert main(words) == 0
    said = (
        "there are no results of budget full in mine/ascl.table2; there are results of budget short: add --budget short"
    )
    assert f"ascl.table2: {said}\n" in capsys.readouterr().out


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_says_that_the_same_command_continues(sent, code, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sparring.recipes.grid.run_grid", lambda *_: os.kill(os.getpid(), sent))
    assert main(["reproduce", "ascl.table2", "--budget", "smoke"]) == code
    assert "the same command continues" in capsys.readouterr().err
