"""A checkpoint is whole or absent, whatever happens while it is written, and a damaged one is recognised."""

import errno
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from sparring.config import RunConfig
from sparring.training import checkpoints as room
from sparring.training import latest, train
from sparring.training.checkpoints import State, checkpoints, load_state, save, verify
from tests.training.runs import tiny


def network(value):
    module = nn.Linear(2, 2)
    nn.init.constant_(module.weight, value)
    return module


def saved(run, *epochs):
    for epoch in epochs:
        save(run, network(epoch), State(epoch, 0, {"state": {0: {"step": torch.tensor(epoch)}}, "param_groups": []}))


@pytest.fixture
def run(tmp_path):
    saved(tmp_path, 1, 2)
    return tmp_path


def test_what_was_saved_is_loaded(run):
    assert [path.name for path in checkpoints(run)] == ["epoch-0001", "epoch-0002"]
    state = load_state(latest(run))
    assert (state.epoch, state.step) == (2, 0)
    assert torch.equal(state.optimizer["state"][0]["step"], torch.tensor(2))
    assert torch.equal(load_file(latest(run) / "weights.safetensors")["weight"], torch.full((2, 2), 2.0))


def full_disk(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("where", ["save_weights", "torch.save", "_flush"])
def test_a_full_disk_leaves_the_previous_checkpoint_whole(run, where, monkeypatch):
    target = room.torch if where == "torch.save" else room
    monkeypatch.setattr(target, where.rpartition(".")[2], full_disk)
    with pytest.raises(OSError, match=r"epoch-0003 could not be written \(No space left on device\); the previous "):
        saved(run, 3)
    monkeypatch.undo()
    assert [path.name for path in (run / "checkpoints").iterdir() if path.name != "epoch-0001"] == ["epoch-0002"]
    assert load_state(latest(run)).epoch == 2


def test_a_full_disk_while_training_is_one_sentence_and_the_run_can_be_resumed(tmp_path, monkeypatch):
    writes = []

    def third_fails(encoder, path):
        writes.append(path)
        if len(writes) == 3:
            full_disk()
        room_save(encoder, path)

    room_save = room.save_weights
    monkeypatch.setattr(room, "save_weights", third_fails)
    with pytest.raises(OSError, match=r"No space left on device.*previous checkpoint .*epoch-0002 is whole") as error:
        train(tiny(tmp_path / "run", method="simclr"))
    assert "\n" not in str(error.value)
    assert train(RunConfig(resume=str(tmp_path / "run"))) == tmp_path / "run"
    assert latest(tmp_path / "run").name == "epoch-0004"


def test_writing_again_replaces(run):
    save(run, network(7.0), State(2, 0, {"state": {}, "param_groups": []}))
    assert torch.equal(load_file(latest(run) / "weights.safetensors")["weight"], torch.full((2, 2), 7.0))


@pytest.mark.parametrize("name", ["weights.safetensors", "state.pt"])
@pytest.mark.parametrize("harm", ["truncated", "flipped"])
def test_a_damaged_checkpoint_is_one_sentence_that_offers_the_one_before(run, name, harm):
    path = latest(run) / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content[:-10] if harm == "truncated" else content)
    offered = re.escape(str(run / "checkpoints" / "epoch-0001"))
    with pytest.raises(ValueError, match=f"epoch-0002 is damaged .*{name} is not what was written.*{offered}"):
        load_state(latest(run))
    assert load_state(run / "checkpoints" / "epoch-0001").epoch == 1


def test_a_missing_file_is_noticed(run):
    (latest(run) / "weights.safetensors").unlink()
    with pytest.raises(ValueError, match=r"weights\.safetensors is missing"):
        verify(latest(run))


def test_a_pickle_that_would_run_code_is_refused(run, tmp_path):
    class Harm:
        def __reduce__(self):
            return Path.touch, (tmp_path / "harmed",)

    torch.save({"epoch": 2, "step": 0, "optimizer": Harm(), "sums": None}, latest(run) / "state.pt")
    digests = {name: room._digest(latest(run) / name) for name in ("weights.safetensors", "state.pt")}
    (latest(run) / "digests.json").write_text(room.json.dumps(digests))
    with pytest.raises(ValueError, match=r"damaged \(state\.pt cannot be read\)"):
        load_state(latest(run))
    assert not (tmp_path / "harmed").exists()


def test_weights_are_kept_and_old_optimiser_states_are_not(run):
    saved(run, 3, 4)
    assert [(p / "state.pt").exists() for p in checkpoints(run)] == [False, False, True, True]
    assert all((p / "weights.safetensors").exists() for p in checkpoints(run))
    with pytest.raises(ValueError, match="keeps weights only"):
        load_state(checkpoints(run)[0])


def test_checkpoints_inside_an_epoch_go_when_the_epoch_is_finished(run):
    save(run, network(2.5), State(2, 3, {"state": {}, "param_groups": []}))
    assert latest(run).name == "epoch-0002-step-00003"
    saved(run, 3)
    assert [path.name for path in checkpoints(run)] == ["epoch-0001", "epoch-0002", "epoch-0003"]


def test_a_run_without_checkpoints_says_so(tmp_path):
    with pytest.raises(ValueError, match=r"is no run folder: it holds neither checkpoints nor a config\.yaml"):
        latest(tmp_path)
    (tmp_path / "config.yaml").touch()
    with pytest.raises(ValueError, match="holds no checkpoint"):
        latest(tmp_path)
