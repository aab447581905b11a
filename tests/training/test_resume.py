"""A run that was killed continues to the bit; one that was asked to stop saves first."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sparring.config import MethodConfig, OptimizerConfig, RunConfig, TrainingConfig
from sparring.configuration import build
from sparring.training import Stopped, latest, resolve, train
from sparring.training.module import ContrastiveModule
from sparring.training.resume import check_given
from tests.settings import IMAGES_ELSEWHERE, NONE_OF_A_FIGURE
from tests.training.runs import tiny

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Four epochs without interruption."""
    return train(tiny(tmp_path_factory.mktemp("whole") / "run"))


def metrics(run):
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in r.items() if k not in ("seconds", "images_per_second")} for r in records]


def assert_equal_to_the_bit(run, whole):
    ours, theirs = (load_file(latest(r) / "weights.safetensors") for r in (run, whole))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert metrics(run) == metrics(whole)


def interrupted(tmp_path, epoch, step, number):
    words = [
        sys.executable,
        "-m",
        "tests.training.killed",
        str(tmp_path / "run"),
        *map(str, (epoch, step, int(number))),
    ]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_killed_and_resumed_equals_uninterrupted_with_clae_and_augmentation(whole, tmp_path):
    ended = interrupted(tmp_path, 2, 1, signal.SIGKILL)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    run = tmp_path / "run"
    assert latest(run).name == "epoch-0002"
    assert not (run / "weights.safetensors").exists()
    assert train(RunConfig(resume=str(run))) == run
    assert_equal_to_the_bit(run, whole)


def test_asked_to_stop_finishes_the_step_saves_and_resumes_to_the_bit(whole, tmp_path, monkeypatch):
    """The signal arrives inside this very process, whose handlers are its own again afterwards."""
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    training_step = ContrastiveModule.training_step

    def signalled(self, batch, batch_index):
        if (self.epoch, batch_index) == (1, 2):
            signal.raise_signal(signal.SIGTERM)
        return training_step(self, batch, batch_index)

    monkeypatch.setattr(ContrastiveModule, "training_step", signalled)
    with pytest.raises(Stopped, match=r"stopped by a signal after 1 epochs and 3 steps, saved.*--resume") as stopped:
        train(tiny(tmp_path / "run"))
    assert stopped.value.code == 143
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    monkeypatch.undo()
    assert latest(tmp_path / "run").name == "epoch-0001-step-00003"
    train(RunConfig(resume=str(tmp_path / "run")))
    assert_equal_to_the_bit(tmp_path / "run", whole)
    assert not list((tmp_path / "run" / "checkpoints").glob("*step*"))


def test_more_epochs_continue_a_finished_run(whole, tmp_path):
    run = train(tiny(tmp_path / "run", epochs=2))
    train(RunConfig(resume=str(run), training=TrainingConfig(epochs=4)))
    ours, theirs = (load_file(latest(r) / "weights.safetensors") for r in (run, whole))
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_the_schedule_goes_on_where_it_stopped(tmp_path):
    def stepped(out, epochs):
        optimizer = OptimizerConfig(name="sgd", lr=0.1, schedule="step", milestones=[1, 3], factors=[0.5, 0.1])
        return replace(tiny(out, method="simclr", epochs=epochs), optimizer=optimizer)

    whole, run = train(stepped(tmp_path / "whole", 4)), train(stepped(tmp_path / "run", 2))
    train(RunConfig(resume=str(run), training=TrainingConfig(epochs=4)))
    assert [record["lr"] for record in metrics(run)] == pytest.approx([0.1, 0.05, 0.05, 0.01])
    assert_equal_to_the_bit(run, whole)


def test_a_runs_own_config_reruns_it_to_the_bit(whole, tmp_path):
    from sparring.training import load_config

    again = train(replace(load_config(whole), out=str(tmp_path / "again")))
    assert_equal_to_the_bit(again, whole)
    assert (again / "config.yaml").read_text() == (whole / "config.yaml").read_text()


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (RunConfig(method=MethodConfig(temperature=0.2)), r"method\.temperature \(0\.5 there, 0\.2 now\)"),
        (
            RunConfig(optimizer=OptimizerConfig(lr=0.5), training=TrainingConfig(seed=3)),
            r"optimizer\.lr \(0\.01 there, 0\.5 now\), training\.seed \(0 there, 3 now\) differ",
        ),
        (RunConfig(training=TrainingConfig(epochs=2)), "training.epochs is 2, but the run to resume was started for 4"),
        (RunConfig(out="elsewhere"), "out is elsewhere, but a resumed run continues in its own folder"),
        (RunConfig(init_from="w.safetensors"), r"resume \(.*\) and init_from \(w\.safetensors\) exclude each other"),
    ],
)
def test_another_configuration_is_refused(whole, config, sentence):
    with pytest.raises(ValueError, match=sentence):
        resolve(replace(config, resume=str(whole)))


def test_what_changes_nothing_may_differ(whole):
    config = resolve(RunConfig(resume=str(whole), training=TrainingConfig(checkpoint_every=7, progress=False)))
    assert config.training.checkpoint_every == 7
    assert config.method.name == "clae"


@pytest.mark.parametrize("key", [*NONE_OF_A_FIGURE, *IMAGES_ELSEWHERE])
def test_what_changes_no_figure_may_be_given_anew(whole, key):
    given = build(NONE_OF_A_FIGURE | IMAGES_ELSEWHERE | {"training.batch_size": 3, "resume": str(whole)})
    check_given(given, [key])
    with pytest.raises(ValueError, match=r"training\.batch_size is \d+ there, not 3"):
        check_given(given, [key, "training.batch_size"])


def test_there_must_be_something_to_resume(tmp_path):
    with pytest.raises(ValueError, match=r"resume is .*nowhere, but there is no such run folder"):
        resolve(RunConfig(resume=str(tmp_path / "nowhere")))
    with pytest.raises(ValueError, match=r"is no run folder: it holds no config\.yaml"):
        resolve(RunConfig(resume=str(tmp_path)))
