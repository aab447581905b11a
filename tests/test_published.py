"""`sparring evaluate weights:FILE` as a user meets it: a published checkpoint becomes figures and a report."""

import json
import random
from pathlib import Path

import pytest
import torch
from PIL import Image

from sparring.cli import main
from tests.reference import published as theirs

DATA = ["--data", "synthetic", "--train-images", "60", "--test-images", "40", "--image-size", "32"]
QUICK = ["--knn-k", "20", "--logistic-epochs", "2"]


@pytest.fixture
def acl(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    state = theirs.lived_in(theirs.Acl()).state_dict()
    torch.save({"epoch": 1000, "state_dict": state}, tmp_path / "model_1000.pt")
    return Path("model_1000.pt")


def run(capsys, *words):
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def test_clean_figures_of_one_domain_with_every_key_accounted_for(acl, capsys):
    words = [f"weights:{acl}", *DATA, *QUICK, "--protocol", "knn,logistic", "--domain", "adv", "--out", "figures"]
    code, out, err = run(capsys, "evaluate", *words)
    assert code == 0, err
    seen, results = (json.loads(Path("figures", name).read_text()) for name in ("weights.json", "results.json"))
    assert (
        seen["layout"] == "acl"
        and seen["domain"] == "adv"
        and seen["untrained"]["colour"] in ("red", "yellow", "green")
    )
    assert seen["keys"]["used"]["backbone.bn1.adv.weight"] == "bn1.bn_list.1.weight"
    assert list(results) == ["knn", "logistic"] and results["knn"]["temperature"] == 0.07
    assert results["knn"]["domain"] == "adv" and results["knn"]["n_test"] == 40
    report = Path("figures/report.html").read_text()
    assert "The checkpoint" in report and "layer4.0.bn2.bn_list.0.running_var" in report and "logistic v1" in report
    assert "two batch norms" in out and "never reaches" in out and "knn" in out and "kNN gets" in out
    before = Path("figures/report.html").read_bytes()
    assert run(capsys, "report", "figures")[0] == 0
    assert Path("figures/report.html").read_bytes() == before
    assert run(capsys, "evaluate", *words)[0] == 0 and Path("figures/results-1.json").is_file()


def test_attacks_on_a_classifier_fitted_on_it(acl, capsys):
    words = [*DATA, *QUICK, "--attack", "fgsm", "--images", "10", "--trust", "false", "--classifier", "knn"]
    code, out, err = run(capsys, "evaluate", f"weights:{acl}", *words)
    assert code == 0, err
    folder = Path("runs/weights-model_1000")
    seen = json.loads((folder / "robustness.json").read_text())
    assert seen["subject"]["words"] == "knn v1 on h of model_1000.pt" and seen["subject"]["domain"] == "adv"
    assert not (folder / "results.json").exists() and (folder / "weights.json").is_file()
    assert "Robustness" in (folder / "report.html").read_text() and "fgsm" in out


def test_of_two_batch_norms_the_adversarial_one_is_measured_unless_the_clean_one_is_asked_for(acl, capsys):
    seen = {}
    for asked in ([], ["--domain", "clean"]):
        code, out, err = run(
            capsys, "evaluate", f"weights:{acl}", *DATA, "--protocol", "slf,finetune", "--finetune-epochs", "1", *asked
        )
        assert code == 0, err
        read = [
            json.loads(Path("runs/weights-model_1000", f"{name}.json").read_text()) for name in ("weights", "results")
        ]
        seen[bool(asked)] = [read[0]["domain"], *(read[1][name]["domain"] for name in ("slf", "finetune"))]
        measured, other = ("clean", "adv") if asked else ("adversarial", "clean")
        assert f"figures go through the {measured} one of its batch norms (--domain {other} for the other)" in out
    assert seen == {False: ["adv"] * 3, True: ["clean"] * 3}


def test_a_classifier_in_the_file_is_measured_if_it_fits(acl, capsys):
    torch.manual_seed(0)
    torch.save(theirs.lived_in(theirs.Acl(classes=4)).state_dict(), "tuned.pt")  # as many as the synthetic images have
    code, _, err = run(capsys, "evaluate", "weights:tuned.pt", *DATA, *QUICK, "--protocol", "own")
    assert code == 0, err
    found = json.loads(Path("runs/weights-tuned/results.json").read_text())
    assert list(found) == ["own"] and found["own"]["classes"] == 4
    torch.save(theirs.lived_in(theirs.Acl(classes=77)).state_dict(), "other.pt")
    code, _, err = run(capsys, "evaluate", "weights:other.pt", *DATA, *QUICK, "--protocol", "own")
    assert code == 2 and "tells 77 classes apart" in err and not Path("runs/weights-other").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--layout", "swav"], "read as swav"),
        (["--layout", "sawv"], "did you mean swav?"),
        (["--encoder.weights", "x"], "--encoder.weights is no option"),
        (["--protocol", "knnn"], "--protocol must be one of knn"),
        (["--protocol", "own"], "holds no classifier"),
        (["--attack", "pdg"], "did you mean pgd?"),
        (["--projector", "p.pt"], "only RoCL keeps one apart"),
        (["--epochs", "3"], "--epochs cannot be changed by evaluate"),
        (["--image-size", "8", "--knn-k", "300"], "knn_k is 300"),
        (
            ["--protocol", "knn", "--finetune-epochs", "3"],
            "evaluation.finetune_epochs is given, but nothing is finetuned",
        ),
    ],
)
def test_mistakes_are_one_sentence(acl, capsys, words, sentence):
    code, out, err = run(capsys, "evaluate", f"weights:{acl}", *DATA, *words)
    assert code == 2 and out == "" and sentence in err and err.count("\n") == 1
    assert not Path("runs/weights-model_1000/results.json").exists()


