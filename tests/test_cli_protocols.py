"""Finetuning protocols as a user meets them: their clean figures, their classifiers under attack, mistakes."""

import json

import pytest

from sparring.cli import main
from sparring.evaluation.finetuned import FINETUNED
from tests.test_cli import TINY

ALL = [
    "slf",
    "alf",
    "aff",
    "aff-single",
    "finetune",
    "semi-10",
    "linear-003",
    "linear-003-supcon",
    "rocl-linear",
    "rocl-linear-adv",
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs")
    assert main(["train", "clae", *TINY, "--image-size", "8", "--out", str(place / "run")]) == 0
    return place / "run"


def run(capsys, *words):
    code = main([str(word) for word in words])
    return code, *capsys.readouterr()


def test_clean_accuracy_of_every_protocol(trained, capsys):
    code, out, err = run(capsys, "evaluate", trained, "--protocol", ",".join(["knn", *ALL]), "--finetune-epochs", "1")
    assert code == 0, err
    results = json.loads((trained / "results.json").read_text())
    assert list(results) == ["knn", *ALL]
    for name in ALL:
        assert results[name]["protocol"].startswith(f"{name} v1, 1 of ")
        assert {"accuracy", "interval", "n_test", "attack", "domain", "seed", "checkpoint"} <= results[name].keys()
        assert f"{name} " in out
    assert results["aff"]["domain"] == "adv" and results["slf"]["domain"] == "clean"
    assert "alf v1, 1 of 25 epochs" in (trained / "report.html").read_text()


@pytest.mark.parametrize("name", ["alf", "aff"])
def test_their_classifiers_are_attacked(trained, capsys, name):
    words = ["--classifier", name, "--finetune-epochs", "1", "--attack", "fgsm", "--images", "12", "--trust", "false"]
    code, out, err = run(capsys, "evaluate", trained, *words)
    assert code == 0, err
    subject = json.loads((trained / "robustness.json").read_text())["subject"]
    assert subject["fitted"]["protocol"] == f"{name} v1, 1 of 25 epochs" and "PGD" in subject["fitted"]["attack"]
    assert subject["domain"] == ("adv" if name == "aff" else "clean")
    assert f"{name} v1, 1 of 25 epochs on h of clae" in out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--protocol", "afl"], "--protocol must be one of knn, logistic, linear, own, slf, alf, aff"),
        (["--protocol", "semi-1"], "semi-1: 1 % of 64 training images are 1 label, fewer than the"),
        (["--protocol", "slf", "--finetune-epochs", "0"], "evaluation.finetune_epochs must be at least 1, not 0"),
        (["--attack", "fgsm", "--classifier", "afff"], "robustness.classifier must be one of"),
    ],
)
def test_mistakes_are_one_sentence(trained, capsys, words, sentence):
    before = (trained / "results.json").read_bytes()
    code, _, err = run(capsys, "evaluate", trained, *words)
    assert code == 2 and sentence in err
    assert (trained / "results.json").read_bytes() == before


def test_list_shows_them(capsys):
    code, out, _ = run(capsys, "list", "protocols")
    assert code == 0 and all(f"  {name} " in out for name in FINETUNED)
