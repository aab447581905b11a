"""RoCL and ACL on the command line: train, measure through the norm of the method, attack, report."""

import json

import pytest

from sparring.cli import main

TINY = [
    *("--data", "synthetic", "--train-images", "64", "--test-images", "32", "--image-size", "8"),
    *("--encoder", "python:tests.training.runs.backbone", "--hidden", "16", "--dim", "8", "--batch-size", "16"),
    *("--optimizer", "adam", "--lr", "0.01", "--epochs", "1", "--probe-every", "0", "--progress", "false"),
    *("--knn-k", "10", "--logistic-epochs", "2", "--attack-eps", "0,8/255", "--device", "cpu"),
]
RUNS = {
    "rocl": (["rocl"], "clean", {"rocl", "regularizer"}, 7, "one batch norm a layer"),
    "a-rocl": (["rocl", "--pairs", "frequency"], "clean", {"rocl", "removed"}, 7, "one batch norm a layer"),
    "ds": (["acl"], "adv", {"clean", "adversarial"}, 5, "adversarial running means lie"),
    "a2a": (["acl", "--mode", "a2a"], "clean", {"adversarial"}, 5, "one batch norm a layer"),
    "a2s": (["acl", "--mode", "a2s", "--preset", "official"], "adv", {"adversarial"}, 5, "running means lie"),
    "s2s": (["acl", "--mode", "s2s"], "clean", {"clean"}, None, "one batch norm a layer"),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs")
    for name, (words, *_) in RUNS.items():
        assert main(["train", *words, *TINY, "--out", str(place / name)]) == 0
    return place


@pytest.mark.parametrize("name", RUNS)
def test_a_run_is_measured_through_its_norm_and_reports_its_adversary(runs, name):
    _, domain, terms, steps, norms = RUNS[name]
    results, analysis = (json.loads((runs / name / f"{file}.json").read_text()) for file in ("results", "analysis"))
    assert {entry["domain"] for entry in results.values()} == {analysis["domain"]} == {domain}
    assert terms <= json.loads((runs / name / "metrics.jsonl").read_text().splitlines()[-1]).keys()
    attack = analysis["attack"]
    assert attack["in_training"] == (steps is not None) and attack["climbs"] == "contrastive_loss"
    assert f"{steps} steps of" in attack["words"] if steps else "FGSM" in attack["words"]
    assert ("that may leave [0, 1]" in attack["words"]) == (name == "a2s")
    curve = analysis["curves"]["adversarial"]["contrastive_loss"]["mean"]
    assert curve[1] > curve[0]
    report = (runs / name / "report.html").read_text()
    assert norms in report and attack["words"] in report
    assert ("This adversary was part of training" in report) == (steps is not None)
    assert "six ordered pairs" in report if "rocl" in name else "NT-Xent(a, b)" in report


def test_a_dual_stream_encoder_is_attacked_through_either_norm(runs, capsys):
    quick = ["--attack", "fgsm", "--images", "12", "--trust", "false"]
    for domain, words in ((None, "adv"), ("clean", "clean")):
        assert main(["evaluate", str(runs / "ds"), *quick, *(["--domain", domain] if domain else [])]) == 0
        assert json.loads((runs / "ds" / "robustness.json").read_text())["subject"]["domain"] == words
        capsys.readouterr()
