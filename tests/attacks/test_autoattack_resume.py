"""An AutoAttack that was killed continues to the same images and verdicts, and refuses what would change them."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sparring import attacks
from sparring.attacks import L2, AutoAttack, Linf
from tests.attacks.victims import cnn, labelled, pictures

ATTACK = AutoAttack(Linf(12 / 255), iterations=3, queries=20, batch_size=3, chunk=6)


class Killed(Exception):
    pass


def killed_after(batches):
    """A callback that stops the run where a kill might, after so many reports."""
    left = [batches]

    def stop(_):
        left[0] -= 1
        if left[0] < 0:
            raise Killed

    return stop


def test_killed_around_every_write_it_continues_to_the_same_result(tmp_path, monkeypatch):
    model, x = cnn(), pictures(10)
    y = labelled(model, x)
    whole = ATTACK.run(model, x, y)
    assert {"", "apgd-ce"} < set(whole.broken_by)
    rename, calls = Path.replace, itertools.count()

    def killed(path, target):
        """In turn just before the new file stands in the place of the old one, and just after."""
        call = next(calls)
        if call % 2:
            rename(path, target)
        if call < 24:
            raise Killed
        return rename(path, target) if call % 2 == 0 else None

    monkeypatch.setattr(Path, "replace", killed)
    for _ in range(24):
        with pytest.raises(Killed):
            ATTACK.run(model, x, y, state=tmp_path / "state")
    result = ATTACK.run(model, x, y, state=tmp_path / "state")
    assert torch.equal(result.x_adv, whole.x_adv)
    assert result.broken_by == whole.broken_by


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_images_of_other_precisions_are_kept_exactly(tmp_path, dtype):
    model, x = cnn().to(dtype), pictures(4).to(dtype)
    y = labelled(model, x)
    attack = AutoAttack(Linf(16 / 255), members=("apgd-ce", "square"), iterations=3, queries=10)
    whole = attack.run(model, x, y)
    assert set(whole.broken_by) - {"", "clean"}
    with pytest.raises(Killed):
        attack.run(model, x, y, state=tmp_path, progress=killed_after(1))
    assert torch.equal(attack.run(model, x, y, state=tmp_path).x_adv, whole.x_adv)


def test_a_randomised_model_continues_to_the_same_result_too(tmp_path):
    model, x = cnn(), pictures(12)
    y = labelled(model, x)

    def jittered(images):
        return model(images) + torch.randn(len(images), 4)

    attack = AutoAttack(Linf(12 / 255), members=("apgd-ce", "square"), iterations=3, queries=5, batch_size=3)
    whole = attack.run(jittered, x, y)
    for _ in range(3):
        with pytest.raises(Killed):
            attack.run(jittered, x, y, state=tmp_path, progress=killed_after(1))
    assert torch.equal(attack.run(jittered, x, y, state=tmp_path).x_adv, whole.x_adv)


def test_a_finished_state_returns_without_attacking(tmp_path):
    model, x = cnn(), pictures(10)
    y = labelled(model, x)
    whole = ATTACK.run(model, x, y, state=tmp_path)
    calls, reports = [], []

    def counted(images):
        calls.append(len(images))
        return model(images)

    again = ATTACK.run(counted, x, y, state=tmp_path, progress=reports.append)
    assert calls == [8, 8], "the two questions to the model, with and without gradients"
    assert torch.equal(again.x_adv, whole.x_adv)
    assert again.broken_by == whole.broken_by
    assert (reports[-1].done, reports[-1].eta) == (10, None)


SCRIPT = """
import sys, time, torch
from pathlib import Path
torch.set_num_threads(1)
from safetensors.torch import save_file
from sparring.attacks import AutoAttack, Linf
from tests.attacks.victims import cnn, labelled, pictures
model, x = cnn(), pictures(10)
y = labelled(model, x)
waits = sys.argv[2] == "waits"
def slow(images):
    while waits and (Path(sys.argv[1]) / "chunk-0001.safetensors").exists():
        time.sleep(1)
    return model(images)
