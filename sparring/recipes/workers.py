"""Who does the tasks of a grid: this process, or worker processes of this machine. This module imports nothing heavy."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Protocol, runtime_checkable

from sparring.recipes.work import Outcome, Task, note, perform

FEW_THREADS = 4
"""Of a CPU worker by default: small networks on small images gain little from more."""
FEWEST_LOADERS, MOST_LOADERS = 2, 32
"""The default of data.workers; more than the other feed no GPU better, and are started every epoch."""
PATIENCE = 60.0
"""Seconds in which a worker that is asked to stop may save a checkpoint."""


@runtime_checkable
class Workers(Protocol):
    """They take a task each."""

    count: int

    @property
    def free(self) -> bool:
        """Whether one of them can take another task."""
        ...

    def start(self, task: Task) -> None:
        """Give it to one of them."""
        ...

    def wait(self, seconds: float) -> list[tuple[Task, Outcome]]:
        """What has ended, as soon as something has, or nothing after so many seconds."""
        ...

    def close(self) -> None:
        """End them; what is unfinished is stopped, a training after a checkpoint."""
        ...


class Here:
    """This process, one task after the other."""

    count = 1

    def __init__(self) -> None:
        self.task: Task | None = None

    @property
    def free(self) -> bool:
        """Whether there is nothing to do."""
        return self.task is None

    def start(self, task: Task) -> None:
        """Remember it."""
        self.task = task

    def wait(self, seconds: float) -> list[tuple[Task, Outcome]]:
        """Do it."""
        assert self.task is not None
        task, self.task = self.task, None
        return [(task, perform(task))]

    def close(self) -> None:
        """Nothing is left."""


@dataclass
class Worker:
    """A process and this end of the pipe to it."""

    process: BaseProcess
    connection: Connection
    task: Task | None = None


class Local:
    """`count` new interpreters on this machine, each with its share of the CPU cores and one GPU where there are any.

    A script that makes them must be importable (`if __name__ == "__main__":` around what it does). They end with this
    process, however it ends.
    """

    def __init__(self, count: int, *, threads: int, gpus: tuple[str, ...] = ()) -> None:
        self.count = count
        self.environments = [
            {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads))}
            | ({"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if gpus else {})
            for number in range(count)
        ]
        self.workers: list[Worker | None] = [None] * count

    @property
    def free(self) -> bool:
        """Whether one of them has nothing to do, or is not yet there."""
        return any(worker is None or worker.task is None for worker in self.workers)

    def start(self, task: Task) -> None:
        """Give it to the first that is free; an interpreter is started when it is needed."""
        number = next(number for number, worker in enumerate(self.workers) if worker is None or worker.task is None)
        worker = self.workers[number] = self.workers[number] or _begin(self.environments[number])
        worker.task = task
        try:
            worker.connection.send(task)
        except OSError:  # it died while it had nothing to do
            worker = self.workers[number] = _begin(self.environments[number])
            worker.task = task
            worker.connection.send(task)

    def wait(self, seconds: float) -> list[tuple[Task, Outcome]]:
        """Outcomes; that of a worker which died is a failure of its task alone."""
        busy = {worker.connection: worker for worker in self.workers if worker is not None and worker.task is not None}
        ended = []
        for connection in wait(list(busy), seconds):
            worker = busy[connection]  # pyright: ignore[reportArgumentType]
            task, worker.task = worker.task, None
            assert task is not None
            try:
                ended.append((task, worker.connection.recv()))
            except (EOFError, OSError):
                worker.process.join()
                self.workers[self.workers.index(worker)] = None
                sentence = _death(worker.process.exitcode or 0)
                note(task, f"failed: {sentence}")
                ended.append((task, Outcome("failed", sentence)))
        return ended

    def close(self) -> None:
        """The idle see that nothing more comes; the others get a SIGTERM."""
        workers = [worker for worker in self.workers if worker is not None]
        for worker in workers:
            if worker.task is not None:
                worker.process.terminate()
            worker.connection.close()
        for worker in workers:
            worker.process.join(PATIENCE)
            worker.process.kill()
        self.workers = [None] * self.count


def shares(workers: int | None, cpus: int, gpus: int) -> tuple[int, int]:
    """How many workers by default, and the threads of each: one a GPU, or one for every few CPU cores."""
    count = workers or gpus or max(1, cpus // FEW_THREADS)
    return count, max(1, cpus // count)


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def loaders() -> int:
    """Processes that decode images for a task of this worker: one a core of its share, which OMP_NUM_THREADS says."""
    share = os.environ.get("OMP_NUM_THREADS", "")
    return max(FEWEST_LOADERS, min(MOST_LOADERS, int(share) if share.isdecimal() else cores()))


def visible_gpus() -> tuple[str, ...]:
    """The GPUs of this process, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    count = torch.cuda.device_count()
    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return tuple(named[:count]) if named else tuple(map(str, range(count)))


def _begin(environment: dict[str, str]) -> Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, environment))
    process.start()
    theirs.close()
    return Worker(process, ours)


def _serve(connection: Connection, environment: dict[str, str]) -> None:
    """A worker's whole life."""
    os.environ |= environment  # before anything is imported that reads it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        while True:
            connection.send(perform(connection.recv()))
    except (EOFError, OSError, KeyboardInterrupt):  # nothing more comes, or nobody listens
        return


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)  # its locks are stale then


def _death(code: int) -> str:
    if code >= 0:
        return f"its worker process ended with exit code {code}"
    name = signal.Signals(-code).name
    memory = " (out of memory?)" if name == "SIGKILL" else ""
    return f"its worker process was ended by {name}{memory}; the same command continues it"
