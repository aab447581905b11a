"""Several data-parallel processes on one machine, through torch's own launcher, from the shell and from Python.

The processes are new interpreters that read the run folder, so a calling script needs no `__main__` guard. Under
somebody else's torchrun (or SLURM) nothing is launched: the processes are there already.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from sparring.training.signals import Stopped, StopRequest, listening

POLL = 0.2
SHUTDOWN_SECONDS = 300
"""What torch's launcher grants processes that were asked to stop, to end a step and to save. Torch before 2.12 grants 30."""


def launched_by_others() -> bool:
    """Whether this process is one of several that a launcher started."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_first() -> bool:
    """Whether this process is the one that writes."""
    return not launched_by_others() or os.environ.get("RANK", "0") == "0"


def on_this_machine(processes: int) -> int:
    """How many of the `processes` run on this machine: all, unless a launcher has spread them over several."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", processes)) if launched_by_others() else processes


def check_launched(processes: int) -> None:
    """Raises ValueError if a launcher has started another number of processes, or not as many on each machine."""
    if not launched_by_others():
        return
    started = int(os.environ["WORLD_SIZE"])
    if started != processes:
        raise ValueError(
            f"training.processes is {processes}, but torchrun started {started} processes: add --processes {started}"
        )
    if started % on_this_machine(processes):
        raise ValueError(
            f"torchrun started {on_this_machine(processes)} of {started} processes on this machine: every machine must have "
            "as many"
        )


def launch(run: Path, processes: int, resume: Path | None) -> None:
    """Run `python -m sparring.training.worker RUN` in `processes` processes until all are done.

    Raises RuntimeError with the sentence of the process that failed first, and Stopped after a signal (passed on).
    """
    threads = str(max(1, (os.cpu_count() or 1) // processes))
    environment = {"OMP_NUM_THREADS": threads, "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(SHUTDOWN_SECONDS)}
    environment = environment | os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with tempfile.TemporaryDirectory() as messages, listening(StopRequest()) as request:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        command += ["-m", "sparring.training.worker", str(run), str(resume or ""), messages]
        complaints = Path(messages) / "launcher.txt"
        with complaints.open("w") as file:
            launcher = subprocess.Popen(command, env=environment, stderr=file)
            passed_on = False
            while launcher.poll() is None:
                if request.signal and not passed_on:
                    launcher.terminate()
                    passed_on = True
                try:
                    launcher.wait(POLL)
                except subprocess.TimeoutExpired:
                    continue
        if request.signal:
            raise Stopped(128 + request.signal, f"stopped by a signal; continue with: sparring train --resume {run}")
        if launcher.returncode:
            said = sorted(Path(messages).glob("rank-*.txt"), key=lambda path: path.stat().st_mtime)
            reason = said[0].read_text() if said else complaints.read_text()[-2000:]
            raise RuntimeError(f"one of {processes} processes failed: {reason}")
