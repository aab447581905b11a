"""The tasks of a grid on a Ray cluster, or on Ray's workers of this machine."""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path
from typing import Any

from sparring.recipes.work import Outcome, Task, perform
from sparring.recipes.workers import cores, shares


class RayWorkers:
    """At most `count` tasks at a time on the cluster at `address` ("local": one that begins and ends here).

    Its machines need this package and, under the same paths, the folder in which the runner stands and those of the grid.
    Without a count: one a GPU, or one for every few CPU cores. A task reserves its share of both, never more cores than every
    machine has. Raises ValueError if Ray or the cluster is not there.
    """

    def __init__(self, address: str, count: int | None = None) -> None:
        try:
            import ray
        except ImportError:
            raise ValueError("--ray needs the package ray: pip install 'sparring[ray]'") from None
        self.ray: Any = ray
        local: dict[str, Any] = {}
        if address == "local":
            local = {"num_cpus": max(count or 1, cores()), "include_dashboard": False}
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **local)
        except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
            raise ValueError(f"--ray {address}: there is no Ray cluster to join ({error})") from error
        machines = [each["Resources"] for each in ray.nodes() if each["Alive"]]
        cpus = [int(each["CPU"]) for each in machines if each.get("CPU", 0) >= 1] or [1]
        gpus = int(sum(each.get("GPU", 0) for each in machines))
        self.count, threads = shares(count, sum(cpus), gpus)
        self.perform = ray.remote(_perform).options(
            max_retries=0, num_cpus=min(threads, *cpus), num_gpus=min(1.0, gpus / self.count)
        )
        self.running: dict[Any, Task] = {}

    @property
    def free(self) -> bool:
        """Whether another task may be handed in."""
        return len(self.running) < self.count

    def start(self, task: Task) -> None:
        """Hand it in."""
        self.running[self.perform.remote(task, Path.cwd())] = task

    def wait(self, seconds: float) -> list[tuple[Task, Outcome]]:
        """Outcomes; that of a worker which died is a failure of its task alone."""
        done, _ = self.ray.wait(list(self.running), num_returns=1, timeout=seconds)
        return [(self.running.pop(each), self._outcome(each)) for each in done]

    def close(self) -> None:
        """Stop what runs and leave the cluster."""
        for each in self.running:
            self.ray.cancel(each)  # as Ctrl-C: a training saves a checkpoint first
        self.ray.wait(list(self.running), num_returns=len(self.running), timeout=60) if self.running else None
        self.ray.shutdown()

    def _outcome(self, reference: Any) -> Outcome:
        try:
            return self.ray.get(reference)
        except self.ray.exceptions.RayError as error:
            lines = str(error).strip().splitlines() or [""]
            return Outcome("failed", f"{type(error).__name__}: {lines[0]}")


def _perform(task: Task, folder: Path) -> Outcome:
    """A worker of a cluster stands wherever that was started."""
    try:
        os.chdir(folder)
    except OSError as error:
        return Outcome("failed", f"{socket.gethostname()} has no folder {folder} ({error.strerror})")
    return perform(task)
