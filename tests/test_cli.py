"""The command line as a user meets it: help, mistakes, a whole run, and the way from one run to the next."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from sparring.cli import VERBS, main
from sparring.listing import KINDS, methods
from sparring.measuring import PROTOCOLS

TINY = [
    *(
        "--data",
        "synthetic",
        "--train-images",
        "64",
        "--test-images",
        "32",
        "--image-size",
        "16",
        "--encoder",
        "resnet20",
    ),
    *("--views", "none", "--batch-size", "32", "--epochs", "1", "--probe-every", "0", "--progress", "false"),
    *("--knn-k", "10", "--logistic-epochs", "2", "--attack-eps", "0,0.03", "--device", "cpu"),
]

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent), "OMP_NUM_THREADS": "1"}


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPARRING_DEBUG", raising=False)


def run(capsys, *words: str) -> tuple[int, str, str]:
    code = main(list(words))
    out, err = capsys.readouterr()
    return code, out, err


def test_help_lists_every_setting_and_imports_nothing_heavy():
    program = """
import sys
from sparring.cli import VERBS, main
assert main(["--help"]) == main([]) == main(["--version"]) == main(["list", "methods"]) == 0
for verb in VERBS:
    assert main([verb, "--help"]) == 0
print("heavy:", sorted({"torch", "numpy", "lightning", "jsonargparse", "yaml"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=ENVIRONMENT, check=True)
    assert done.stdout.endswith("heavy: []\n") and done.stderr == ""
    assert "--attack.eps, --eps\n        Radius of the ball, such as 8/255. [not set]" in done.stdout
    assert "--training.precision, --precision {float32|bf16}" in done.stdout
    assert "evaluation-attacks|protocols|data" in done.stdout
    listed = done.stdout.partition("METHOD              ")[2].partition("; the same as --method.name")[0]
    assert " ".join(listed.split()) == ", ".join(methods())
    assert "sparring evaluate RUN" in done.stdout and "clae           CLAE: an adversarial example" in done.stdout


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("trian", "trian is no command; did you mean train?"),
        (
            "train clea",
            f"method.name must be one of {', '.join(methods())}, not 'clea'; did you mean 'clae'?",
        ),
        ("train --method.nam x", "--method.nam is no option; did you mean --method.name?"),
        ("train clae uel", "one METHOD is trained at a time, not clae and uel"),
        ("train clae --method uel", "METHOD is clae, but --method.name is uel"),
        ("train --eps big", "attack.eps must be a number or a fraction such as 8/255, not 'big'"),
        ("train --config nope.yaml", "--config is nope.yaml, but there is no such file"),
        ("train --config .", "--config is ., which is a folder; name its YAML file, such as config.yaml"),
        (f"train --config {sys.executable}", f"--config is {sys.executable}, which is no text, so no YAML"),
        ("train --resume nope", "resume is nope, but there is no such run folder"),
        ("evaluate nope", "RUN is nope, but there is no such run folder"),
        ("evaluate", "evaluate needs one run folder, such as runs/clae-digits-seed0, not none"),
        ("evaluate nope --alpha 1", "--alpha cannot be changed by evaluate: a run is measured as it was trained"),
        ("evaluate nope --protocol kmeans", f"--protocol must be one of {', '.join(PROTOCOLS)}, not 'kmeans'"),
        (
            "evaluate nope --protocol logistics",
            f"--protocol must be one of {', '.join(PROTOCOLS)}, not 'logistics'; did you mean logistic?",
        ),
        ("doctor foo", "doctor takes no words, not foo"),
        (
            "report nope",
            "nope is no run folder: it holds no config.yaml, nor the robustness.json of a model's evaluation",
        ),
        (
            "list dat",
            f"list knows {', '.join(KINDS)}, not 'dat'; did you mean data?",
        ),
    ],
)
def test_a_mistake_is_one_sentence_and_nothing_is_written(capsys, command, sentence):
    code, out, err = run(capsys, *command.split())
    assert (code, out, err) == (2, "", f"sparring: error: {sentence}\n")
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--eps 0", ["attack.eps must be more than 0", "0.0"]),
        ("--eps -1", ["attack.eps must be more than 0", "-1.0"]),
        ("--data cifar11", ["data", "'cifar11'", "did you mean 'cifar10'"]),
        ("--skip-unreadable", ["data.skip_unreadable is true, but synthetic is no image folder"]),
        ("--download", ["data.download is true, but there is nothing to download for synthetic"]),
        ("--encoder resnet19", ["encoder.name", "'resnet19'", "did you mean"]),
        ("--data cifar10 --root .", ["cifar10", "cifar-10-binary.tar.gz"]),
        ("--data folder --root nowhere", ["nowhere", "folder of images"]),
        ("--data folder --root .", ["no images"]),
        ("--batch-size 1", ["training.batch_size", "at least 2", "1"]),
        ("--batch-size 65", ["training.batch_size", "65", "64"]),
        ("--knn-k 65", ["evaluation.knn_k", "65", "64"]),
        ("--base simlr", ["method.base", "'simlr'", "did you mean 'simclr'"]),
        ("--detach-keys true", ["method.detach_keys"]),
        ("--steps 3", ["attack.steps", "fgsm"]),
        ("--accumulate 2", ["training.accumulate", "2"]),
        ("--epochs 0", ["training.epochs", "at least 1", "0"]),
        ("--init-from nowhere.safetensors", ["init_from", "nowhere.safetensors"]),
    ],
)
def test_what_the_library_refuses_is_one_sentence_too(capsys, flags, words):
    code, out, err = run(capsys, "train", "clae", *TINY, *flags.split())
    assert code == 2 and out == "" and err.startswith("sparring: error: ") and err.count("\n") == 1
    assert all(word in err for word in words), err
    assert not list(Path().iterdir())


