"""Recipes whose weights the user brings: read, refused, made for a smoke test, measured once."""

import json
import pickle
from pathlib import Path

import pytest
import torch

from sparring.cli import main
from sparring.recipes import given
from sparring.recipes.budgets import BUDGETS, MADE
from sparring.recipes.place import place_of
from sparring.recipes.reproduce import find, summary
from sparring.recipes.tasks import plan
from sparring.recipes.workers import Here
from tests.data.layouts import picture
from tests.reference import published as theirs

SMOKE, FULL = BUDGETS["smoke"], BUDGETS["full"]
TABLE_1 = find("csl.table1")
DATA = ["--data", "synthetic", "--budget", "smoke", "--out", "res", "--runs", "runs"]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with checkpoints for the four classes of the synthetic images; this process does the work."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sparring.recipes.workers.Local", lambda *_, **__: Here())
    torch.manual_seed(0)
    supervised = theirs.lived_in(theirs.Classifier())
    supervised.fc = torch.nn.Linear(supervised.features, 4)
    torch.save(supervised.state_dict(), "supervised.pth")
    swav = theirs.lived_in(theirs.Swav())
    torch.save({"state_dict": {f"module.{key}": value for key, value in swav.state_dict().items()}}, "swav.pth.tar")
    torch.save(
        {
            "epoch": 100,
            "state_dict": {"module.linear.weight": torch.randn(4, 128), "module.linear.bias": torch.zeros(4)},
        },
        "swav_linear.pth.tar",
    )
    return tmp_path


def run(capsys, *words):
    code = main(["reproduce", *map(str, words)])
    out, err = capsys.readouterr()
    return code, out, err


def test_given_weights_are_measured_and_the_others_are_listed(home, capsys, monkeypatch):
    words = "supervised=supervised.pth; SwAV = swav.pth.tar , linear = swav_linear.pth.tar"
    monkeypatch.setattr("sparring.recipes.tasks.not_given", lambda row, budget: row.given and row.given.weights is None)
    code, out, err = run(capsys, "csl.table1", *DATA, "--weights", words)
    assert code == 0, err
    assert "| SwAV: swav.pth.tar" in out and "| SimCLR: not given | 0 | - (68.95) | - (24.33 ↓65 Δ+15)" in out
    assert "- SimCLR: not given; the paper's are" in out and "budget smoke: weights as given" in out
    result = json.loads(Path("res/csl.table1/swav-smoke-seed0.json").read_text())
    assert result["weights"]["words"] == "swav.pth.tar" and not result["weights"]["made"]
    assert "a classifier of 4 classes from swav_linear.pth.tar" in result["weights"]["encoder"]
    assert result["results"]["clean"]["words"] == "own v1 on h of swav.pth.tar"
    assert result["config"]["weights"]["layout"] == "swav" and result["config"]["data"]["image_size"] == 32
    assert set(TABLE_1.row("SwAV").paper) == set(result["paper"])
    assert {column.key for column in TABLE_1.columns} <= result["results"].keys()
    assert str(home) not in json.dumps(result)

    # a finished cell is left alone; other weights under its name are refused
    before = Path("res/csl.table1/swav-smoke-seed0.json").stat().st_mtime_ns
    code, _, err = run(capsys, "csl.table1", *DATA, "--rows", "SwAV", "--weights", words)
    assert code == 0 and Path("res/csl.table1/swav-smoke-seed0.json").stat().st_mtime_ns == before
    torch.save(theirs.lived_in(theirs.Swav(), seed=5).state_dict(), "other.pth")
    code, _, err = run(capsys, "csl.table1", *DATA, "--rows", "SwAV", "--weights", "SwAV=other.pth")
    assert code == 2 and "has figures of other weights than other.pth: choose another --out" in err


def test_smoke_makes_untrained_weights_and_says_so_everywhere(home, capsys, monkeypatch):
    code, out, err = run(capsys, "csl.figure2", *DATA[2:])  # digits, of one channel
    assert code == 0, err
    for row in ("Supervised", "SwAV", "SimCLR"):
        assert f"| {row}: {MADE} | 1 |" in out
        result = json.loads(Path(f"res/csl.figure2/{row.lower()}-smoke-seed0.json").read_text())
        assert result["budget"].startswith(f"smoke: {MADE}") and result["weights"]["made"]
        assert "untrained-weights-made-on-the-spot" in result["results"]["clean"]["words"]
        assert result["weights"]["untrained"]["colour"] == "red"
        assert sum(name.endswith(" 1") for name in result["results"]) == 15
    assert "slope of SimCLR over Supervised" in out and f"budget smoke: {MADE}" in out
    page = Path("res/csl.figure2/smoke.html").read_text()
    assert page.count("<figure>") == 2 and MADE in page and "SwAV against Supervised" in page
    files = {str(path.relative_to(home)) for path in home.rglob("*.safetensors")}
    assert not files  # they lay in a temporary folder

    # Table 6 takes the same measurements from their files
    monkeypatch.setattr("sparring.published.of_weights", lambda *_, **__: pytest.fail("measured twice"))
    code, out, err = run(capsys, "csl.table6", *DATA[2:])
    assert code == 0 and "gaussian_noise 1" in out, err


