"""Tasks of a grid that need no network: `python -m tests.recipes.steps FOLDER` runs slow ones in two workers."""

import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from sparring.recipes.grid import run_grid
from sparring.recipes.workers import Local


@dataclass(frozen=True)
class Step:
    """Writes a line into its file, and the process with what it sees of the machine."""

    folder: Path
    name: str
    after: tuple[str, ...] = ()
    do: str = "write"
    own: str = ""
    stage: str = "step"

    @property
    def words(self):
        return f"the step {self.name}"

    @property
    def home(self):
        return self.folder / (self.own or self.name)

    @property
    def file(self):
        return self.home / f"{self.name}.txt"

    def finished(self):
        return self.file.exists() and self.do != "again"

    def run(self):
        if self.do == "fail":
            raise ValueError("it cannot be done,\n at all")
        if self.do == "break":
            raise KeyError("missing")
        if self.do == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.do == "slow":
            (self.home / "pid").write_text(str(os.getpid()))
            time.sleep(600)
        time.sleep(0.05)
        with self.file.open("a") as file:
            seen = [os.environ.get(name) for name in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")]
            file.write(f"{os.getpid()} {' '.join(map(str, seen))} {time.monotonic()}\n")


if __name__ == "__main__":
    folder, workers = Path(sys.argv[1]), Local(2, threads=1)
    try:
        run_grid([Step(folder, name, do="slow") for name in "ab"], workers)
    finally:
        workers.close()
