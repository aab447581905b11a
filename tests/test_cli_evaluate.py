"""`sparring evaluate` with attacks, as a user meets it: a run of one's own, anybody's model, and mistakes."""

import json
from pathlib import Path

import pytest

from sparring.cli import main
from tests.test_cli import TINY

QUICK = ["--images", "12", "--trust", "false", "--logistic-epochs", "2"]

FOREIGN = """
import torch
from torch import nn

def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 4))

def probabilities():
    return nn.Sequential(net(), nn.Softmax(dim=1))

def no_module():
    return 7

def needs_more(width):
    return net()

def other():
    return net()
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs")
    assert main(["train", "clae", *TINY, "--out", str(place / "run")]) == 0
    return place / "run"


@pytest.fixture
def quiet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "theirs.py").write_text(FOREIGN)


def run(capsys, *words: str) -> tuple[int, str, str]:
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def read(folder: Path) -> dict:
    return json.loads((folder / "robustness.json").read_text())


def test_a_run_is_attacked_and_reported(trained, quiet, capsys):
    code, out, err = run(capsys, "evaluate", trained, "--attack", "fgsm,pgd-2", "--eps", "8/255", *QUICK)
    assert code == 0, err
    entry = read(trained)
    assert entry["protocol"]["eps"] == 8 / 255 and entry["subject"]["domain"] == "clean"
    assert list(entry["attacks"]) == ["fgsm", "pgd-2"] and entry["data"]["n"] == 12
    assert entry["environment"]["versions"]["pyautoattack"]
    assert entry["subject"]["fitted"]["protocol"] == "logistic v1"
    assert "fgsm" in out and "pgd-2" in out and "clean" in out and "report.html" in out
    assert "Robustness" in (trained / "report.html").read_text()
    assert (trained / "results.json").is_file()  # the clean figures of training stay


@pytest.mark.parametrize("classifier", ["knn", "linear", "slf"])
def test_every_classifier_can_stand_on_the_encoder_and_the_domain_is_named(trained, quiet, capsys, classifier):
    words = ["--classifier", classifier, "--domain", "adv", "--attack", "fgsm", *QUICK]
    code, _, err = run(capsys, "evaluate", trained, *words)
    assert code == 0, err
    subject = read(trained)["subject"]
    assert subject["domain"] == "adv" and subject["fitted"]["protocol"].startswith(classifier)
    assert any(path.name.startswith("robustness-") for path in trained.iterdir())


def test_corruptions_alone(trained, quiet, capsys):
    code, out, err = run(capsys, "evaluate", trained, "--corruptions", "--severities", "1,5", *QUICK)
    assert code == 0, err
    entry = read(trained)
    assert entry["attacks"] == {} and len(entry["corruptions"]["accuracy"]["fog"]) == 2
    assert "corruptions" in out


def test_anybodys_model(quiet, capsys):
    words = ["--data", "synthetic", "--test-images", "24", "--image-size", "16"]
    code, out, err = run(capsys, "evaluate", "python:theirs.net", *words, "--attack", "fgsm", "--trust", "false")
    if code == 2 and "classes" in err:  # the synthetic set decides how many there are
        pytest.fail(err)
    folder = Path("runs/robustness-net")
    assert code == 0, err
    assert read(folder)["subject"]["classifier"] == "module"
    assert (folder / "report.html").is_file() and str(folder) in out
    assert run(capsys, "report", folder)[0] == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--attack", "pdg"], "did you mean pgd?"),
        (["--eps", "8/255"], "nothing is to be measured"),
        (["--attack", "pgd", "--eps", "-1"], "robustness.eps must be 0 or more"),
        (
            ["--attack", "pgd", "--eps", "8"],
            "robustness.eps must be smaller than the range of an image, not 8 (in pixels",
        ),
        (["--attack", "pgd", "--protocol", "knn"], "--protocol belongs to the evaluation without attacks"),
        (["--attack", "pgd", "--epochs", "3"], "--epochs cannot be changed by evaluate"),
        (["--attack", "pgd", "--norm", "linff"], "did you mean linf?"),
        (["--attack", "pgd", "--objective", "ce"], "robustness.objective must be one of"),
        (["--atack", "pgd"], "did you mean --attack?"),
        (["--attack", "pgd", "--images", "0"], "robustness.images must be at least 1"),
        (["--attack", "pgd", "--corrupted-root", "nowhere"], "nowhere"),
        (["--attack", "mpgd", "--targets", "99"], "wrong classes"),
        (["--attack", "fgsm", "--steps", "7"], "robustness.steps is given, but fgsm has its own or none"),
        (["--attack", "ascl-pgd", "--eps", "1/255"], "robustness.eps is given, but ascl-pgd has its own"),
        (["--attack", "pgd,pgd-20"], "pgd and pgd-20 are the same here"),
        (["--attack", "pgd", "--steps", "0"], "robustness.steps must be at least 1, not 0"),
        (["--attack", "pgd", "--restarts", "0"], "robustness.restarts must be at least 1, not 0"),
        (["--attack", "pgd", "--step-size", "0"], "robustness.step_size must be more than 0"),
        (["--attack", "pgd-0"], "robustness.attack is pgd-0, which takes no step"),
        (
            ["--attack", "pgd", "--finetune-epochs", "3"],
            "evaluation.finetune_epochs is given, but nothing is finetuned",
        ),
        (
            ["--protocol", "knn", "--finetune-epochs", "3"],
            "evaluation.finetune_epochs is given, but nothing is finetuned",
        ),
        (["--attack", "PGD"], "did you mean pgd?"),
    ],
)
def test_mistakes_are_one_sentence_and_write_nothing(trained, quiet, capsys, words, sentence):
    before = {path: path.stat().st_mtime_ns for path in trained.rglob("*")}
    code, out, err = run(capsys, "evaluate", trained, *words)
    assert code == 2 and out == "" and sentence in err and err.count("\n") == 1
    assert {path: path.stat().st_mtime_ns for path in trained.rglob("*") if path.is_file()} == {
        path: when for path, when in before.items() if path.is_file()
    }


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("python:theirs.nett", "did you mean 'net'?"),
        ("python:theirs.no_module", "must return an nn.Module, not a int"),
        ("python:theirs.probabilities", "probabilities"),
        ("python:nowhere.net", "RUN python:nowhere.net: nowhere cannot be imported"),
        ("python:theirs.needs_more", "called without arguments"),
    ],
)
def test_a_model_that_cannot_be_attacked_is_one_sentence(quiet, capsys, place, sentence):
    words = ["--data", "synthetic", "--test-images", "24", "--image-size", "16", "--attack", "fgsm", "--trust", "false"]
    code, _, err = run(capsys, "evaluate", place, *words)
    assert code == 2 and sentence in err and err.count("\n") == 1
    assert not any(Path("runs").glob("*/robustness.json"))


def test_a_folder_of_something_else_is_not_written_into(quiet, capsys):
    Path("mine").mkdir()
    Path("mine/thesis.tex").write_text("precious")
    words = ["--data", "synthetic", "--image-size", "16", "--attack", "fgsm", "--out", "mine"]
    code, _, err = run(capsys, "evaluate", "python:theirs.net", *words)
    assert code == 2 and "mine" in err and [path.name for path in Path("mine").iterdir()] == ["thesis.tex"]


def test_what_another_evaluation_left_unfinished_waits_on(trained, quiet, capsys):
    waiting = trained / "autoattack" / "autoattack"
    waiting.mkdir(parents=True)
    (waiting / "settings.json").write_text("hours of work")
    code, _, err = run(capsys, "evaluate", trained, "--attack", "fgsm,square", "--square-queries", "3", *QUICK)
    assert code == 0, err
    assert (waiting / "settings.json").read_text() == "hours of work"
    assert [path.name for path in (trained / "autoattack").iterdir()] == ["autoattack"]


def test_a_folder_after_a_kill_is_free_and_another_models_or_a_runs_is_not(trained, quiet, capsys):
    words = ["--data", "synthetic", "--test-images", "24", "--image-size", "16", "--attack", "fgsm", "--trust", "false"]
    Path("killed").mkdir()
    Path("killed/.lock").touch()
    assert run(capsys, "evaluate", "python:theirs.net", *words, "--out", "killed")[0] == 0
    assert run(capsys, "evaluate", "python:theirs.net", *words, "--out", "killed")[0] == 0
    code, _, err = run(capsys, "evaluate", "python:theirs.other", *words, "--out", "killed")
    assert code == 2 and "holds figures of theirs.net" in err
    code, _, err = run(capsys, "evaluate", "python:theirs.net", *words, "--out", trained)
    assert code == 2 and "a training run's folder" in err
    code, _, err = run(capsys, "evaluate", "python:theirs.net", *words, "--classifier", "knn")
    assert code == 2 and "is a classifier already" in err


def test_movement_of_representations_is_said(trained, quiet, capsys):
    code, out, err = run(capsys, "evaluate", trained, "--representation", *QUICK)
    assert code == 0, err
    assert "times as far as images lie apart" in out and "random noise" in out


def test_an_autoattack_of_other_settings_is_refused_before_any_attack(trained, quiet, capsys, monkeypatch):
    words = ["--attack", "fgsm,square", "--square-queries", "5", *QUICK]
    from sparring.attacks.autoattack.cascade import Cascade

    attack = Cascade._attack

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Cascade, "_attack", killed)
    code, _, err = run(capsys, "evaluate", trained, *words, "--eps", "16/255")
    assert code == 130 and "interrupted" in err
    monkeypatch.setattr(Cascade, "_attack", attack)
    before = (trained / "robustness.json").read_bytes()
    code, _, err = run(capsys, "evaluate", trained, *words, "--eps", "17/255")
    assert code == 2 and "16/255" in err and "17/255" in err and "delete that folder" in err
    assert (trained / "robustness.json").read_bytes() == before
    assert run(capsys, "evaluate", trained, *words, "--eps", "16/255")[0] == 0