def test_the_layouts_that_smoke_makes_are_read_by_the_keys_alone(home):
    from sparring.config import DataConfig
    from sparring.encoders.published import load_published
    from sparring.recipes.untrained_weights import make_weights

    data = DataConfig(name="synthetic", image_size=32, train_images=8, test_images=4)
    for layout in ("torchvision", "simclr", "swav"):
        file, config = make_weights(layout, home / f"{layout}.safetensors", data)
        again, _ = make_weights(layout, home / "again.safetensors", data)
        assert file.read_bytes() == again.read_bytes()
        found = load_published(file, layout=layout, linear=config.linear)
        assert found.encoder.classes == 4 and found.report.layout == layout
    assert config.linear and "prototypes.weight" in found.report.left_over


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["csl.table1", "--weights", "SimCLR=none.pth"], "--weights of SimCLR: there is no file none.pth"),
        (["csl.table1", "--weights", "SwAV=swav.pth.tar,linear=none.pth"], "there is no file none.pth"),
        (["csl.table1", "--weights", "SimClRR=swav.pth.tar"], "with a row of Supervised, SwAV, SimCLR, not"),
        (["csl.table1", "--weights", "SwAB=swav.pth.tar"], "did you mean SwAV?"),
        (["csl.table1", "--weights", "swav.pth.tar"], "--weights must be ROW=FILE"),
        (["csl.table1", "--weights", "SwAV=swav.pth.tar;swav=swav.pth.tar"], "--weights names SwAV twice"),
        (["csl.table1", "--weights", "SwAV=swav.pth.tar,lines=x"], "'lines=x' must be SETTING=VALUE with a setting of"),
        (["csl.table1", "--weights", "SwAV=swav.pth.tar,layout=sawv"], "encoder.layout"),
        (
            ["csl.table1", "--weights", "SwAV=supervised.pth,layout=torchvision,linear=swav.pth.tar"],
            "holds a classifier already",
        ),
        (
            ["csl.table1", "--weights", "SwAV=swav.pth.tar,linear=supervised.pth"],
            "not the weight and bias of one linear",
        ),
        (["csl.table1", "--weights", "Supervised=swav.pth.tar"], "read as torchvision"),
        (["csl.table1", "--weights", "Supervised=torchvision:resnet50"], "torchvision:resnet50.IMAGENET1K_V1 or"),
        (["csl.table3", "--weights", "SimCLR=swav.pth.tar"], "csl.table3 trains its rows itself"),
        (
            ["csl.table1", "--data", "digits", "--weights", "SwAV=swav.pth.tar"],
            "takes images of 3 channels, those of digits",
        ),
        (
            ["csl.table1", "--budget", "full", "--rows", "SwAV"],
            "SwAV: not given; the paper's are facebookresearch/swav's",
        ),
    ],
)
def test_bad_weights_are_refused_in_one_sentence_before_any_work(home, capsys, words, sentence):
    code, out, err = run(capsys, *DATA, *words)
    assert code == 2 and sentence in err and err.count("\n") == 1 and out == ""
    assert not Path("res").exists() and not Path("runs").exists()


def test_the_full_size_trains_nothing_and_asks_for_weights(home):
    place = place_of("synthetic", None, None, home / "res", home / "runs")
    for name in ("csl.table1", "csl.table6", "csl.figure2"):
        recipe = find(name)
        assert all(given.not_given(row, FULL) and not given.not_given(row, SMOKE) for row in recipe.rows)
        assert plan([recipe], FULL, place) == [] and len(plan([recipe], SMOKE, place)) == 3
        assert recipe.robustness[0].config.images is None and recipe.seeds == 1
    assert not given.not_given(find("csl.table3").rows[0], FULL)
    said = summary(TABLE_1, FULL, place)
    assert said.count(": not given; the paper's are") == 3 and "there are no results of budget full" in said


def test_tasks_of_given_weights_go_to_other_processes(home):
    place = place_of("synthetic", None, None, home / "res", home / "runs")
    brought = given.bring([find("csl.figure2")], ["SwAV=swav.pth.tar"])
    tasks = plan(brought, SMOKE, place)
    sent = pickle.loads(pickle.dumps(tasks))
    assert [(task.name, task.home, task.after) for task in sent] == [
        (task.name, task.home, task.after) for task in tasks
    ]
    swav, simclr = tasks[1], tasks[2]
    assert swav.home != simclr.home and str(simclr.home).endswith("-made")


def test_corruptions_from_official_files(home):
    folder = home / "ImageNet-C"
    folder.mkdir()
    with pytest.raises(ValueError, match=r"--corrupted: .*ImageNet-C has none of the known corruptions"):
        given.on_official_files([find("csl.table6")], str(folder))
    for severity in range(1, 6):
        picture(folder / "fog" / str(severity) / "n01440764" / "a.JPEG")
    (changed,) = given.on_official_files([find("csl.table6")], str(folder))
    assert changed.robustness[0].config.corrupted_root == str(folder)
    with pytest.raises(ValueError, match="--corrupted is nowhere, which is no folder"):
        given.on_official_files([find("csl.table6")], "nowhere")
    with pytest.raises(ValueError, match=r"but csl\.table1 measures no corruptions"):
        given.on_official_files([TABLE_1], str(folder))
