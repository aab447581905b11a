"""A recipe of two small rows, and `python -m tests.recipes.tiny`: for each folder that it reads, a runner with a worker.

Both are forks of that process, whose imports would take most of the time; that workers are spawned is tested elsewhere.
"""

import multiprocessing
import os
import sys
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


def run(folder: Path) -> None:
    local = workers.Local(1, threads=1)
    try:
        run_grid(tasks(folder), local, lambda line: None)
    finally:
        local.close()


if __name__ == "__main__":
    from sparring import experiment, robustness  # noqa: F401

    fork = multiprocessing.get_context("fork")
    workers.multiprocessing.get_context = lambda _: fork
    for line in sys.stdin:
        runner = os.fork()
        if runner == 0:
            try:
                run(Path(line.strip()))
            finally:
                os._exit(0)
        print(runner, flush=True)
