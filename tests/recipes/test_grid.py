"""The grid: order, failures on their own, workers that die, two runners at once, locks of the dead."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sparring import lock
from sparring.recipes import grid, workers
from sparring.recipes.grid import run_grid
from sparring.recipes.work import perform
from sparring.recipes.workers import Here, Local, shares
from tests.recipes.steps import Step

ROOT = Path(__file__).parents[2]


def chain(folder, cells="ab"):
    """Two stages a cell in one folder, and a last step after all."""
    steps = []
    for each in cells:
        steps += [Step(folder, f"{each}1", own=each), Step(folder, f"{each}2", (f"{each}1",), own=each, stage="second")]
    return [*steps, Step(folder, "end", tuple(f"{each}2" for each in cells))]


def when(step):
    return float(step.file.read_text().split()[-1])


def test_tasks_come_after_those_they_need_and_are_done_once(tmp_path):
    steps, told = chain(tmp_path), []
    assert run_grid(reversed(steps), Here(), told.append) == []
    times = {step.name: when(step) for step in steps}
    assert times["a1"] < times["a2"] < times["end"] and times["b1"] < times["b2"] < times["end"]
    assert told[0].startswith("[1/5] the step b1, 0.") and told[-1].startswith("[5/5] the step end, ")
    assert "s left" in told[2] and "left" not in told[-1]
    assert "step begins\n" in (tmp_path / "a" / "log.txt").read_text()
    run_grid(steps, Here(), told.append)
    assert len(told) == 5 and all(len(step.file.read_text().splitlines()) == 1 for step in steps)


def test_the_time_left_counts_what_is_left_of_each_stage(tmp_path):
    steps = [Step(tmp_path, str(n), stage="long" if n < 4 else "short") for n in range(8)]
    display = grid.Display(steps, 2, lambda line: None)
    for step, seconds in ((steps[0], 100.0), (steps[1], 200.0), (steps[4], 10.0)):
        display.begun(step)
        display.ended(step, grid.Outcome("finished", seconds=seconds))
    assert display.done == 3 and display.left() == "about 3 min left"  # (2 x 150 s + 3 x 10 s) / 2 workers = 165 s
    display.left_out(steps[2])
    assert display.left() == "about 90 s left"


def test_a_failure_takes_only_what_needs_it(tmp_path):
    steps, told = chain(tmp_path), []
    steps[0] = Step(tmp_path, "a1", own="a", do="fail")
    steps.append(Step(tmp_path, "odd", do="break"))
    failures = run_grid(steps, Here(), told.append)
    assert {f.task.name: f.sentence for f in failures} == {
        "a1": "it cannot be done, at all",
        "odd": "KeyError: 'missing'",
    }
    assert steps[3].finished() and not steps[1].finished() and not steps[-2].finished()
    log = (tmp_path / "a" / "log.txt").read_text()
    assert "step failed: it cannot be done, at all" in log and "Traceback" in log and "steps.py" in log
    assert told[-1].startswith("[6/6]") or told[-1].startswith("[5/6]")


class Refused(Step):
    """Another runner has written something else where this step's file goes."""

    def finished(self):
        raise ValueError("choose another --out")


def test_what_is_met_unexpectedly_is_a_failure_of_one_task(tmp_path):
    refused, other = Refused(tmp_path, "refused"), Step(tmp_path, "other")
    (failure,) = run_grid([refused, other], Here(), lambda line: None)
    assert (failure.task, failure.sentence) == (refused, "choose another --out") and other.finished()


def test_a_log_on_a_full_disk_stops_nothing(tmp_path):
    step = Step(tmp_path, "a")
    step.home.mkdir()
    (step.home / "log.txt").symlink_to("/dev/full")
    assert perform(step).word == "finished" and step.finished()


