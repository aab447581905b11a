"""A recipe of two small rows, and `python -m tests.recipes.tiny`: a runner with a worker for each line that it reads.

A line is the number of the task during which the runner kills itself, 0 for none, and its folder. Both are forks of that
process, whose imports would take most of the time; that workers are spawned is tested elsewhere.
"""

import multiprocessing
import os
import random
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from sparring.config import DataConfig, MethodConfig, RunConfig
from sparring.measuring import RobustnessConfig
from sparring.recipes import workers
from sparring.recipes.budgets import BUDGETS
from sparring.recipes.grid import run_grid
from sparring.recipes.place import Place
from sparring.recipes.recipe import Column, Recipe, Row, Under
from sparring.recipes.tasks import plan

BUDGET = replace(
    BUDGETS["smoke"], label="tiny", epochs=3, batch_size=16, train_images=48, test_images=20, attacked=8, strongest=8
)
ROWS = ("natural", "adversarial_training")
RECIPE = Recipe(
    name="tiny.table",
    title="Two classifiers",
    source="nobody's",
    rows=tuple(Row(name, RunConfig(method=MethodConfig(name=name), data=DataConfig(name="digits"))) for name in ROWS),
    columns=(Column("own"), Column("pgd-2"), Column("square")),
    protocols=("own",),
    robustness=tuple(Under(RobustnessConfig(attack=[name])) for name in ("pgd-2", "autoattack")),
)
AGAIN = replace(RECIPE, name="tiny.again", robustness=RECIPE.robustness[:1])


def place(folder: Path) -> Place:
    return Place(DataConfig(name="digits", image_size=8), "digits", folder / "results", folder / "runs")


def tasks(folder: Path):
    return plan([RECIPE, AGAIN], BUDGET, place(folder), seeds=[0])


class Mortal(workers.Local):
    """Its process dies of SIGKILL at a random moment after it has handed out that many tasks."""

    def __init__(self, last: int) -> None:
        super().__init__(1, threads=1)
        self.left = last

    def start(self, task) -> None:
        super().start(task)
        self.left -= 1
        if self.left == 0:
            time.sleep(random.uniform(0, 0.5))
            os.kill(os.getpid(), signal.SIGKILL)


def run(folder: Path, last: int) -> None:
    local = Mortal(last)
    try:
        run_grid(tasks(folder), local, lambda line: None)
    finally:
        local.close()


if __name__ == "__main__":
    from sparring import experiment, robustness  # noqa: F401

    fork = multiprocessing.get_context("fork")
    workers.multiprocessing.get_context = lambda _: fork
    for line in sys.stdin:
        last, folder = line.rstrip("\n").split(" ", 1)
        runner = os.fork()
        if runner == 0:
            try:
                run(Path(folder), int(last))
            finally:
                os._exit(0)
        print(runner, flush=True)
