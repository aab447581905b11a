"""The recipe about trust at a size of seconds: what it writes, and how it judges."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from sparring.recipes import trust
from sparring.reporting import results_table


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


@pytest.fixture
def quick(monkeypatch):
    smoke = trust.BUDGETS["smoke"]
    small = {"images": 20, "trust_images": 12, "square_queries": 10}
    budget = replace(
        smoke,
        train_images=None,
        epochs=2,
        robustness=replace(smoke.robustness, attack=["fgsm", "pgd-2"], corruptions=False, **small),
        broken=replace(smoke.broken, attack=["fgsm"], **small),
    )
    monkeypatch.setitem(trust.BUDGETS, "smoke", budget)


def test_rows_are_written_once_with_everything_that_their_figures_depend_on(images, quick, tmp_path):
    places = {
        "root": images,
        "out": tmp_path / "out",
        "data": "halves",
        "folder": None,
        "weights": tmp_path / "weights",
    }
    files = [trust.run(row, 0, "smoke", **places) for row in ("natural", "randomised")]
    written = [json.loads(file.read_text()) for file in files]
    assert [result["row"] for result in written] == ["natural", "randomised"]
    for result in written:
        assert len(result["checks"]) == 13 and result["environment"]["versions"]["torch"]
        assert result["config"]["robustness"]["version"] == 2 and "command" not in result["environment"]
        assert result["results"]["clean"]["n"] == 20
    assert written[1]["checks"]["deterministic"]["colour"] == "red"
    assert trust.judge(files[1]).startswith("randomised: deterministic red: holds")
    before = files[0].stat().st_mtime_ns
    assert trust.run("natural", 0, "smoke", **places) == files[0] and files[0].stat().st_mtime_ns == before
    table = results_table(files)
    assert "**trust** on `halves`" in table and "red: deterministic" in table and "| natural |" in table


def test_a_broken_model_decides_as_the_natural_one_or_is_random():
    model = trust.cnn(4).eval()
    x = torch.rand(6, 3, 32, 32)
    assert torch.equal(trust.Saturated(model)(x).argmax(dim=1), model(x).argmax(dim=1))
    levels = torch.randint(0, 8, (6, 3, 32, 32)) / 7
    assert torch.allclose(trust.Quantised(model)(levels), model(levels), atol=1e-5)
    randomised = trust.Randomised(model)
    assert not torch.equal(randomised(x), randomised(x))


def test_a_row_is_judged_by_its_colours(tmp_path):
    file = tmp_path / "row.json"
    green = {"a": {"colour": "green"}, "b": {"colour": "green"}}
    file.write_text(json.dumps({"row": "natural", "checks": green}))
    assert trust.judge(file) == "natural: every check is green: holds"
    file.write_text(json.dumps({"row": "natural", "checks": green | {"b": {"colour": "yellow"}}}))
    assert "fails" in trust.judge(file)
    file.write_text(json.dumps({"row": "randomised", "checks": {"deterministic": {"colour": "green"}}}))
    assert "fails" in trust.judge(file)
