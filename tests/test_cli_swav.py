"""SwAV on the command line: train on digits, measure, attack, report."""

import json

import pytest

from sparring.cli import main

TINY = [
    *("--train-images", "64", "--test-images", "32", "--image-size", "8", "--encoder", "resnet20"),
    *("--lr", "0.01", "--batch-size", "16", "--epochs", "2", "--probe-every", "0", "--progress", "false"),
    *("--prototypes", "7", "--queue", "20", "--queue-from", "1", "--crops", "1", "--freeze-prototypes", "1"),
    *("--knn-k", "10", "--logistic-epochs", "2", "--attack-eps", "0,8/255", "--device", "cpu", "--hidden", "16"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs") / "swav"
    assert main(["train", "swav", "--data", "digits", *TINY, "--out", str(place)]) == 0
    return place


def test_a_run_is_measured_and_its_report_says_what_was_attacked(run):
    results, analysis = (json.loads((run / f"{name}.json").read_text()) for name in ("results", "analysis"))
    assert list(results) == ["knn", "logistic"]
    assert analysis["attack"]["climbs"] == "swapped_prediction"
    rises = analysis["curves"]["adversarial"]["contrastive_loss"]["mean"]
    assert rises[1] > rises[0] > 0
    report = (run / "report.html").read_text()
    assert "It maximises the swapped prediction between an image" in report
    assert "Prototypes in use" in report and "of 7 (SwAV)" in report
    assert "contrastive loss between an image" not in report and ">Contrastive loss" not in report
    assert "which of K prototypes one view belongs to" in report


def test_it_can_be_attacked_afterwards(run, capsys):
    words = ["evaluate", str(run), "--attack", "fgsm", "--images", "12", "--trust", "false", "--logistic-epochs", "2"]
    assert main(words) == 0
    assert json.loads((run / "robustness.json").read_text())["attacks"]["fgsm"]["n"] == 12
    assert "logistic v1 on h of swav" in capsys.readouterr().out


def test_it_is_listed(capsys):
    assert main(["list", "methods"]) == 0
    assert "swav" in capsys.readouterr().out
