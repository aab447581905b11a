"""--precision, --compile and --channels-last of a recipe: said beside every figure, and never mixed with other figures."""

import json
import pickle
import shlex
from dataclasses import replace

import pytest
import torch

from sparring.cli import main
from sparring.cli_reproduce import COMPUTED, OPTIONS
from sparring.config import TrainingConfig
from sparring.configuration import fields
from sparring.flags import read_words
from sparring.recipes import cell as cells
from sparring.recipes import conditions
from sparring.recipes.aggregate import computed
from sparring.recipes.budgets import BUDGETS
from sparring.recipes.cell import Cell
from sparring.recipes.place import configured, departures, place_of
from sparring.recipes.reproduce import find, measured_words, planned, reproduce
from sparring.recipes.tasks import plan
from sparring.training.check import check_computes
from tests.recipes.tiny import RECIPE

FULL, SHORT, SMOKE = (BUDGETS[name] for name in ("full", "short", "smoke"))
FAST = {"training.precision": "bf16", "training.compile": True, "training.channels_last": True}
WORDS = (
    "channels_last true instead of false, compile true instead of false, precision bf16 instead of float32: rounded "
    "otherwise than the recipe at this size, so not its figures to the bit"
)
ROW = RECIPE.rows[0]


def at(folder, **how):
    return place_of("digits", None, None, folder / "results", folder / "runs", computed=how)


def cell_of(folder, budget=FULL, seed=0, **how):
    return Cell(RECIPE, ROW, seed, budget, at(folder, **how))


def write(cell, monkeypatch):
    """Its JSON, as if it had been trained and measured."""
    monkeypatch.setattr(cells, "trained", lambda _: True)
    found = {"results": {}, "config": {}, "environment": {}, "rows": [ROW.name]}
    monkeypatch.setattr(cells, "gathered", lambda _: found)
    cells.write_cell(cell)
    return json.loads(cell.file.read_text())


def test_each_is_another_training_unless_the_size_has_it_anyway(tmp_path):
    each = [{}, *({key: value} for key, value in FAST.items()), FAST]
    assert len({cell_of(tmp_path, **how).home for how in each}) == 5
    named = dict.fromkeys(("precision", "compile", "channels_last"))
    assert departures(ROW, FULL, at(tmp_path, **FAST)).keys() == named.keys()
    assert departures(ROW, SHORT, at(tmp_path, **FAST)) == {"compile": (True, False)}
    slow = {"training.precision": "float32"}
    assert departures(ROW, SHORT, at(tmp_path, **slow)) == {"precision": ("float32", "bf16")}
    as_is = {"training.precision": "bf16", "training.channels_last": True}
    assert cell_of(tmp_path, SHORT, **as_is).home == cell_of(tmp_path, SHORT).home
    training = configured(ROW, 3, FULL, at(tmp_path, **FAST)).training
    assert (training.precision, training.compile, training.channels_last, training.seed) == ("bf16", True, True, 3)


def test_a_figure_says_it_and_its_command_makes_it_again(tmp_path, monkeypatch):
    fast = cell_of(tmp_path, **FAST)
    said = write(fast, monkeypatch)
    assert said["computed"] == WORDS and said["conditions"]["training"]["training"]["precision"] == "bf16"
    words = shlex.split(said["rerun"])[2:]
    again = read_words(words, OPTIONS, {key: fields()[key] for key in COMPUTED})
    assert again.settings == FAST and again.positional == [RECIPE.name]
    plain = write(cell_of(tmp_path / "plain"), monkeypatch)
    assert "computed" not in plain and "precision" not in plain["rerun"]
    assert measured_words(RECIPE, FULL, [said])["training"] == WORDS
    assert "training" not in measured_words(RECIPE, FULL, [plain])