def test_workers_have_their_share_and_one_that_dies_is_a_failure_of_its_task(tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    steps = [Step(tmp_path, "dies", do="die"), *chain(tmp_path, "abc")]
    workers = Local(2, threads=3, gpus=("4", "7"))
    try:
        failures = run_grid(steps, workers, lambda line: None)
    finally:
        workers.close()
    assert [(f.task.name, f.sentence) for f in failures] == [
        ("dies", "its worker process was ended by SIGKILL (out of memory?); the same command continues it")
    ]
    assert "failed: its worker process was ended by SIGKILL" in (tmp_path / "dies" / "log.txt").read_text()
    seen = [step.file.read_text().split() for step in steps[1:]]
    assert {(threads, gpu) for _, threads, gpu, _ in seen} <= {("3", "4"), ("3", "7")}
    assert len({pid for pid, *_ in seen}) <= 3 and str(os.getpid()) not in {pid for pid, *_ in seen}


def test_two_runners_at_once_do_nothing_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(grid, "POLL", 0.02)
    steps, told = chain(tmp_path, "abcd"), []
    runners = [threading.Thread(target=run_grid, args=(steps, Here(), told.append)) for _ in range(2)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join(30)
    assert all(len(step.file.read_text().splitlines()) == 1 for step in steps)
    assert any(f"process {os.getpid()} on {socket.gethostname()} works on it; waiting" in line for line in told)
    assert not list(tmp_path.rglob(".lock"))


def test_a_held_folder_is_left_alone_and_a_dead_ones_lock_is_taken_over(tmp_path):
    step = Step(tmp_path, "a")
    file = step.home / ".lock"
    child = subprocess.Popen(["sleep", "600"])
    theirs = {
        "pid": child.pid,
        "host": socket.gethostname(),
        "numbers": lock._numbers(),
        "began": lock._began(child.pid),
    }
    file.parent.mkdir()
    file.write_text(json.dumps(theirs))
    assert perform(step).word == "held" and not step.finished()
    file.write_text(json.dumps(theirs | {"began": "1"}))  # the number is another process's by now
    assert perform(step).word == "finished" and not file.exists()
    step.file.unlink()
    file.write_text(json.dumps(theirs))
    child.kill()
    deadline = time.monotonic() + 60
    while lock._began(child.pid) is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert perform(step).word == "finished"  # nobody has waited for it yet: it is dead all the same
    child.wait()


def test_a_lock_of_a_container_with_the_same_hosts_name_is_no_dead_process(tmp_path):
    file = tmp_path / ".lock"
    mine = {"pid": 2**22, "host": socket.gethostname(), "numbers": lock._numbers(), "began": "5"}
    file.write_text(json.dumps(mine))
    with lock.taken(file) as holder:
        assert holder is None  # that process has ended
    file.write_text(json.dumps(mine | {"numbers": "pid:[1]"}))
    with lock.taken(file) as holder:
        assert holder == f"process {2**22} on {socket.gethostname()}"


def test_another_hosts_lock_is_stale_when_it_was_not_touched_for_long(tmp_path):
    file = tmp_path / ".lock"
    file.write_text(json.dumps({"pid": 1, "host": "elsewhere", "began": "5"}))
    with lock.taken(file) as holder:
        assert holder == "process 1 on elsewhere"
    assert file.exists()
    os.utime(file, (time.time() - lock.STALE - 1,) * 2)
    with lock.taken(file) as holder:
        assert holder is None and json.loads(file.read_text())["host"] == socket.gethostname()
        with lock.taken(file) as second:
            assert second == f"process {os.getpid()} on {socket.gethostname()}"
        assert file.exists()
    assert not file.exists()


def test_a_lock_is_touched_while_it_is_held(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "BEAT", 0.01)
    with lock.taken(tmp_path / ".lock"):
        os.utime(tmp_path / ".lock", (1.0, 1.0))
        deadline = time.monotonic() + 60
        while (tmp_path / ".lock").stat().st_mtime < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert (tmp_path / ".lock").stat().st_mtime > time.time() - 60


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_runner(tmp_path, number):
    runner = subprocess.Popen(
        [sys.executable, "-m", "tests.recipes.steps", str(tmp_path)], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    files = [tmp_path / name / "pid" for name in "ab"]
    deadline = time.monotonic() + 300
    while not all(file.exists() and file.read_text() for file in files) and time.monotonic() < deadline:
        time.sleep(0.05)
    pids = [int(file.read_text()) for file in files]
    assert all(lock._began(pid) for pid in pids)
    runner.send_signal(number)
    runner.wait(60)
    while any(lock._began(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(lock._began(pid) for pid in pids)


def test_by_default_there_is_a_worker_a_gpu_or_for_every_few_cores():
    assert shares(None, 2, 0) == (1, 2)
    assert shares(None, 16, 0) == (4, 4)
    assert shares(None, 16, 8) == (8, 2)
    assert shares(3, 2, 0) == (3, 1)


def test_as_many_processes_decode_images_as_the_worker_has_cores(monkeypatch):
    monkeypatch.setattr(workers, "cores", lambda: 12)
    for share, count in (("8", 8), ("1", 2), ("64", 32), ("", 12), ("4,2", 12)):
        monkeypatch.setenv("OMP_NUM_THREADS", share)
        assert workers.loaders() == count
