"""A piece of work of a grid, done by whichever process gets it, and never by two at once. This module imports nothing heavy."""

from __future__ import annotations

import os
import socket
import time
import traceback
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from sparring.lock import taken

LOG = "log.txt"


@runtime_checkable
class Task(Protocol):
    """A picklable value, the same on every machine."""

    @property
    def name(self) -> str:
        """Of this piece of work and no other."""
        ...

    @property
    def stage(self) -> str:
        """Which kind of work it is: those of one kind take about as long."""
        ...

    @property
    def words(self) -> str:
        """What a person calls it."""
        ...

    @property
    def after(self) -> tuple[str, ...]:
        """The names of the tasks without which it cannot begin."""
        ...

    @property
    def home(self) -> Path:
        """The folder in which it works, alone."""
        ...

    def finished(self) -> bool:
        """Whether what it makes is there."""
        ...

    def run(self) -> None:
        """Make it."""
        ...


@dataclass(frozen=True)
class Outcome:
    """How it went; `held` by another process, it is tried again."""

    word: Literal["finished", "failed", "held"]
    sentence: str = ""
    seconds: float = 0.0


def perform(task: Task) -> Outcome:
    """Do a task unless it is finished or its folder is held; what goes wrong is written into the folder's log.txt."""
    start = time.perf_counter()
    try:
        with taken(task.home / ".lock") as holder, warnings.catch_warnings():
            if holder is not None:
                return Outcome("held", holder)
            if task.finished():
                return Outcome("finished")
            warnings.showwarning = lambda message, *_: note(task, f"warning: {message}")
            note(task, "begins")
            task.run()
            seconds = time.perf_counter() - start
            note(task, f"finished in {seconds:.1f} s")
            return Outcome("finished", seconds=seconds)
    except Exception as error:
        sentence = " ".join(str(error).split())
        if not isinstance(error, ValueError) or not sentence:
            sentence = f"{type(error).__name__}: {sentence}"
        note(task, f"failed: {sentence}\n{''.join(traceback.format_exception(error))}")
        return Outcome("failed", sentence, time.perf_counter() - start)


def note(task: Task, text: str) -> None:
    """Add a line to the log of the task's folder."""
    with suppress(OSError):  # a full disk: the outcome says it
        task.home.mkdir(parents=True, exist_ok=True)
        with (task.home / LOG).open("a") as file:
            file.write(
                f"{time.strftime('%Y-%m-%d %H:%M:%S')} process {os.getpid()} on {socket.gethostname()}: {task.stage} {text}\n"
            )
