"""A grid of real cells: killed twice and started again, on a Ray cluster, by two runners; the same figures to the bit."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from sparring import lock
from sparring.recipes.grid import run_grid
from sparring.recipes.ray_workers import RayWorkers
from sparring.recipes.workers import Here
from tests.recipes.steps import Step
from tests.recipes.tiny import tasks

ROOT = Path(__file__).parents[2]
STAGES = 2 * 4 + 4
"""Two trainings, each measured three times, and the JSON of two cells of two recipes."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The grid without interruption, in this process."""
    folder, threads = tmp_path_factory.mktemp("whole"), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert run_grid(tasks(folder), Here(), lambda line: None) == []
    finally:
        torch.set_num_threads(threads)
    return folder


def figures(value):
    """Without what says when and where."""
    if isinstance(value, dict):
        return {k: figures(v) for k, v in value.items() if k not in ("seconds", "images_per_second", "environment")}
    return [figures(each) for each in value] if isinstance(value, list) else value


def results(folder):
    files = sorted((folder / "results").rglob("*.json"))
    return {str(file.relative_to(folder)): figures(json.loads(file.read_text())) for file in files}


def logged(folder, word):
    """The lines of all cells' logs that say so."""
    lines = [line for file in (folder / "runs").rglob("log.txt") for line in file.read_text().splitlines()]
    return [line for line in lines if " process " in line and f" {word}" in line]


def test_two_recipes_share_what_they_have_in_common(whole):
    assert len(results(whole)) == 4 and tasks(whole) == []
    assert len(logged(whole, "finished")) == len(logged(whole, "begins")) == STAGES
    assert "tiny.table, tiny.again: natural, seed 0: training" in [task.words for task in tasks(whole / "empty")]


@pytest.fixture
def begin():
    """Starts a runner of the grid in that folder, with one worker, and returns its process number.

    It kills itself during its task of number `last`; 0: never.
    """
    words = [sys.executable, "-m", "tests.recipes.tiny"]
    with subprocess.Popen(
        words,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as starter:

        def start(folder, last=0):
            print(last, folder, file=starter.stdin, flush=True)
            return int(starter.stdout.readline())

        yield start
        starter.stdin.close()


def until(condition, seconds=600):
    """Wait for it."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def runs(process):
    return lock._began(process) is not None


def workers_of(folder):
    return {int(line.split(" process ")[1].split()[0]) for line in logged(folder, "begins")}


def test_killed_twice_at_random_moments_ends_the_same_and_does_nothing_twice(whole, tmp_path, begin):
    moments = random.choice(range(1, STAGES // 2)), random.choice(range(1, STAGES // 2))
    for moment in moments:
        runner = begin(tmp_path, moment)
        until(lambda runner=runner: not runs(runner))
        until(lambda: not any(map(runs, workers_of(tmp_path))))
        assert len(logged(tmp_path, "finished")) < STAGES, moments
    last = [begin(tmp_path), begin(tmp_path)]  # two at once
    until(lambda: not any(map(runs, last)))
    assert tasks(tmp_path) == [] and results(tmp_path) == results(whole), moments
    finished = [line.split(": ", 1)[1] for line in logged(tmp_path, "finished")]
    # a worker may be killed between writing its file and saying so, twice at most
    assert STAGES - 2 <= len(finished) <= STAGES, moments
    assert len(logged(tmp_path, "begins")) <= len(finished) + 2, moments


def test_a_ray_cluster_gives_the_same(whole, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *filter(None, sys.path)]))
    workers = RayWorkers("local", 2)
    try:
        assert workers.count == 2 and workers.free
        monkeypatch.chdir(tmp_path)  # its workers stand elsewhere
        assert run_grid(tasks(Path()), workers, lambda line: None) == []
    finally:
        workers.close()
    assert results(tmp_path) == results(whole)
    assert len({line.split(" process ")[1].split()[0] for line in logged(tmp_path, "finished")}) == 2
    assert len(logged(tmp_path, "begins")) == STAGES


def test_one_worker_of_a_cluster_of_small_machines_does_not_wait_for_a_large_one(tmp_path, monkeypatch):
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *filter(None, sys.path)]))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=1)
        workers = RayWorkers(cluster.address, 1)
        try:
            step = Step(tmp_path, "a")
            workers.start(step)
            until(lambda: workers.wait(1.0), seconds=60)
            assert step.finished()
        finally:
            workers.close()
    finally:
        cluster.shutdown()
