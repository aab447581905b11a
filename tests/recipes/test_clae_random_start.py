"""The recipe's rows are what they say, and a run leaves a result file that the table reads."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from PIL import Image

from sparring.recipes import clae_random_start as recipe
from sparring.reporting import read_results, results_table


def differences(one, other):
    flat = [
        {
            f"{group}.{key}": value
            for group, part in asdict(row).items()
            if isinstance(part, dict)
            for key, value in part.items()
        }
        for row in (one, other)
    ]
    return {key for key in flat[0] if flat[0][key] != flat[1][key]}


def test_rows_differ_in_nothing_but_what_their_names_say():
    rows = recipe.ROWS
    assert differences(rows["CLAE, FGSM"], rows["CLAE, random start"]) == {"attack.name"}
    assert all(key.startswith(("method.", "attack.")) for key in differences(rows["SimCLR"], rows["CLAE, FGSM"]))
    for budget in recipe.BUDGETS:
        scaled = [recipe.with_budget(row, budget) for row in rows.values()]
        assert len({str(row.training) + str(row.data) + str(row.encoder) + str(row.evaluation) for row in scaled}) == 1


def test_the_full_budget_is_the_papers():
    row = recipe.with_budget(recipe.ROWS["CLAE, FGSM"], "full")
    assert (row.encoder.name, row.training.epochs, row.training.batch_size) == ("resnet18", 100, 256)
    assert (row.attack.eps, row.attack.space, row.attack.clip) == (0.03, "normalized", False)


@pytest.fixture
def images(tmp_path):
    rng = np.random.default_rng(0)
    for part, count in (("train", 24), ("test", 8)):
        for label in ("dark", "light"):
            (tmp_path / part / label).mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 128, (16, 16, 3), dtype=np.uint8) + (128 if label == "light" else 0)
                Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / part / label / f"{number:04}.png")
    return tmp_path


def test_a_run_writes_one_result_and_is_not_repeated(images, tmp_path, monkeypatch):
    tiny = recipe.Budget("tiny: for this test", epochs=1, train_images=40, test_images=16, logistic_epochs=2)
    monkeypatch.setitem(recipe.BUDGETS, "smoke", tiny)
    small = {
        name: recipe.replace(row, training=recipe.replace(row.training, batch_size=16))
        for name, row in recipe.ROWS.items()
    }
    monkeypatch.setattr(recipe, "ROWS", small)
    monkeypatch.setattr(
        recipe,
        "with_budget",
        lambda row, name, scale=recipe.with_budget: recipe.replace(
            scale(row, name), training=recipe.replace(scale(row, name).training, batch_size=16)
        ),
    )
    out = tmp_path / "results"
    file = recipe.run("CLAE, random start", 0, "smoke", images, out, "made-here")
    (result,) = read_results([file])
    assert (result["row"], result["seed"], result["data"]) == ("CLAE, random start", 0, "made-here")
    assert result["config"]["attack"]["name"] == "ffgsm"
    assert str(tmp_path) not in file.read_text()
    assert result["results"]["knn"]["n_test"] == 16
    assert "made-here" in results_table([file])
    written = file.stat().st_mtime_ns
    assert recipe.run("CLAE, random start", 0, "smoke", images, out, "made-here") == file
    assert file.stat().st_mtime_ns == written
    assert json.loads(file.read_text())["budget"] == "tiny: for this test"