attack = AutoAttack(Linf(12 / 255), members=("apgd-ce", "apgd-t", "square"), iterations=3, queries=15, batch_size=3, chunk=6)
result = attack.run(slow, x, y, state=Path(sys.argv[1]))
codes = torch.tensor([["", "clean", *attack.members].index(name) for name in result.broken_by])
save_file({"x_adv": result.x_adv, "codes": codes}, sys.argv[3])
"""


def test_kill_9_in_the_middle_of_a_process(tmp_path):
    root, state, out = Path(attacks.__file__).parents[2], tmp_path / "state", tmp_path / "out.safetensors"
    environment = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}

    def start(how):
        command = [sys.executable, "-c", SCRIPT, str(state), how, str(out)]
        return subprocess.Popen(command, cwd=root, env=environment, stderr=subprocess.PIPE)

    process = start("waits")
    deadline = time.monotonic() + 300
    while not (state / "chunk-0001.safetensors").exists():
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not out.exists()
    kept = (state / "chunk-0000.safetensors").stat().st_mtime_ns

    process = start("ends")
    _, error = process.communicate(timeout=300)
    assert process.returncode == 0, error.decode()
    assert (state / "chunk-0000.safetensors").stat().st_mtime_ns == kept, "what was done is not done again"
    model, x = cnn(), pictures(10)
    y = labelled(model, x)
    attack = AutoAttack(
        Linf(12 / 255), members=("apgd-ce", "apgd-t", "square"), iterations=3, queries=15, batch_size=3, chunk=6
    )
    whole, resumed = attack.run(model, x, y), load_file(out)
    assert torch.equal(resumed["x_adv"], whole.x_adv)
    assert [["", "clean", *attack.members][code] for code in resumed["codes"]] == whole.broken_by


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    state = tmp_path_factory.mktemp("interrupted")
    model, x = cnn(), pictures(4)
    y = labelled(model, x)
    attack = AutoAttack(Linf(0.06), members=("apgd-ce", "square"), iterations=2, queries=4)
    with pytest.raises(Killed):
        attack.run(model, x, y, state=state, progress=killed_after(1))
    return state, model, x, y


def same(settings):
    given = {"threat": Linf(0.06), "members": ("apgd-ce", "square"), "iterations": 2, "queries": 4}
    return AutoAttack(**(given | settings))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"threat": Linf(0.05)}, "ran with eps 0.06 \\(15.3/255\\), this one has 0.05 \\(12.75/255\\)"),
        ({"threat": L2(0.06)}, "ran with norm Linf, this one has L2"),
        ({"seed": 3}, "ran with seed 0, this one has 3"),
        ({"members": ("square", "apgd-ce")}, r"ran with members \['apgd-ce', 'square'\], this one has \['square', "),
        ({"iterations": 3}, "ran with iterations 2, this one has 3"),
        ({"queries": 5}, "ran with queries 4, this one has 5"),
        ({"batch_size": 2}, "ran with batch_size 250, this one has 2"),
        ({"chunk": 2}, "ran with chunk 1000, this one has 2"),
    ],
)
def test_other_settings_are_refused_by_name(interrupted, settings, message):
    state, model, x, y = interrupted
    with pytest.raises(ValueError, match=message):
        same(settings).run(model, x, y, state=state)


def test_other_images_labels_and_models_are_refused_by_name(interrupted, monkeypatch):
    state, model, x, y = interrupted
    attack, nudged = same({}), x.clone()
    nudged[-1, 0, 0, 0] += 1e-6
    for other, message in [
        ((model, nudged, y), "ran with pixels [0-9a-f]{64}, this one has"),
        ((model, x, y.flip(0)), "ran with labels"),
        ((model, x[:3], y[:3]), "ran with images 4, this one has 3"),
        ((cnn().double(), x.double(), y), "ran with dtype torch.float32, this one has torch.float64"),
        ((cnn(5), x, y), "ran with classes 4, this one has 5"),
        ((cnn(seed=2), x, y), r"ran with another model: logits of the first image \[.*, now \["),
    ]:
        with pytest.raises(ValueError, match=message):
            attack.run(*other, state=state)
    monkeypatch.setattr("sparring.attacks.autoattack.state.version", lambda _: "9.9")
    with pytest.raises(ValueError, match=r"ran with pyautoattack 0\.2\.0, this one has 9\.9"):
        attack.run(model, x, y, state=state)


def test_rounding_of_another_thread_count_is_no_other_model(interrupted):
    state, model, x, y = interrupted
    result = same({}).run(lambda images: model(images) * (1 + 1e-6), x, y, state=state)
    assert len(result.broken_by) == 4


def flip(data):
    return data[:-5] + bytes([data[-5] ^ 1]) + data[-4:]


def half(data):
    return data[: len(data) // 2]


@pytest.mark.parametrize("harm", [flip, half, lambda data: b""], ids=["flipped", "truncated", "empty"])
@pytest.mark.parametrize("name", ["chunk-0000.safetensors", "settings.json"])
def test_a_damaged_file_is_named_and_refused(tmp_path, harm, name):
    model, x = cnn(), pictures(4)
    y = labelled(model, x)
    attack = same({})
    attack.run(model, x, y, state=tmp_path)
    file = tmp_path / name
    file.write_bytes(harm(file.read_bytes()))
    with pytest.raises(ValueError, match=name):
        attack.run(model, x, y, state=tmp_path)


def test_a_chunk_of_other_settings_or_without_settings_is_refused(tmp_path):
    model, x = cnn(), pictures(4)
    y = labelled(model, x)
    attack = same({"chunk": 2})
    attack.run(model, x, y, state=tmp_path)
    first, second = (tmp_path / f"chunk-{i:04d}.safetensors" for i in range(2))
    first.rename(tmp_path / "first")
    second.rename(first)
    (tmp_path / "first").unlink()
    with pytest.raises(ValueError, match=r"chunk-0000\.safetensors is damaged"):
        attack.run(model, x, y, state=tmp_path)
    (tmp_path / "settings.json").unlink()
    with pytest.raises(ValueError, match=r"settings\.json is missing"):
        attack.run(model, x, y, state=tmp_path)


def test_folders_that_are_not_its_own_are_refused(tmp_path):
    model, x = cnn(), pictures(2)
    y = labelled(model, x)
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(ValueError, match=r"holds thesis\.tex, which no AutoAttack wrote"):
        same({}).run(model, x, y, state=tmp_path)
    with pytest.raises(ValueError, match="is a file; it must be a folder"):
        same({}).run(model, x, y, state=tmp_path / "thesis.tex")
    state = tmp_path / "deep" / "state"

    def second(_):
        with pytest.raises(ValueError, match="is in use by another AutoAttack"):
            same({}).run(model, x, y, state=state)

    same({}).run(model, x, y, state=state, progress=second)
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["thesis.tex"]
    settings = json.loads((state / "settings.json").read_text())
    assert settings["images"] == 2
    assert settings["members"] == ["apgd-ce", "square"]
