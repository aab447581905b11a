"""When a finished cell is met again: left alone, completed, or refused because it was trained or measured otherwise."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from sparring.config import DataConfig, RunConfig
from sparring.data import load_images
from sparring.data.official import SOURCES
from sparring.evaluation.protocols import Own
from sparring.recipes import conditions
from sparring.recipes.budgets import BUDGETS
from sparring.recipes.cell import Cell, gathered, measured_file, write_cell
from sparring.recipes.measurements import Clean, Robust, digest_of
from sparring.recipes.place import Place, configured, folder_of, identified
from sparring.recipes.recipe import Under, derived
from sparring.recipes.reproduce import find, recipes
from sparring.training import resolve
from tests.data import layouts
from tests.recipes.tiny import BUDGET, RECIPE, place
from tests.settings import IMAGES_ELSEWHERE, NONE_OF_A_FIGURE

ROW = RECIPE.rows[0]


@pytest.fixture
def cell(tmp_path, monkeypatch):
    """One that is trained, with a JSON that says what it was trained and measured with."""
    monkeypatch.setattr("sparring.recipes.cell.trained", lambda cell: True)
    made = Cell(RECIPE, ROW, 0, BUDGET, place(tmp_path))
    written(made)
    return made


def written(cell, **changes):
    read = {
        "schema": 1,
        "experiment": RECIPE.name,
        "row": ROW.name,
        "seed": 0,
        "config": {},
        "results": {},
        "environment": {},
    }
    read |= {"data": "digits", "budget": cell.label, "conditions": conditions.of_cell(cell)}
    cell.file.parent.mkdir(parents=True, exist_ok=True)
    cell.file.write_text(json.dumps(read | changes))


def with_attack(cell, **settings):
    unders = tuple(Under(replace(under.config, **settings), under.suffix) for under in cell.recipe.robustness)
    return replace(cell, recipe=replace(cell.recipe, robustness=unders))


def test_the_same_settings_are_left_alone(cell):
    assert cell.finished()
    assert replace(cell, place=replace(cell.place, download=True)).finished()
    cell.file.unlink()
    assert not cell.finished()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: replace(c, budget=replace(BUDGET, epochs=4)), "training.epochs is 3 there and 4 here"),
        (
            lambda c: replace(c, row=replace(ROW, run=replace(ROW.run, optimizer=replace(ROW.run.optimizer, lr=0.5)))),
            "optimizer.lr is ",
        ),
        (lambda c: with_attack(c, eps=0.1), "robustness 1: settings.eps is the default there and 0.1 here"),
        (
            lambda c: with_attack(c, corrupted_root="/some/ImageNet-C"),
            "robustness 1: settings.corrupted_root is the default there and ImageNet-C here",
        ),
        (
            lambda c: replace(c, budget=replace(BUDGET, finetune_epochs=9)),
            "clean: evaluation.finetune_epochs is 1 there and 9 here",
        ),
    ],
)
def test_figures_of_other_settings_are_refused_in_one_sentence(cell, change, said):
    with pytest.raises(ValueError, match="natural, seed 0 was trained or measured otherwise: ") as error:
        change(cell).finished()
    assert said in str(error.value) and str(error.value).endswith(": choose another --out")
    assert str(cell.file) in str(error.value)


def test_another_version_of_a_protocol_is_another_figure(cell, monkeypatch):
    monkeypatch.setattr(Own, "version", 9)
    with pytest.raises(ValueError, match=r"clean: protocols\.own is 1 there and 9 here"):
        cell.finished()


def test_a_measurement_that_came_later_is_added(cell):
    more = replace(cell.recipe, robustness=(*RECIPE.robustness, RECIPE.robustness[0]))
    assert not replace(cell, recipe=more).finished()


def test_a_file_of_an_earlier_version_is_judged_by_its_configuration(cell):
    free = derived(resolve(cell.config), NONE_OF_A_FIGURE | IMAGES_ELSEWHERE)
    config = conditions.plain(asdict(free))
    del config["removal"]  # what that version did not know yet
    read = json.loads(cell.file.read_text()) | {"config": config}
    del read["conditions"]
    cell.file.write_text(json.dumps(read))
    assert cell.finished()
    config["training"]["batch_size"] = 5
    cell.file.write_text(json.dumps(read))
    with pytest.raises(ValueError, match=r"training\.batch_size is 5 there and 16 here: choose another --out"):
        cell.finished()


def test_weights_of_others_in_a_file_of_an_earlier_version_are_judged_by_their_images(tmp_path):
    recipe = find("csl.table1")
    smoke = Cell(recipe, recipe.rows[0], 0, BUDGETS["smoke"], place(tmp_path))
    data = asdict(smoke.config)["data"]
    assert conditions.differences(smoke, {"config": {"data": data | {"views": "digits"}}}) == []
    (said,) = conditions.differences(smoke, {"config": {"data": data | {"image_size": 7}}})
    assert said.startswith("data.image_size is 7 there and ")


def test_committed_results_are_met_as_finished(tmp_path, monkeypatch):
    """Those of recipes that train their rows, at the short size, as if their images lay in a folder here."""
    monkeypatch.setattr("sparring.recipes.cell.trained", lambda cell: True)
    # that of the images that they all had
    monkeypatch.setattr("sparring.recipes.place.fingerprint", lambda root: "0b4de324")
    own = Path(__file__).parents[2] / "results"
    where = Place(DataConfig(name="folder", root=str(tmp_path)), "cifar10-jpeg", out=own)
    names = {path.name for path in own.iterdir()} & recipes().keys() - {"trust"}
    assert len(names) > 4
    for name in names:
        recipe = find(name)
        cells = [Cell(recipe, row, 0, BUDGETS["short"].of(name), where) for row in recipe.rows]
        found = [each for each in cells if each.file.exists()]
        assert found and all(each.finished() for each in found)


def test_a_measurement_is_taken_again_when_its_protocol_changed(cell, monkeypatch):
    taken = []
    monkeypatch.setattr(Clean, "take", lambda *_, **__: taken.append(1) or {"own": {"protocol": "own v1"}})
    clean, *_ = cell.measurements()
    file = measured_file(cell, clean)

    def take():
        figures = conditions.once(file, clean.conditions, lambda: clean.take(cell.run, file, report=False))
        assert figures == {"own": {"protocol": "own v1"}}
        return len(taken)

    assert (take(), take()) == (1, 1)
    monkeypatch.setattr(Own, "version", 2)
    assert not conditions.kept(file, clean.conditions)
    assert (take(), take()) == (2, 2)
    # a file of an earlier version names but its protocol
    file.write_text(json.dumps({"own": {"protocol": "own v1"}}))
    assert take() == 3
    file.write_text(json.dumps({"own": {"protocol": "own v2", "n_test": 5}, "knn": {"protocol": "knn v1"}}))
    assert conditions.kept(file, clean.conditions)
    assert conditions.figures_in(file)["own"]["n_test"] == 5
    # a damaged file holds nothing, and the log says so
    asked = conditions.plain(clean.conditions)
    for damaged in (b'{"conditions": {', b"\xff{}", b"[]", json.dumps({"conditions": asked}).encode()):
        file.write_bytes(damaged)
        assert not conditions.kept(file, clean.conditions)
        with pytest.warns(UserWarning, match=f"{file.name} is damaged: measured again"):
            take()
    assert take() == 7


def test_a_damaged_file_is_named(cell):
    cell.run.mkdir(parents=True)
    (cell.run / "environment.json").write_text('{"cut": ')
    cell = replace(cell, recipe=replace(RECIPE, protocols=(), robustness=()))
    (cell.run / "metrics.jsonl").write_text('{"epoch": 0}\n')
    with pytest.raises(ValueError, match=r"run/environment\.json is not valid JSON"):
        gathered(cell)


def images(folder, size=3):
    for name in ("train/a/1.png", "test/a/1.png"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(b"x" * size)
    return str(folder)


def test_images_under_another_mount_are_the_same_training_and_others_are_not(tmp_path):
    def home(root, **more):
        at = Place(DataConfig(name="folder", root=root), "data", runs=tmp_path / "runs", **more)
        return folder_of(ROW, 0, BUDGET, at)

    first, moved = images(tmp_path / "one" / "data"), images(tmp_path / "two" / "data")
    other = images(tmp_path / "three" / "data", size=4)
    assert home(first) == home(moved) == home(first, download=True) != home(other)
    # of the name that an earlier version gave it, only what was trained on the images of that path is taken
    config = configured(ROW, 0, BUDGET, Place(DataConfig(name="folder", root=other)))
    bare = replace(config, evaluation=type(config.evaluation)())
    old = tmp_path / "runs" / BUDGET.name / f"natural-seed0-{digest_of(bare)}"
    assert digest_of(bare) not in home(other).name
    old.mkdir(parents=True)
    assert home(other) == home(other, download=True) == old
    assert home(first) == home(moved) != old
    shutil.rmtree(old)
    assert home(other) != old


def test_a_set_by_its_name_is_the_same_wherever_it_lies(tmp_path):
    homes = {
        folder_of(ROW, 0, BUDGET, Place(DataConfig(name=name, root=root), runs=tmp_path))
        for name, root in (("cifar10", None), ("cifar10", "/a"), ("cifar10", "/b"), ("cifar100", "/a"))
    }
    assert len(homes) == 2


def test_a_run_is_measured_on_the_images_where_they_are_now(tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr("sparring.robustness.of_a_run", lambda run, settings, *_, **__: given.append(settings))
    monkeypatch.setattr("sparring.experiment.measure", lambda run, config, **__: given.append(config.data) or {})
    monkeypatch.setattr("sparring.training.run_folder.load_config", lambda run: ROW.run)
    (tmp_path / "robustness.json").write_text("{}")
    monkeypatch.setattr("sparring.recipes.measurements.loaders", lambda: 5)
    where = Place(DataConfig(name="folder", root="/here"), "mine", runs=tmp_path)
    here = derived(RunConfig(data=DataConfig(root="/here")), {"data.loading": "stream"}).data
    for measurement in Cell(RECIPE, ROW, 0, BUDGET, where).measurements():
        replace(measurement, where=here).take(tmp_path, tmp_path, report=False)
        if isinstance(measurement, Robust):
            asked = given.pop()
            assert (asked["data.root"], asked["data.loading"], asked["data.workers"]) == ("/here", "stream", 5)
    assert given == [replace(ROW.run.data, root="/here", loading="stream", workers=5)]


def test_other_images_of_as_many_channels_keep_views_and_normalisation():
    run = BUDGETS["short"].scaled(find("ascl.table2").row("ADV").run)
    same, gray = (Place(DataConfig(name=name), name) for name in ("synthetic", "digits"))
    assert (same.on(run).data.views, same.on(run).encoder.mean) == (run.data.views, run.encoder.mean)
    assert run.data.views is not None and run.encoder.mean is not None and same.adapted(run) is None
    assert (gray.on(run).data.views, gray.on(run).encoder.mean) == (None, None)
    assert gray.adapted(run) == (
        "views and normalisation are those of digits, not the recipe's: its images have 1 channel, those of cifar10 3"
    )
    assert Place().adapted(run) is None


def test_a_copy_that_is_not_the_published_set_is_another_training(tmp_path, monkeypatch):
    def cell(root, *more):
        layouts.imagenet(tmp_path / root, ("n01440764", "n01443537", *more))
        return at(root)

    def at(root, **more):
        where = Place(DataConfig("imagenet", root=str(tmp_path / root), **more), runs=tmp_path, out=tmp_path)
        return Cell(RECIPE, ROW, 0, BUDGET, where)

    none, half, other = at("none"), cell("half"), cell("other", "n01484850")
    shutil.copytree(tmp_path / "half", tmp_path / "mounted")
    assert len({none.home, half.home, other.home}) == 3
    assert half.home == at("mounted").home == at("half", download=True).home
    written(half, data="imagenet")
    with pytest.raises(ValueError, match=r"data\.root is images \w+ there and images \w+ here: choose another --out"):
        other.finished()
    monkeypatch.setattr("sparring.recipes.cell.gathered", lambda cell: {})
    write_cell(half)
    said = "not the published numbers of images: 4, 2 instead of 1,281,167, 50,000"
    assert json.loads(half.file.read_text())["images"] == said
    write_cell(none)
    assert "images" not in json.loads(none.file.read_text())
    # a set of the published numbers is the same wherever it lies
    monkeypatch.setitem(SOURCES, "imagenet", replace(SOURCES["imagenet"], sizes=(6, 0, 3)))
    monkeypatch.setattr("sparring.data.official._seen", {})
    assert at("other").home == none.home != at("half").home


def test_images_are_listed_once_to_be_loaded_and_told_apart(tmp_path, monkeypatch):
    layouts.imagenet(tmp_path)
    listed, read = [], SOURCES["imagenet"].read
    monkeypatch.setitem(SOURCES, "imagenet", replace(SOURCES["imagenet"], read=lambda *a: listed.append(a) or read(*a)))
    data = DataConfig("imagenet", root=str(tmp_path), image_size=8)
    with pytest.warns(UserWarning, match="not the published numbers of images: 6, 3 instead of 1,281,167, 50,000"):
        load_images(data, seed=0)
    assert identified(RunConfig(data=data)).data.root
    assert len(listed) == 1
