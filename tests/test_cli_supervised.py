"""Methods that train a classifier, on the command line: train, measure, attack their own classifier, report."""

import json
from pathlib import Path

import pytest

from sparring.cli import main
from tests.training.runs import SUPERVISED

TINY = [
    *("--data", "synthetic", "--train-images", "64", "--test-images", "32", "--image-size", "8"),
    *("--encoder", "python:tests.training.runs.backbone", "--lr", "0.01", "--batch-size", "16", "--epochs", "1"),
    *("--probe-every", "0", "--progress", "false", "--knn-k", "10", "--logistic-epochs", "2"),
    *("--attack-eps", "0,8/255", "--device", "cpu"),
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs")
    for name in SUPERVISED:
        assert main(["train", name, *TINY, "--out", str(place / name)]) == 0
    return place


def run(capsys, *words) -> tuple[int, str, str]:
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def read(path: Path) -> dict:
    return json.loads(path.read_text())


@pytest.mark.parametrize("name", SUPERVISED)
def test_a_run_measures_its_own_classifier_and_reports_what_was_attacked(runs, name):
    results, analysis = read(runs / name / "results.json"), read(runs / name / "analysis.json")
    assert list(results) == ["own", "knn", "logistic"]
    own = results["own"]
    assert own["protocol"] == "own v1" and own.keys() == results["knn"].keys() - {"k", "temperature"}
    assert (own["layer"], own["domain"], own["n_test"], own["n_train"]) == ("h", "clean", 32, 64)
    assert own["interval"][0] <= own["accuracy"] <= own["interval"][1]
    assert set(analysis["curves"]["adversarial"]) == {"cross_entropy", "accuracy"}
    assert analysis["curves"]["adversarial"]["accuracy"]["mean"][0] == pytest.approx(own["accuracy"])
    curve = analysis["curves"]["adversarial"]["cross_entropy"]["mean"]
    assert curve[1] > curve[0] and analysis["attack"]["in_training"] == (name not in ("natural", "org_scl"))
    report = (runs / name / "report.html").read_text()
    assert "own v1" in report and "maximises the cross-entropy of the run&#x27;s own classifier" in report
    assert "contrastive loss between an image" not in report and "Downstream" not in report
    assert "Accuracy in training" in report and ("Selected rows" in report) == (name == "ascl")


def test_the_own_classifier_is_attacked_unless_another_is_named(runs, capsys):
    quick = ["--attack", "fgsm", "--images", "12", "--trust", "false", "--logistic-epochs", "2"]
    code, out, err = run(capsys, "evaluate", runs / "ascl", *quick)
    assert code == 0, err
    entry = read(runs / "ascl" / "robustness.json")
    assert entry["subject"]["fitted"]["protocol"] == "own v1" and "own v1 on h of ascl" in out
    clean = read(runs / "ascl" / "results.json")["own"]["accuracy"]
    code, _, err = run(capsys, "evaluate", runs / "ascl", *quick[:2], "--images", "null", "--trust", "false")
    assert read(runs / "ascl" / "robustness.json")["clean"]["accuracy"] == clean
    assert run(capsys, "evaluate", runs / "ascl", *quick, "--classifier", "logistic")[0] == 0
    assert read(runs / "ascl" / "robustness.json")["subject"]["fitted"]["protocol"] == "logistic v1"


def test_the_own_classifier_can_be_measured_alone(runs, capsys):
    code, out, err = run(capsys, "evaluate", runs / "trades", "--protocol", "own")
    assert code == 0, err
    assert list(read(runs / "trades" / "results.json")) == ["own"] and "own v1" in out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--protocol", "own"], "protocol own measures a method's own classifier, but simclr trains none"),
        (
            ["--attack", "fgsm", "--classifier", "own"],
            "robustness.classifier is own, but simclr trains no classifier; choose another",
        ),
    ],
)
def test_an_encoder_without_a_classifier_has_no_own_one(tmp_path, capsys, words, sentence):
    assert main(["train", "simclr", *TINY, "--out", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    code, out, err = run(capsys, "evaluate", tmp_path / "run", *words)
    assert (code, out) == (2, "") and err == f"sparring: error: {sentence}\n"