@pytest.mark.parametrize(("there", "here"), [({}, FAST), (FAST, {})])
def test_figures_computed_otherwise_are_refused_and_never_mixed(tmp_path, monkeypatch, there, here):
    made = write(cell_of(tmp_path, **there), monkeypatch)
    ours = cell_of(tmp_path, **here)
    assert cell_of(tmp_path, **there).finished()
    with pytest.raises(
        ValueError, match=r"trained or measured otherwise: training\.precision is .*choose another --out"
    ):
        ours.finished()
    # of another seed there is no file of that name, but both would stand in one row
    tasks, refused = planned([RECIPE], FULL, ours.place, seeds=[1])
    assert tasks == [] and list(refused) == [RECIPE.name]
    assert refused[RECIPE.name].startswith("tiny.table: some are trained as the recipe and (channels_last true ")
    assert refused[RECIPE.name].endswith(" to the bit): keep them apart, in another --out")
    tasks, refused = planned([RECIPE], FULL, cell_of(tmp_path, **there).place, seeds=[1])
    assert tasks and not refused
    with pytest.raises(ValueError, match="keep them apart"):
        measured_words(RECIPE, FULL, [made, made | {"computed": None if there else WORDS}])
    assert computed(RECIPE, [made, {"weights": {}, "computed": "of no account"}]) == made.get("computed")


def test_what_another_loop_trains_is_left_as_it_is_and_workers_are_told(tmp_path):
    for task in plan([find("trust")], SMOKE, at(tmp_path, **FAST)):
        assert task.cell.place.computed == ()
    tasks = plan([RECIPE], SMOKE, at(tmp_path, **FAST))
    assert tasks and all(task.cell.place.computed == tuple(sorted(FAST.items())) for task in tasks)
    sent = [pickle.loads(pickle.dumps(task)) for task in tasks]
    assert sent == tasks and all(task.cell.config.training.compile for task in sent)


def test_a_cell_is_trained_so(tmp_path):
    recipe = replace(RECIPE, rows=RECIPE.rows[:1], robustness=())
    slow = at(tmp_path, **{"training.precision": "float32", "training.channels_last": False})
    printed = reproduce(recipe, SMOKE, place=slow, tell=lambda line: None)
    (file,) = (tmp_path / "results" / "tiny.table").glob("*-seed0.json")
    training = json.loads(file.read_text())["config"]["training"]
    assert (training["precision"], training["channels_last"]) == ("float32", False)
    assert "- training: channels_last false instead of true, precision float32 instead of bf16: rounded" in printed
    assert conditions.of_cell(Cell(recipe, ROW, 0, SMOKE, slow)) == json.loads(file.read_text())["conditions"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["trust", "--precision", "bf16"], "training.precision is given, but trust is not trained by sparring's loop"),
        (["csl.table1", "--compile"], "training.compile is given, but csl.table1 is not trained by sparring's loop"),
        (["ascl.table2", "--precision", "fp16"], "training.precision must be one of float32, bf16, not 'fp16'"),
        (["ascl.table2", "--summary", "--compile"], "leave --training.compile out"),
        (["ascl.table2", "--epochs", "3"], "--epochs is no option"),
    ],
)
def test_mistakes_are_one_sentence(words, sentence, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", *words]) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1 and not list(tmp_path.iterdir())


def test_what_the_device_cannot_do_is_refused(monkeypatch):
    check_computes(TrainingConfig(precision="bf16", channels_last=True))
    asked = TrainingConfig(compile=True, device="cpu")
    monkeypatch.setattr(torch, "compile", lambda function: function)
    check_computes(asked)
    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(ValueError, match=r"^training\.compile is true, .* on this machine: no compiler for cpu$"):
        check_computes(asked)
    for name, found in (("is_available", True), ("is_bf16_supported", False), ("get_device_name", "GPU X")):
        monkeypatch.setattr(torch.cuda, name, lambda *_, found=found: found)
    with pytest.raises(ValueError, match="bf16, which GPU X cannot compute: it must be float32"):
        check_computes(TrainingConfig(precision="bf16"))
    check_computes(TrainingConfig())


def broken(function):
    def called(x):
        raise RuntimeError(f"\nno compiler for {x.device}\nfound")

    return called


@pytest.mark.slow
def test_a_machine_that_cannot_compile_says_so_before_any_work(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CXX", "no-compiler")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    assert main(["reproduce", "ascl.table2", "--budget", "smoke", "--compile"]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(
        "sparring: error: training.compile is true, but torch.compile does not run on this machine: "
    )
    assert not (tmp_path / "results").exists() and not (tmp_path / "runs").exists()
