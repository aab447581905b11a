"""What docs/cluster.md and examples/slurm say runs: torchrun with two launchers, and the words of the batch scripts."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from torch.distributed.launcher.api import LaunchConfig

from sparring.cli import main
from sparring.training import train
from sparring.training.checkpoints import checkpoints
from sparring.training.launch import SHUTDOWN_SECONDS, check_launched, launch, on_this_machine
from tests.training.runs import tiny

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/cluster.md").read_text()


def programs(folder, **bodies):
    """A folder of programs that stand in for those of a cluster."""
    for name, body in bodies.items():
        file = folder / name
        file.write_text(f"#!/bin/bash\n{body}\n")
        file.chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def test_two_launchers_train_one_run_as_documented(tmp_path):
    [block] = [each for each in re.findall(r"^```bash\n(.*?)^```", PAGE, re.M | re.S) if "torchrun" in each]
    with socket.socket() as free:
        free.bind(("localhost", 0))
        block = block.replace("29500", str(free.getsockname()[1]))
    (tmp_path / "bin").mkdir()
    path = programs(tmp_path / "bin", torchrun=f'exec "{sys.executable}" -m torch.distributed.run "$@"')
    places = {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        ["bash", "-c", block], cwd=tmp_path, env=os.environ | path | places, capture_output=True, text=True, timeout=600
    )
    run = tmp_path / "runs" / "two-machines"
    assert (run / "results.json").exists(), ended.stderr[-3000:]
    assert yaml.safe_load((run / "config.yaml").read_text())["training"]["processes"] == 2
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 1
    assert "2 steps of 32 an epoch" in (run / "log.txt").read_text()  # 64 images, shared: not 2 x 2 steps of 64
    assert json.loads((run / "results.json").read_text())["knn"]["epochs_trained"] == 1


def submitted(tmp_path, script, *words, **more):
    """What a batch script hands to srun, with SLURM's variables set."""
    (tmp_path / "bin").mkdir(exist_ok=True)
    path = programs(
        tmp_path / "bin",
        srun='echo "$OMP_NUM_THREADS ${TORCH_ELASTIC_SHUTDOWN_TIMEOUT:-none} $@"',
        scontrol="printf 'localhost\\nother\\n'",
        ray=":",
    )
    slurm = {
        "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_JOB_ID": "7",
        "SLURM_CPUS_PER_TASK": "16",
    }
    file = ROOT / "examples" / "slurm" / script
    environment = os.environ | path | slurm | more
    return subprocess.run(
        ["bash", file, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_the_training_script_starts_and_continues(tmp_path):
    words = ("train.sbatch", "runs/a", "simclr", "--data", "cifar10")
    launcher = (
        "--kill-on-bad-exit=1 --cpus-per-task=16 torchrun --nnodes 2 --nproc-per-node 4 --rdzv-id 7 --rdzv-backend c10d "
        "--rdzv-endpoint localhost:29500 -m sparring train"
    )
    new = submitted(tmp_path, *words, SLURM_GPUS_ON_NODE="4")
    assert new == f"4 270 {launcher} simclr --data cifar10 --out runs/a --overwrite true --processes 8"
    (tmp_path / "runs" / "a" / "checkpoints" / "epoch-0001").mkdir(parents=True)
    assert submitted(tmp_path, *words, SLURM_GPUS_ON_NODE="4") == f"4 270 {launcher} --resume runs/a"
    script = (ROOT / "examples" / "slurm" / "train.sbatch").read_text()
    [seconds] = re.findall(r"^#SBATCH --signal=TERM@(\d+)$", script, re.M)
    assert 30 < 270 < int(seconds)


def test_the_grid_script_runs_a_cluster(tmp_path):
    said = submitted(tmp_path, "grid.sbatch", "clae.table1", "--data", "cifar10", OMP_NUM_THREADS="1")
    assert said == (
        "1 none --kill-on-bad-exit=1 --cpus-per-task=16 ray symmetric-run --address 127.0.0.1:6379 --min-nodes 2 --num-cpus 16 "
        "-- sparring reproduce clae.table1 --data cifar10 --ray auto"
    )


def test_a_request_to_stop_is_heard_between_looks_and_twice(tmp_path):
    """As SLURM sends it: to torchrun, and to a process that torchrun passes it on to as well."""
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "tests.training.asked"]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
        "OMP_NUM_THREADS": "1",
    }
    ended = subprocess.run(
        [sys.executable, *command, str(tmp_path / "run")], env=environment, capture_output=True, text=True, timeout=300
    )
    said = (tmp_path / "run" / "log.txt").read_text()
    [steps] = re.findall(r"stopped by a signal after 0 epochs and (\d+) steps, saved", said) or [ended.stderr[-3000:]]
    assert 3 <= int(steps) <= 15  # asked at the third; steps of 0.1 s, a look every half second
    assert checkpoints(tmp_path / "run")


def test_processes_of_one_machine_have_time_to_save(tmp_path, monkeypatch):
    seen = {}

    class Popen:
        returncode = 0

        def __init__(self, command, env, stderr):
            seen.update(env)

        def poll(self):
            return 0

    monkeypatch.setattr(subprocess, "Popen", Popen)
    launch(tmp_path, 2, None)
    monkeypatch.setenv("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", seen["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"])
    if "shutdown_timeout" in LaunchConfig.__dataclass_fields__:
        assert LaunchConfig(1, 1, 2).shutdown_timeout == SHUTDOWN_SECONDS  # as torch reads it, from 2.12 on
    monkeypatch.setenv("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", "7")
    launch(tmp_path, 2, None)
    assert seen["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"] == "7"


def test_one_process_is_one_in_a_job_of_many_tasks(tmp_path, monkeypatch):
    """As in `srun --ntasks 4`, where each task trains a run of its own."""
    for name, value in {"NTASKS": "4", "PROCID": "3", "LOCALID": "3", "NODEID": "0", "JOB_NAME": "mine"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    run = train(tiny(tmp_path / "run", method="simclr", epochs=1, probe_every=0))
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 1
    assert [path.name for path in checkpoints(run)] == ["epoch-0001"]


def test_a_launcher_that_started_another_number_is_refused(tmp_path, monkeypatch, capsys):
    assert on_this_machine(3) == 3
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert on_this_machine(4) == 2
    check_launched(4)
    assert main(["train", "simclr", "--data", "synthetic", "--out", str(tmp_path / "run")]) == 2
    sentence = "training.processes is 1, but torchrun started 4 processes: add --processes 4"
    assert sentence in capsys.readouterr().err and not (tmp_path / "run").exists()
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    with pytest.raises(ValueError, match="3 of 4 processes on this machine: every machine must have as many"):
        check_launched(4)