def test_debug_shows_where(capsys):
    code, _, err = run(capsys, "train", "clea", "--debug")
    assert code == 2 and "Traceback" in err and err.endswith("did you mean 'clae'?\n")


def test_flags_stand_on_top_of_files_and_print_config_is_complete(capsys):
    Path("a.yaml").write_text("method: {name: uel, temperature: 0.2}\ntraining: {epochs: 7, seed: 3}\n")
    code, out, _ = run(capsys, "train", "--epochs", "9", "--config", "a.yaml", "--print-config")
    config = yaml.safe_load(out)
    assert code == 0 and not Path("runs").exists()
    assert config["method"]["name"] == "uel" and config["method"]["temperature"] == 0.2
    assert config["training"]["epochs"] == 9 and config["training"]["seed"] == 3
    code, out, _ = run(capsys, "train", "plain", "--config", "a.yaml", "--print-config")
    assert code == 0 and yaml.safe_load(out)["method"]["name"] == "plain"


@pytest.mark.parametrize(
    "command",
    [
        "clae --base uel --eps 8/255 --space pixel --clip true --attack pgd",
        "plain --data cifar10",
        "uel",
        "simclr --seed 5 --out runs/x",
        "supcon --data cifar100 --schedule cosine",
    ],
)
def test_a_printed_configuration_prints_itself_again(capsys, command):
    code, first, _ = run(capsys, "train", *command.split(), "--print-config")
    assert code == 0
    Path("printed.yaml").write_text(first)
    assert run(capsys, "train", "--config", "printed.yaml", "--print-config") == (0, first, "")
    if "8/255" in command:
        assert yaml.safe_load(first)["attack"]["eps"] == 8 / 255


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("cli") / "run"
    assert main(["train", "clae", *TINY, "--out", str(place)]) == 0
    return place


def test_train_ends_with_figures_and_a_report(trained, capsys, tmp_path):
    out = tmp_path / "again"
    code, said, _ = run(capsys, "train", "--config", str(trained / "config.yaml"), "--out", str(out))
    assert code == 0
    assert re.search(r"^knn +\d+\.\d %, 95 % interval \d+\.\d to \d+\.\d, n = 32 \(knn v1", said, re.M)
    assert re.search(r"^logistic +\d+\.\d %, 95 % interval", said, re.M)
    assert "attack     FGSM, Linf, eps 0.03 in normalised units" in said
    assert f"report     {out}/report.html" in said and (out / "report.html").stat().st_size > 10_000
    assert f"sparring train --config {out}/config.yaml" in said and f"sparring train --resume {out}" in said
    assert (out / "config.yaml").read_text() == (trained / "config.yaml").read_text()
    for name in ("results.json", "weights.safetensors"):
        assert (out / name).read_bytes() == (trained / name).read_bytes(), f"the rerun's {name} differs"


def test_a_run_folder_is_not_overwritten_unasked(trained, capsys):
    before = {path: path.stat().st_mtime_ns for path in trained.rglob("*")}
    code, _, err = run(capsys, "train", "clae", *TINY, "--out", str(trained))
    assert code == 2 and "exists" in err and "--overwrite" in err
    assert {path: path.stat().st_mtime_ns for path in trained.rglob("*")} == before


def test_evaluate_measures_again_and_keeps_the_earlier_figures(trained, capsys):
    earlier = (trained / "results.json").read_text()
    checkpoint = f"{trained}/checkpoints/epoch-0001"
    words = ["--protocol", "knn", "--protocol-version", "paper", "--domain", "adv", "--knn-k", "5"]
    code, said, _ = run(capsys, "evaluate", checkpoint, *words)
    assert code == 0 and "adv batch norm" in said
    results = json.loads((trained / "results.json").read_text())
    knn = {"domain": "adv", "k": 5, "layer": "z", "checkpoint": "epoch-0001"}
    assert results.keys() == {"knn"} and knn.items() <= results["knn"].items()
    kept = sorted(trained.glob("results-*.json"))
    assert kept[-1].read_text() == earlier
    code, _, err = run(capsys, "evaluate", f"{trained}/checkpoints/epoch-0009")
    assert code == 2 and "epoch-0009" in err and "there are: epoch-0001" in err


