"""Table 2 of CLAE: its figures, and the transfer of a cell's encoder, with data sets that are there and that are not."""

import json
import shutil
from dataclasses import replace

import pytest

from sparring.recipes.budgets import BUDGETS
from sparring.recipes.cell import Cell, measure_cell, write_cell
from sparring.recipes.measurements import Transferred
from sparring.recipes.place import Place
from sparring.recipes.recipe import Row
from sparring.recipes.reproduce import find, reproduce, table, verdicts
from sparring.training import train
from tests.data import layouts
from tests.training.runs import tiny

pytestmark = pytest.mark.filterwarnings("ignore:.*published numbers")
FULL, SMOKE = BUDGETS["full"], BUDGETS["smoke"]


def test_the_table_is_the_papers():
    recipe = find("clae.table2")
    ours, base = recipe.row("SimCLR+CLAE"), recipe.row("SimCLR")
    assert list(base.paper.values()) == [72.8, 45.3, 12.25, 14.8, 50.6, 44.4, 68.2, 46.0]
    assert list(ours.paper.values()) == [73.6, 47.0, 12.6, 16.2, 51.5, 44.4, 69.1, 47.1]
    (claim,) = recipe.claims
    better = [key for key in base.paper if ours.paper[key] > base.paper[key]]
    assert [f"linear_top1 {name.removeprefix('transfer-')}" for name in claim.measures] == [
        metric.partition(",")[0] for metric in better
    ]
    full = FULL.scaled(ours.run)
    assert (full.attack.eps, full.attack.space, full.method.alpha, full.method.base) == (
        0.03,
        "normalized",
        1.0,
        "simclr",
    )
    assert (full.data.image_size, full.encoder.name) == (224, "torchvision:resnet18")


@pytest.fixture(scope="module")
def cell(tmp_path_factory):
    """A trained cell of a recipe that transfers to four data sets, of which two are there."""
    base = tmp_path_factory.mktemp("transfer")
    layouts.flowers(base / "sets" / "flowers")
    layouts.pets(base / "sets" / "pets")
    (base / "sets" / "dtd").mkdir()
    recipe = replace(find("clae.table2"), transfer=("flowers", "pets", "dtd", "cars"))
    place = Place(out=base / "results", runs=base / "runs", transfer_root=str(base / "sets"))
    row = Row("SimCLR", tiny(None, "simclr", epochs=1, checkpoint_every=1, probe_every=0))
    cell = Cell(replace(recipe, rows=(row,)), row, 0, FULL, place)
    train(replace(cell.config, out=str(cell.run)))
    return cell


def test_what_is_there_is_measured_once_and_the_rest_left_out(cell, monkeypatch):
    flowers, pets = cell.measurements()
    assert (flowers.key, pets.key) == ("transfer-flowers", "transfer-pets")
    for measurement in (flowers, pets):
        entry = measure_cell(cell, replace(measurement, penalties=2))
        monkeypatch.setattr(Transferred, "take", lambda *_, **__: pytest.fail("measured again"))
        assert measure_cell(cell, replace(measurement, penalties=2)) == entry
        monkeypatch.undo()
    monkeypatch.setattr(Cell, "measurements", lambda _: [replace(m, penalties=2) for m in (flowers, pets)])
    write_cell(cell)
    written = json.loads(cell.file.read_text())
    assert list(written["results"]) == ["transfer-flowers", "transfer-pets"]
    assert written["results"]["transfer-pets"]["metric"] == "mean per class"
    assert written["results"]["transfer-flowers"]["protocol"] == "transfer v1 (count 2)"
    assert list(written["left_out"]) == ["transfer-dtd", "transfer-cars"]
    assert "are dead; copies exist elsewhere" in written["left_out"]["transfer-cars"]
    lines = "\n".join(table(cell.recipe, FULL, [written]))
    assert (
        "- transfer-dtd: left out: dtd is not in" in lines
        and "transfer-pets, n = 6 (linear_top1 pets, mean per class)" in lines
    )
    assert "transfer-flowers: not measured" in "\n".join(verdicts(find("clae.table2"), FULL, [written]))


def test_a_data_set_that_comes_later_is_measured_and_nothing_else(cell, tmp_path, monkeypatch):
    shutil.copytree(cell.place.runs, tmp_path / "runs")
    sets = tmp_path / "sets"
    where = Place(out=tmp_path / "results", runs=tmp_path / "runs", transfer_root=str(sets))
    mine = replace(cell, place=where)
    assert mine.home.is_dir() and mine.home != cell.home
    shutil.rmtree(mine.home / "measured", ignore_errors=True)
    taken, told = [], []

    def take(measurement, *_, **__):
        taken.append(measurement.key)
        return {"accuracy": 0.5, "n_test": 6, "protocol": "transfer v1"}

    monkeypatch.setattr(Transferred, "take", take)
    monkeypatch.setattr("sparring.recipes.cell.train_cell", lambda _: pytest.fail("trained again"))

    def run():
        told.clear()
        return reproduce(cell.recipe, FULL, seeds=[0], place=where, tell=told.append)

    with pytest.raises(
        ValueError, match=r"clae\.table2 measures nothing but transfers, and no data set of them is there"
    ):
        run()
    assert not where.out.exists() and not taken
    layouts.flowers(sets / "flowers")
    assert "- transfer-pets: left out: " in run() and taken == ["transfer-flowers"]
    assert run() and told == []
    layouts.pets(sets / "pets")
    shutil.rmtree(sets / "flowers")  # what was measured of it stays
    assert "transfer-pets, n = 6" in run() and taken == ["transfer-flowers", "transfer-pets"]
    assert [line.split(": ")[2].split(",")[0] for line in told] == ["transfer", "results"]
    written = json.loads(mine.file.read_text())
    assert list(written["results"]) == ["transfer-flowers", "transfer-pets"]
    assert list(written["left_out"]) == ["transfer-dtd", "transfer-cars"]
    assert run() and told == []
    # without the trained run there is nothing to measure it with
    (sets / "dtd").mkdir()
    (sets / "dtd" / "some").write_text("")
    assert not mine.finished()
    shutil.rmtree(mine.home / "run")
    assert mine.finished()


def test_where_the_images_lie_changes_no_name(cell):
    flowers, _ = cell.measurements()
    moved = replace(flowers, config=replace(flowers.config, root="elsewhere", download=True))
    assert moved.name == flowers.name
    assert replace(flowers, config=replace(flowers.config, seed=1)).name != flowers.name
    assert replace(flowers, penalties=5).name != flowers.name


def test_the_smoke_size_has_textures_in_the_place_of_all(cell):
    smoke = replace(cell, budget=SMOKE)
    measurements = smoke.measurements()
    assert [m.key for m in measurements] == [f"transfer-{name}" for name in cell.recipe.transfer]
    assert smoke.left_out() == {} and measurements[0].penalties == 5
    entry = measurements[0].take(cell.run, cell.home, report=False)
    assert "of 5 chosen" in entry["words"] and "generated textures in the place of flowers" in entry["words"]


def test_a_damaged_data_set_fails_in_one_sentence(cell, tmp_path):
    (layouts.flowers(tmp_path / "flowers") / "jpg" / "image_00003.jpg").unlink()
    flowers, _ = cell.measurements()
    damaged = replace(flowers, config=replace(flowers.config, root=str(tmp_path)))
    with pytest.raises(ValueError, match=r"image_00003\.jpg is missing"):
        damaged.take(cell.run, cell.home, report=False)
