"""What a person sees while training: a bar on a terminal, one line an epoch elsewhere; and the run's log.txt."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

REFRESH = 0.5
"""Seconds between two readings of the loss: each makes the device finish what it was given."""


class Display:
    """Writes to the terminal if `shown`, and to log.txt always; only the first process has one that is not silent."""

    def __init__(self, log: Path | None, *, shown: bool) -> None:
        self.log = log
        self.console = Console(file=sys.stdout, quiet=not shown, highlight=False)
        self.bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            TextColumn("loss {task.fields[loss]}  {task.fields[speed]} images/s"),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not (shown and self.console.is_terminal),
        )
        self.task = self.bar.add_task("training", total=None, epoch="", loss="", speed="")
        self.last = time.monotonic()

    def start(self, total: int, done: int) -> None:
        """Show the bar; `total` and `done` count the steps of the whole run."""
        self.bar.reset(self.task, total=total, completed=done)
        self.bar.start()

    def stop(self) -> None:
        """Remove the bar."""
        self.bar.stop()

    @property
    def due(self) -> bool:
        """Whether the bar should be drawn anew."""
        return not self.bar.disable and time.monotonic() - self.last >= REFRESH

    def update(self, done: int, epoch: str, loss: float, speed: float) -> None:
        """Draw the bar anew."""
        self.last = time.monotonic()
        self.bar.update(self.task, completed=done, epoch=epoch, loss=f"{loss:.4f}", speed=f"{speed:,.0f}")

    def say(self, sentence: str) -> None:
        """Something that a person should know, on the terminal and in log.txt."""
        self.console.print(sentence, markup=False, soft_wrap=True)
        self.note(sentence)

    def note(self, sentence: str) -> None:
        """A line of log.txt."""
        if self.log is not None:
            with self.log.open("a") as file:
                file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {sentence}\n")