def test_report_is_written_anew(trained, capsys):
    report = trained / "report.html"
    before = report.read_text()
    report.unlink()
    assert run(capsys, "report", str(trained)) == (0, f"{report}\n", "")
    assert report.read_text() == before


def test_failing_while_running_is_one_sentence_and_exit_code_1(capsys, monkeypatch):
    def no_number(*args, **options):
        raise FloatingPointError("the loss became nan in step 3: nt_xent is nan")

    def full(*args, **options):
        raise OSError(28, "No space left on device", "runs/x/metrics.jsonl")

    def bug(*args, **options):
        raise KeyError("z")

    for failure, sentence in [
        (no_number, "the loss became nan in step 3: nt_xent is nan"),
        (full, "runs/x/metrics.jsonl: No space left on device"),
        (bug, "KeyError: 'z' (--debug shows where)"),
    ]:
        monkeypatch.setattr("sparring.experiment.train", failure)
        code, _, err = run(capsys, "train", "clae", *TINY)
        assert (code, err) == (1, f"sparring: error: {sentence}\n")


def test_a_loss_that_becomes_nan_names_step_and_term(capsys):
    words = [*TINY, "--epochs", "20", "--lr", "1e30", "--optimizer", "sgd", "--out", "nan"]
    code, _, err = run(capsys, "train", "simclr", *words)
    assert code == 1 and err.count("\n") == 1 and "nt_xent" in err and "step" in err


def test_interrupted_says_where_to_resume():
    command = [sys.executable, "-m", "sparring", "train", "clae", *TINY, "--epochs", "100000", "--progress", "true"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == "64 images, 2 steps of 32 an epoch\n"
        assert process.stdout.readline().startswith("epoch 1/100000")
        process.send_signal(signal.SIGINT)
        err = process.stderr.read()
    assert process.returncode == 130 and "Traceback" not in err
    assert "sparring train --resume runs/clae-synthetic-seed0" in err


def test_the_help_of_base_names_every_base(capsys):
    from sparring.configuration import fields
    from sparring.training.build import BASE, BASES

    assert fields()["method.base"].meaning.endswith(f"({', '.join(BASES)}); None is {BASE}.")


def test_a_warning_is_said_once(capsys, monkeypatch):
    import warnings

    def warns(words):
        for sentence in ("one", "one", "two"):
            with warnings.catch_warnings(action="always"):
                warnings.warn(sentence, stacklevel=1)
        return 0

    monkeypatch.setitem(VERBS, "doctor", warns)
    assert run(capsys, "doctor") == (0, "", "sparring: warning: one\nsparring: warning: two\n")


def test_list_names_what_the_configuration_takes(capsys):
    from sparring.training.build import METHODS

    code, out, _ = run(capsys, "list")
    assert code == 0
    listed = re.findall(r"^  ([\w:-]+) +\S", out, re.M)
    assert {*METHODS, "pgd", "noise", "digits", "folder", "resnet18", "same_label", "simclr", "none"} <= set(listed)
    code, out, _ = run(capsys, "list", "methods")
    assert set(re.findall(r"^  (\w+) +\S", out, re.M)) == METHODS.keys()


def test_doctor_says_what_is_missing_and_how_to_mend_it(capsys, monkeypatch):
    code, out, err = run(capsys, "doctor")
    assert code == 0 and err == ""
    assert f"torch         {torch.__version__.split('+')[0]}" in out and "free disk" in out and "cifar10" in out
    from sparring import doctor

    real = doctor.version
    monkeypatch.setattr(doctor, "version", lambda name: None if name in ("safetensors", "timm") else real(name))
    code, out, err = run(capsys, "doctor")
    assert code == 1 and "pip install safetensors" in err and "pip install 'sparring[models]'" in out


def test_what_is_written_counts_for_a_resumption_even_if_it_is_a_default(trained, capsys):
    stored = (trained / "metrics.jsonl").read_text()
    for words, field in (
        ("--seed 5", "training.seed is 0"),
        ("simclr", "method.name is 'clae'"),
        ("--alpha 2", "method.alpha is 1.0"),
    ):
        code, _, err = run(capsys, "train", *words.split(), "--resume", str(trained))
        assert code == 2
        assert f"cannot be resumed with another configuration: {field} there" in err
    assert (trained / "metrics.jsonl").read_text() == stored
