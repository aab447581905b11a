"""Whole runs: what they leave behind, what stops them, what they say."""

import json
import math
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sparring.attacks import RandomNoise
from sparring.config import DataConfig, MethodConfig, OptimizerConfig, RunConfig, TrainingConfig
from sparring.data import ImageSet, pipeline
from sparring.methods import CLAE, UEL, Plain, SimCLR, SupCon
from sparring.training import latest, load_config, new_encoder, resolve, train, uniform_loss
from sparring.training.check import check_images
from sparring.training.defaults import never_used, shrink
from sparring.training.module import ContrastiveModule
from sparring.training.run_folder import held
from tests.training.runs import tiny

ROOT = Path(__file__).parents[2]


def records(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(tiny(tmp_path_factory.mktemp("engine") / "run"))


def test_a_run_leaves_what_it_promises(run):
    for name in ("config.yaml", "environment.json", "log.txt", "weights.safetensors"):
        assert (run / name).stat().st_size > 0, name
    assert list((run / "tensorboard").glob("events*"))
    environment = json.loads((run / "environment.json").read_text())
    assert environment["versions"]["torch"] == torch.__version__
    assert environment["seed"] == 0
    assert load_file(run / "weights.safetensors").keys() == load_file(latest(run) / "weights.safetensors").keys()


def test_one_line_an_epoch(run):
    lines = records(run)
    assert [line["epoch"] for line in lines] == [0, 1, 2, 3]
    assert [line["step"] for line in lines] == [4, 8, 12, 16]
    for line in lines:
        assert line["loss"] == pytest.approx(line["clean"] + line["adversarial"])
        assert line["lr"] == 0.01
        assert line["seconds"] > 0
        assert line["images_per_second"] > 0
    assert ["probe_knn_accuracy" in line for line in lines] == [False, True, False, True]
    assert lines[-1]["loss"] < lines[0]["loss"]


def test_the_stored_configuration_is_complete(run):
    config = load_config(run)
    assert resolve(config) == config
    assert (config.attack.name, config.attack.step_size) == ("ffgsm", 1.25 * 0.03)
    assert (config.out, config.resume, config.overwrite) == (None, None, False)


@pytest.mark.parametrize("method", ["plain", "uel", "simclr"])
def test_every_method_trains(tmp_path, method):
    run = train(tiny(tmp_path / "run", method=method, epochs=1))
    assert math.isfinite(records(run)[0]["loss"])


def test_supcon_trains_on_labels(tmp_path):
    config = tiny(tmp_path / "run", method="supcon", epochs=2)
    config.optimizer = OptimizerConfig(name="sgd", lr=0.05)
    assert records(train(config))[0]["anchors_without_positive"] >= 0


def test_initial_weights_come_from_a_run(run, tmp_path):
    config = replace(tiny(tmp_path / "run", epochs=1), init_from=str(run))
    config.optimizer.lr = 1e-12
    ours, theirs = (load_file(r / "weights.safetensors") for r in (train(config), run))
    torch.testing.assert_close(ours["head.0.weight"], theirs["head.0.weight"], rtol=0, atol=1e-9)


@pytest.mark.parametrize(("term", "method"), [("adversarial", "clae"), ("nt_xent", "simclr")])
def test_a_term_that_becomes_nan_stops_the_run_with_its_name_and_step(tmp_path, monkeypatch, term, method):
    def spoilt(self, encoder, batch):
        terms = call(self, encoder, batch)
        return terms | {term: terms[term] * float("nan")} if batch.epoch == 1 else terms

    cls = {"clae": CLAE, "simclr": SimCLR}[method]
    call = cls.__call__
    monkeypatch.setattr(cls, "__call__", spoilt)
    with pytest.raises(FloatingPointError, match=f"'{term}'.* became NaN or infinite at step 0 of epoch 1"):
        train(tiny(tmp_path / "run", method=method))
    assert latest(tmp_path / "run").name == "epoch-0001"


def test_nan_is_found_where_it_began_though_nobody_looked_at_once(tmp_path):
    config = resolve(tiny(tmp_path))
    views = pipeline("simclr", 8)
    module = ContrastiveModule(new_encoder(config, 3, 4), SimCLR(), views, config, steps_per_epoch=9, start_epoch=2)
    module.begin_epoch()
    for step, value in enumerate([1.0, float("inf"), 2.0, float("nan")]):
        module._record({"first": torch.tensor(1.0), "second": torch.tensor(value)}, {}, step)
    sentence = r"'second' of the terms first, second became NaN or infinite at step 1 of epoch 2"
    with pytest.raises(FloatingPointError, match=sentence):
        module.check_finite()


def test_the_loss_of_an_encoder_that_tells_nothing_apart():
    n = 8
    rows = 2 * n - 1
    uel = math.log(rows) - (rows - 1) * math.log(1 - 1 / rows)
    assert uniform_loss(SimCLR(), n) == pytest.approx(math.log(rows))
    assert uniform_loss(SupCon(), n) == pytest.approx(math.log(rows))
    assert uniform_loss(Plain(), n) == pytest.approx(math.log(n))
    assert uniform_loss(UEL(), n) == pytest.approx(uel)
    assert uniform_loss(CLAE(alpha=0.5), n) == pytest.approx(1.5 * math.log(rows))
    assert uniform_loss(CLAE(attack=RandomNoise(CLAE().attack.threat)), n) == pytest.approx(2 * math.log(rows))


@pytest.mark.parametrize("learns", [False, True])
def test_a_loss_that_stays_uniform_is_warned_of_once(tmp_path, learns):
    config = replace(
        tiny(tmp_path / "run", method="simclr"), method=MethodConfig("simclr", temperature=0.1 if learns else 50.0)
    )
    run = train(config)
    assert (run / "log.txt").read_text().count("when all embeddings are equal") == (0 if learns else 1)


def test_the_global_random_state_is_left_alone(tmp_path):
    before = torch.get_rng_state()
    train(tiny(tmp_path / "run", epochs=1))
    assert torch.equal(torch.get_rng_state(), before)


def test_runs_without_a_folder_of_their_own_are_numbered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = replace(tiny("", epochs=1), out=None)
    names = [train(config) for _ in range(2)]
    assert names == [Path("runs/clae-synthetic-seed0"), Path("runs/clae-synthetic-seed0-2")]


def test_nothing_but_its_own_lines_is_printed(tmp_path, capfd):
    train(tiny(tmp_path / "run", method="simclr", epochs=2, progress=True))
    out, err = capfd.readouterr()
    expected = ["64 images, 4 steps of 16 an epoch", "epoch 1/2", "epoch 2/2"]
    said = out.rstrip().splitlines()  # rich before 15 ends with an empty line
    assert [line.split(":")[0] for line in said] == expected
    assert err == ""


@pytest.mark.parametrize("method", ["clae", "simclr"])
def test_bf16_and_channels_last_train(tmp_path, method):
    run = train(tiny(tmp_path / "run", method=method, epochs=2, precision="bf16", channels_last=True))
    assert records(run)[1]["loss"] < records(run)[0]["loss"] * 1.05


def run_program(program: str) -> None:
    """In a new interpreter, as a user's script: without a __main__ guard and without the tests' type checks."""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_two_processes_train_the_weights_of_one(tmp_path):
    """Views, negatives, labels and the scale of the gradient, through the whole training step; plain SGD shows the scale."""
    run_program(f"""
from tests.training.runs import tiny
from sparring.config import OptimizerConfig
from sparring.training import train
for processes in (1, 2):
    config = tiny({str(tmp_path)!r} + f"/{{processes}}", method="supcon", epochs=2, processes=processes, probe_every=0)
    config.encoder.name = "python:tests.training.runs.backbone_without_norm"
    config.optimizer = OptimizerConfig(name="sgd", lr=0.1, momentum=0.0, weight_decay=0.0, schedule="constant")
    train(config)
""")
    one, two = (load_file(tmp_path / str(processes) / "weights.safetensors") for processes in (1, 2))
    for key, weight in one.items():
        torch.testing.assert_close(two[key], weight, rtol=1e-4, atol=1e-6)
    losses = [records(tmp_path / str(processes))[-1]["loss"] for processes in (1, 2)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert records(tmp_path / "1")[0]["loss"] != records(tmp_path / "1")[1]["loss"]


@pytest.mark.slow
def test_two_processes_from_python_and_resumed(tmp_path):
    run_program(f"""
from tests.training.runs import tiny
from sparring.config import RunConfig, TrainingConfig
from sparring.training import train
run = train(tiny({str(tmp_path / "run")!r}, epochs=2, processes=2))
train(RunConfig(resume=str(run), training=TrainingConfig(epochs=3)))
""")
    assert [line["epoch"] for line in records(tmp_path / "run")] == [0, 1, 2]
    assert "batch norms see the images of their own process only" in (tmp_path / "run" / "log.txt").read_text()


@pytest.mark.slow
def test_what_goes_wrong_in_one_of_two_processes_is_one_sentence(tmp_path):
    run_program(f"""
from tests.training.runs import tiny
from sparring.training import train
config = tiny({str(tmp_path / "run")!r}, method="simclr", epochs=2, processes=2)
config.optimizer.lr = 1e20
try:
    train(config)
except RuntimeError as error:
    assert "became NaN or infinite at step" in str(error) and len(str(error).splitlines()) == 1, error
else:
    raise AssertionError("the run went on")
""")


@pytest.mark.parametrize("method", ["clae", "simclr", "swav", "natural"])
def test_what_is_compiled_is_what_steps_call(tmp_path, monkeypatch, method):
    calls = []

    def compiled(self):
        self._compiled_call_impl = lambda *args, **kwargs: calls.append(1) or self._call_impl(*args, **kwargs)

    monkeypatch.setattr(torch.nn.Module, "compile", compiled)
    config = tiny(tmp_path / "run", method=method, epochs=1, compile=True, probe_every=0)
    if method == "swav":
        config.method.prototypes = 4
    train(config)
    assert len(calls) >= 4


@pytest.mark.slow
@pytest.mark.parametrize("method", ["clae", "simclr", "natural"])
def test_a_compiled_encoder_trains_to_the_same_loss(tmp_path, method):
    run_program(f"""
from tests.training.runs import tiny
from sparring.training import train
for compiled in (True, False):
    config = tiny({str(tmp_path)!r} + "/" + str(compiled), method={method!r}, epochs=1, compile=compiled)
    config.encoder.name = "python:tests.training.runs.backbone_without_dropout"  # compiled dropout draws differently
    train(config)
""")
    compiled, plain = (records(tmp_path / str(compiled))[0]["loss"] for compiled in (True, False))
    assert compiled == pytest.approx(plain, rel=1e-3)


def test_only_a_runs_own_files_are_overwritten(tmp_path, run):
    mine = tmp_path / "project"
    shutil.copytree(run, mine)
    (mine / "thesis.tex").write_text("two years")
    config = replace(tiny(mine), overwrite=True)
    with pytest.raises(ValueError, match=r"holds thesis\.tex, no file of a run"):
        train(config)
    (mine / "thesis.tex").unlink()
    (mine / "config.yaml").write_text("name: my thesis")
    with pytest.raises(ValueError, match=r"config\.yaml"):
        train(config)
    assert (mine / "metrics.jsonl").read_text() == (run / "metrics.jsonl").read_text()


def test_a_run_that_is_being_written_is_left_alone(tmp_path, run):
    mine = tmp_path / "run"
    shutil.copytree(run, mine)
    before = (mine / "metrics.jsonl").read_text()
    with held(mine), pytest.raises(ValueError, match="being written by another process"):
        train(RunConfig(resume=str(mine), training=TrainingConfig(epochs=6)))
    assert (mine / "metrics.jsonl").read_text() == before
    train(RunConfig(resume=str(mine), training=TrainingConfig(epochs=5)))
    assert len(records(mine)) == 5
    assert not (mine / ".lock").exists()


@pytest.mark.parametrize(
    ("images", "given", "batch_size", "k", "sentences"),
    [
        (60, (None, None), 60, 15, 2),
        (60, (16, None), 16, 15, 1),
        (60, (None, 20), 60, 20, 1),
        (3, (2, None), 2, 1, 1),
        (256, (None, None), 256, 200, 0),
        (60, (100, 300), 100, 300, 0),  # what was asked for is refused, not changed
    ],
)
def test_defaults_for_which_there_are_too_few_images_shrink(images, given, batch_size, k, sentences):
    asked = RunConfig(method=MethodConfig("simclr"), data=DataConfig("synthetic"))
    asked.training.batch_size, asked.evaluation.knn_k = given
    config = resolve(asked)
    said = shrink(config, asked, images)
    assert (config.training.batch_size, config.evaluation.knn_k) == (batch_size, k)
    assert len(said) == sentences and all(f"only {images} training images" in sentence for sentence in said)


def test_a_small_set_trains_with_the_defaults_and_the_log_says_what_shrank(tmp_path):
    config = tiny(tmp_path / "run", method="swav", epochs=1, probe_every=0, batch_size=None)
    config.data.train_images, config.evaluation.knn_k = 8, None
    config.method = MethodConfig("swav", prototypes=4, queue=8, queue_from=1)
    log = (train(config) / "log.txt").read_text()
    assert "training.batch_size is 8, not 256: there are only 8 training images" in log
    assert "evaluation.knn_k is 2, not 200" in log and "the queue of 8 embeddings is never used" in log
    stored = load_config(tmp_path / "run")
    assert (stored.training.batch_size, stored.evaluation.knn_k) == (8, 2)


def test_a_finished_run_says_that_nothing_is_left_to_train(tmp_path, run):
    shutil.copytree(run, tmp_path / "run")
    train(RunConfig(resume=str(tmp_path / "run")))
    assert (
        f"nothing is left to train: {tmp_path / 'run'} has all of its 4 epochs"
        in (tmp_path / "run/log.txt").read_text()
    )


def test_a_class_of_one_image_is_warned_of_where_labels_train():
    config = resolve(tiny("unused", method="supcon", batch_size=2))
    images = torch.zeros(5, 3, 8, 8, dtype=torch.uint8)
    train_images = ImageSet(images, torch.tensor([0, 0, 1, 2, 2]), ("cat", "dog", "fox"), "pets")
    with pytest.warns(UserWarning, match=r"of 1 of the 3 classes there is a single training image \(dog\)"):
        check_images(config, train_images, needs_labels=True)
    check_images(config, train_images, needs_labels=False)


@pytest.mark.parametrize(
    ("left", "words"),
    [
        ("weights.json", "it holds figures of a checkpoint file, which is measured as weights:FILE"),
        ("a", "no config.yaml"),
    ],
)
def test_a_folder_that_is_no_run_says_what_it_is(tmp_path, left, words):
    (tmp_path / left).write_text("{}")
    with pytest.raises(ValueError, match=words):
        load_config(tmp_path)


@pytest.mark.parametrize(("queue", "queue_from", "said"), [(8, 5, True), (8, 4, False), (0, 5, False)])
def test_a_queue_that_never_comes_is_said(queue, queue_from, said):
    config = RunConfig(MethodConfig("swav", queue=queue, queue_from=queue_from), data=DataConfig("synthetic"))
    config.training.epochs = 5
    assert bool(never_used(resolve(config))) == said