@pytest.mark.parametrize(
    ("place", "words", "sentence"),
    [
        ("weights:", DATA, "weights: names no file; name a checkpoint file, such as weights:checkpoint.pth"),
        ("weights:.", DATA, "weights:. is a folder; name a checkpoint file"),
        ("weights:none.pt", DATA, "weights:none.pt is a file that is not there"),
        ("weights:model_1000.pt", QUICK, "--data must be named: the images on which weights:model_1000.pt is measured"),
        ("weights:model_1000.pt", ["--data", "digits"], "takes images of 3 channels, those of digits have 1"),
        ("weights:plain.pt", [*DATA, "--domain", "adv"], "evaluation.domain is adv, but plain.pt has one batch norm"),
    ],
)
def test_what_is_missing_or_does_not_fit_is_named(acl, capsys, place, words, sentence):
    torch.manual_seed(0)
    kept = {k.replace("bn_list.0.", ""): v for k, v in torch.load(acl)["state_dict"].items() if "bn_list.1" not in k}
    torch.save(kept, "plain.pt")
    code, out, err = run(capsys, "evaluate", place, *words, "--layout", "acl")
    assert code == 2 and out == "" and sentence in err and err.count("\n") == 1 and "norms." not in err
    assert not Path("runs").exists()


def test_without_labels_only_the_representation_is_attacked(acl, capsys):
    Path("images").mkdir()
    for i in range(12):
        Image.frombytes("RGB", (32, 32), random.Random(i).randbytes(3 * 32 * 32)).save(f"images/{i}.png")
    words = ["--data", "folder", "--root", "images", "--test-root", "images", "--images", "4", "--trust", "false"]
    code, _, err = run(capsys, "evaluate", f"weights:{acl}", *words, "--attack", "fgsm", "--out", "f")
    assert code == 2 and "no class to be wrong in (--representation alone needs none)" in err
    code, out, err = run(capsys, "evaluate", f"weights:{acl}", *words, "--representation", "--out", "f")
    assert code == 0, err
    seen = json.loads(Path("f/robustness.json").read_text())
    assert seen["clean"] is None and seen["representation"]["n"] == 4 and "a seeded draw of 4 of 12" in out
    assert seen["subject"]["words"] == "h of model_1000.pt" and "times as far as images lie apart" in out
    report = Path("f/report.html").read_text()
    assert "How far representations move" in report and "No attack was run" not in report


def test_files_that_are_refused_and_folders_of_something_else(acl, capsys):
    import pickle

    Path("bomb.pt").write_bytes(pickle.dumps(print))
    code, _, err = run(capsys, "evaluate", "weights:bomb.pt", *DATA)
    assert code == 2 and err.count("\n") == 1
    assert run(capsys, "evaluate", "weights:none.pt", *DATA)[0] == 2
    Path("mine").mkdir()
    Path("mine/thesis.tex").write_text("precious")
    code, _, err = run(capsys, "evaluate", f"weights:{acl}", *DATA, "--out", "mine")
    assert code == 2 and "holds no weights.json" in err and len(list(Path("mine").iterdir())) == 1
    assert run(capsys, "evaluate", f"weights:{acl}", *DATA, *QUICK, "--protocol", "knn", "--out", "f")[0] == 0
    torch.save(theirs.lived_in(theirs.Acl(), seed=1).state_dict(), "other.pt")
    code, _, err = run(capsys, "evaluate", "weights:other.pt", *DATA, *QUICK, "--out", "f")
    assert code == 2 and "figures of another file, model_1000.pt" in err


def test_help_names_what_it_takes(capsys):
    code, out, _ = run(capsys, "evaluate", "--help")
    assert code == 0 and "How a checkpoint from elsewhere is read" in out
    assert "--encoder.layout, --layout {auto|simclr|supcon|swav|moco|rocl|acl|torchvision}" in out
    assert "--robustness.attack" in out and "weights:FILE" in out
