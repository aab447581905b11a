"""The recipe about trust at a size of seconds: what it writes, and how it judges."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sparring.recipes import trust
from sparring.recipes.budgets import BUDGETS, Budget
from sparring.recipes.claims import Colours
from sparring.recipes.place import place_of
from sparring.recipes.reproduce import reproduce
from sparring.reporting import results_table

RESULTS = Path(__file__).parent.parent.parent / "results" / "trust"


@pytest.fixture
def images(tmp_path):
    """Two classes that a few steps of training tell apart: bright left or bright right halves."""
    draw = np.random.default_rng(0)
    for part, count in (("train", 64), ("test", 20)):
        for name in ("left", "right"):
            folder = tmp_path / "images" / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = draw.integers(0, 120, (32, 32, 3), dtype=np.uint8)
                half = slice(0, 16) if name == "left" else slice(16, 32)
                pixels[:, half] += 100
                Image.fromarray(pixels).save(folder / f"{number:03}.png")
    return tmp_path / "images"


TINY = Budget("smoke", "tiny: for this test", epochs=2, steps=2, attacked=20, looked=12, report=False)


def test_rows_are_written_once_with_everything_that_their_figures_depend_on(images, tmp_path, monkeypatch):
    small = replace(trust.EVERYTHING, attack=["fgsm", "pgd-20"], corruptions=False)
    monkeypatch.setattr(trust, "EVERYTHING", small)
    monkeypatch.setattr(trust, "FEW", replace(small, attack=["fgsm"]))
    where = place_of("folder", images, "halves", tmp_path / "out", tmp_path / "runs")
    rows = ["natural", "randomised"]
    printed = reproduce(trust.RECIPE, TINY, rows=rows, seeds=[0], place=where, tell=lambda _: None)
    files = [tmp_path / "out" / "trust" / f"{row}-smoke-seed0.json" for row in rows]
    written = [json.loads(file.read_text()) for file in files]
    assert [result["row"] for result in written] == rows
    for result in written:
        assert len(result["checks"]) == 13 and result["environment"]["versions"]["torch"]
        assert result["config"]["robustness"]["version"] == 2 and "command" not in result["environment"]
        assert (result["results"]["clean"]["n"], result["data"], result["budget"]) == (20, "halves", TINY.label)
        assert str(tmp_path) not in json.dumps(result)
    assert written[1]["checks"]["deterministic"]["colour"] == "red"
    assert "- randomised: holds (not green: " in printed and "| natural | 1 |" in printed
    assert "saturated: not measured" in printed
    # both rows stand on one CNN
    (home,) = (tmp_path / "runs" / "smoke").iterdir()
    assert {"weights.safetensors", "natural", "randomised"} <= {path.name for path in home.iterdir()}
    before = files[0].stat().st_mtime_ns
    reproduce(trust.RECIPE, TINY, rows=rows, seeds=[0], place=where, tell=lambda _: None)
    assert files[0].stat().st_mtime_ns == before
    table = results_table(files)
    assert "**trust** on `halves`" in table and "red: deterministic" in table and "| natural |" in table


def test_the_short_size_is_the_one_of_the_results_that_are_there():
    short = BUDGETS["short"].of("trust")
    assert {json.loads(file.read_text())["budget"] for file in RESULTS.glob("*.json")} == {short.label}
    scaled = replace(short.robustness(trust.EVERYTHING), trust=True)
    assert scaled == trust.EVERYTHING and short.robustness(trust.FEW).attack == ["fgsm", "pgd-20"]
    run = short.scaled(trust.NATURAL)
    assert (run.training.epochs, run.training.batch_size, run.data.train_images) == (10, 128, 20_000)


def test_a_broken_model_decides_as_the_natural_one_or_is_random():
    model = trust.cnn(4).eval()
    x = torch.rand(6, 3, 32, 32)
    assert torch.equal(trust.Saturated(model)(x).argmax(dim=1), model(x).argmax(dim=1))
    levels = torch.randint(0, 8, (6, 3, 32, 32)) / 7
    assert torch.allclose(trust.Quantised(model)(levels), model(levels), atol=1e-5)
    randomised = trust.Randomised(model)
    assert not torch.equal(randomised(x), randomised(x))


def test_a_row_is_judged_by_its_colours():
    def judged(claim, *seeds):
        results = [
            {"row": "a", "checks": {name: {"colour": colour} for name, colour in checks.items()}} for checks in seeds
        ]
        return claim.judge(results, "clean")

    honest, broken = Colours("a", "why"), Colours("a", "why", ("x",))
    assert judged(honest, {"x": "green", "y": "green"}) == "a: holds (not green: none): why"
    assert judged(honest, {"x": "green", "y": "yellow"}) == "a: fails (not green: y yellow): why"
    assert judged(honest, {"x": "green"}, {"x": "red"}) == "a: fails (not green: x green/red): why"
    assert judged(broken, {"x": "red", "y": "yellow"}) == "a: holds (not green: x red, y yellow): why"
    assert judged(broken, {"x": "green"}).startswith("a: fails")
    assert judged(broken, {"x": "grey"}) == "a: undecided (not green: x grey): why"  # it could not be made
    assert judged(broken, {"y": "green"}) == "a: undecided (not green: x not made): why"
    assert judged(honest, {"x": "grey"}, {"x": "green"}) == "a: undecided (not green: x green/grey): why"
    assert judged(honest, {"x": "grey", "y": "red"}).startswith("a: fails")
    assert judged(honest, {"x": "green"}, {"x": "green", "y": "red"}) == "a: fails (not green: y red): why"
    assert judged(honest) == "a: not measured: why"
