"""A grid of tasks: each begins when those before it are finished, and what fails takes nothing else with it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from statistics import fmean

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from sparring.recipes.work import Outcome, Task
from sparring.recipes.workers import Workers

Tell = Callable[[str], None]
"""Takes one line of progress."""
POLL = 1.0
"""Seconds between two looks at what others hold, and at the clock."""
QUIET = 60.0
"""Seconds after which a line says what is running."""


@dataclass(frozen=True)
class Failure:
    """A task that could not be done, and why."""

    task: Task
    sentence: str


def run_grid(tasks: Iterable[Task], workers: Workers, tell: Tell | None = None) -> list[Failure]:
    """Do every unfinished task; the failures. `tell` takes lines; without it they go to stderr, with a bar on a terminal.

    A task begins when those that it comes after are finished and no other works in its folder; the first of the list that
    can, begins first. What another runner holds is waited for, behind the rest. What comes after a failure is left out.
    """
    waiting = {task.name: task for task in tasks if not _finished(task)}
    running: dict[str, Task] = {}
    failures: dict[str, Failure] = {}
    left_out: set[str] = set()
    later: dict[str, float] = {}
    display = Display(list(waiting.values()), workers.count, tell)
    with display:
        while waiting or running:
            for task in list(waiting.values()):
                if any(name in failures or name in left_out for name in task.after):
                    left_out.add(waiting.pop(task.name).name)
                    display.left_out(task)
            busy = {task.home for task in running.values()}
            for task in list(waiting.values()):
                if not workers.free:
                    break
                ready = not any(name in waiting or name in running for name in task.after)
                if ready and task.home not in busy and later.get(task.name, 0.0) <= time.monotonic():
                    busy.add(task.home)
                    running[task.name] = waiting.pop(task.name)
                    workers.start(task)
                    display.begun(task)
            if not running:
                time.sleep(POLL if waiting else 0)
                continue
            for task, outcome in workers.wait(POLL):
                del running[task.name]
                if outcome.word == "held":
                    waiting[task.name] = task
                    later[task.name] = time.monotonic() + POLL
                elif outcome.word == "failed":
                    failures[task.name] = Failure(task, outcome.sentence)
                display.ended(task, outcome)
            display.look()
    return list(failures.values())


def _finished(task: Task) -> bool:
    with suppress(Exception):  # such as figures that another runner wrote meanwhile: whoever begins it says so
        return task.finished()
    return False


class Display:
    """What a person sees of a grid: a line for each task that ends, and on a terminal a bar below them."""

    def __init__(self, tasks: list[Task], workers: int, tell: Tell | None) -> None:
        console = Console(stderr=True, highlight=False)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            transient=True,
            disable=tell is not None or not console.is_terminal,
        )
        self.line = self.bar.add_task("", total=len(tasks), left="")
        self.tell: Tell = tell or (lambda line: console.print(line, markup=False, soft_wrap=True))
        self.total, self.workers = len(tasks), workers
        self.rest = Counter(task.stage for task in tasks)
        self.seconds: dict[str, list[float]] = {}
        self.running: dict[str, Task] = {}
        self.held: set[str] = set()
        self.last = time.monotonic()

    def __enter__(self) -> Display:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def begun(self, task: Task) -> None:
        """A task runs."""
        self.running[task.name] = task

    def ended(self, task: Task, outcome: Outcome) -> None:
        """It does not run any more."""
        del self.running[task.name]
        if outcome.word == "held":
            if task.home.name not in self.held:
                self.held.add(task.home.name)
                self._say(f"{task.words}: {outcome.sentence} works on it; waiting")
            return
        self.rest[task.stage] -= 1
        if outcome.word == "failed":
            self._say(f"{task.words}: failed: {outcome.sentence}")
            return
        self.seconds.setdefault(task.stage, []).append(outcome.seconds)
        left = self.left()
        self._say(f"{task.words}, {outcome.seconds:.1f} s" + (f"; {left}" if left else ""))

    def left_out(self, task: Task) -> None:
        """A task that cannot be done."""
        self.rest[task.stage] -= 1

    @property
    def done(self) -> int:
        """Tasks that are over."""
        return self.total - self.rest.total()

    def left(self) -> str:
        """How long the rest will take if its tasks take as long as those of their stage, or as all, did."""
        means = {stage: fmean(seconds) for stage, seconds in self.seconds.items()}
        if not self.rest.total() or not means:
            return ""
        usual = fmean(means.values())
        rest = sum(count * means.get(stage, usual) for stage, count in self.rest.items())
        return f"about {_duration(rest / self.workers)} left"

    def look(self) -> None:
        """Draw the bar anew; say what runs if nothing else was said for long."""
        names = " | ".join(task.words for task in self.running.values())
        self.bar.update(self.line, completed=self.done, description=names, left=self.left())
        if self.bar.disable and time.monotonic() - self.last > QUIET and names:
            self._say(f"running: {names}")

    def _say(self, line: str) -> None:
        self.last = time.monotonic()
        self.tell(f"[{self.done}/{self.total}] {line}")


def _duration(seconds: float) -> str:
    minutes, hours = seconds / 60, seconds / 3600
    return f"{hours:.1f} h" if hours >= 2 else f"{minutes:.0f} min" if minutes >= 2 else f"{seconds:.0f} s"
