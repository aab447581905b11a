"""`sparring analyze` as a user meets it: a run looked into, its report, and mistakes."""

import json

import pytest

from sparring.cli import main
from tests.test_cli_supervised import TINY

QUICK = [
    *("--images", "12", "--batch-size", "6", "--steps", "1", "--radii", "0,8/255", "--map-images", "10"),
    *("--map-adversarial", "4", "--anchors", "1"),
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    from sparring import configuration
    from sparring.flags import read_words
    from sparring.training import train

    words = ["--method", "ascl", *TINY, "--steps", "1", "--out", str(tmp_path_factory.mktemp("runs") / "run")]
    return train(configuration.build(read_words(words, {}).settings))


def run(capsys, *words) -> tuple[int, str, str]:
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_run_is_looked_into_summed_up_and_reported(trained, capsys, monkeypatch):
    code, out, err = run(capsys, "analyze", trained, *QUICK)
    assert code == 0, err
    entry = json.loads((trained / "latent.json").read_text())
    protocol = entry["protocol"]
    assert (protocol["images"], protocol["batch_size"], protocol["radii"]) == (12, 6, [0.0, 8 / 255])
    assert entry["data"]["n"] == 12 and entry["subject"]["classifier"] == "own"
    assert entry["environment"]["versions"]["torch"]
    lines = {line.partition(" ")[0]: line for line in out.splitlines() if line}
    assert {"subject", "clean", "adversarial", "attack", "radii", "checkpoints", "selected", "report"} <= lines.keys()
    assert f"R-DIV {entry['divergence']['adversarial']['r_div']:.3f}" in lines["adversarial"]
    assert "PGD, Linf, eps 8/255, 1 step of" in lines["attack"]
    assert "R-DIV and robust accuracy have 2 points" in lines["radii"]
    assert "report.html" in lines["report"]
    report = (trained / "report.html").read_text()
    assert "Divergence over training" in report and "What the selector chose" in report
    (trained / "report.html").unlink()
    assert run(capsys, "report", trained)[0] == 0
    assert (trained / "report.html").read_text() == report


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--epps", "8/255"], "--epps is no option; did you mean --eps?"),
        (["--lr", "0.1"], "--lr cannot be changed by analyze: a run is measured as it was trained"),
        (["--attack", "pgd"], "--attack cannot be changed by analyze"),
        (["--eps", "eight"], "latent.eps must be a number or a fraction such as 8/255, not 'eight'"),
        (["--eps", "8"], "latent.eps must be smaller than the range of an image, not 8 (in pixels of [0, 1])"),
        (["--radii", "0,-1/255"], "latent.radii must be at least 0"),
        (["--classifier", "svm"], "latent.classifier must be one of own, logistic, linear, slf, knn, not 'svm'"),
        (["--images", "0"], "latent.images must be at least 4, not 0"),
        (
            ["--images", "4", "--batch-size", "2"],
            "latent.images is 4 in mini-batches of latent.batch_size 2; labels: no",
        ),
        (["--root", "nowhere"], "data.root is nowhere"),
        (["another"], "analyze needs one run folder, such as runs/clae-digits-seed0, not 2"),
    ],
)
def test_mistakes_are_one_sentence_and_write_nothing(trained, capsys, words, sentence):
    before = {path: path.stat().st_mtime_ns for path in trained.rglob("*") if path.is_file()}
    code, out, err = run(capsys, "analyze", trained, *words)
    assert code == 2 and out == "" and sentence in err and err.count("\n") == 1
    assert {path: path.stat().st_mtime_ns for path in trained.rglob("*") if path.is_file()} == before


def test_no_run_is_one_sentence(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, "analyze", "runs/nowhere")
    assert code == 2 and err == "sparring: error: RUN is runs/nowhere, but there is no such run folder\n"
    assert run(capsys, "analyze")[0] == 2


def test_an_interruption_says_that_nothing_was_written(trained, capsys, monkeypatch):
    from sparring import latent

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(latent, "_measure", interrupted)
    before = sorted(path.name for path in trained.iterdir())
    code, _, err = run(capsys, "analyze", trained, *QUICK)
    assert code == 130 and "nothing was written; the same command starts again" in err
    assert sorted(path.name for path in trained.iterdir()) == before


def test_help_names_every_setting_with_its_group(capsys):
    code, out, _ = run(capsys, "analyze", "--help")
    assert code == 0 and "--latent.map_adversarial" in out and "--evaluation.domain" in out and "--data.root" in out
    assert "latent: How the latent space of a trained run is looked into" in out and "--optimizer.lr" not in out
