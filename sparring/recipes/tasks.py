"""The cells of recipes as tasks of a grid: training -> each measurement -> the cell's JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sparring.recipes.aggregate import seeds_of
from sparring.recipes.budgets import Budget
from sparring.recipes.cell import Cell, is_measured, measure_cell, measured_file, train_cell, trained, write_cell
from sparring.recipes.given import not_given
from sparring.recipes.measurements import Measurement
from sparring.recipes.place import Place
from sparring.recipes.recipe import Recipe


@dataclass(frozen=True)
class CellTask:
    """One stage of a cell, or of all the cells that train and measure the same."""

    cell: Cell
    stage: str
    """training, the stage of a measurement, or results."""
    name: str
    after: tuple[str, ...] = ()
    measurement: Measurement | None = None
    recipes: tuple[str, ...] = ()
    """Whose cells need it."""

    @property
    def home(self) -> Path:
        """The cell's folder."""
        return self.cell.home

    @property
    def words(self) -> str:
        """Recipe, row, seed, stage."""
        return f"{', '.join(self.recipes)}: {self.cell.row.name}, seed {self.cell.seed}: {self.stage}"

    def finished(self) -> bool:
        """Whether the last epoch's checkpoint, the measurement's file, the cell's JSON is there."""
        if self.measurement is not None:
            return is_measured(self.cell, self.measurement)
        return trained(self.cell) if self.stage == "training" else self.cell.finished()

    def run(self) -> None:
        """Train, measure or gather; images stay for the next task of this process."""
        from sparring.data import images_kept

        with images_kept():
            if self.measurement is not None:
                measure_cell(self.cell, self.measurement)
            elif self.stage == "training":
                train_cell(self.cell)
            else:
                write_cell(self.cell)


def plan(
    recipes: Sequence[Recipe],
    budget: Budget,
    place: Place,
    *,
    rows: Sequence[str] = (),
    seeds: Sequence[int] = (),
) -> list[CellTask]:
    """The tasks of all cells that have no JSON yet, each once, in the order in which they should begin: a recipe after the
    other, in it all rows with a seed before the next seed; rows whose weights nobody gave are left out. No `rows` are all,
    no `seeds` the budget's or recipe's number. Raises ValueError, before any work, for a JSON that holds figures trained or
    measured otherwise, and for a cell of which nothing can be measured."""
    tasks: list[CellTask] = []
    for recipe in recipes:
        size = budget.of(recipe.name)
        chosen = [recipe.row(name) for name in rows] or recipe.rows
        for seed in seeds or seeds_of(recipe, size):
            for row in chosen:
                if not_given(row, size):
                    continue
                cell = Cell(recipe, row, seed, size, place if recipe.trains(row) else replace(place, computed=()))
                if cell.finished():
                    continue
                cell.check_measurable()
                tasks += [replace(task, recipes=(recipe.name,)) for task in of_cell(cell)]
    return merged(tasks)


def merged(tasks: Iterable[CellTask]) -> list[CellTask]:
    """Each once, where it first stands, with all the recipes that need it."""
    found: dict[str, CellTask] = {}
    for task in tasks:
        first = found.setdefault(task.name, task)
        found[task.name] = replace(first, recipes=tuple(dict.fromkeys((*first.recipes, *task.recipes))))
    return list(found.values())


def of_cell(cell: Cell) -> list[CellTask]:
    """Its tasks; two cells that train or measure the same name that task alike."""
    if cell.recipe.make is not None or cell.row.given is not None:
        return [CellTask(cell, "results", str(cell.file))]
    training = CellTask(cell, "training", f"{cell.home}: training")
    measurements = {
        name: CellTask(cell, each.stage, name, (training.name,), each)
        for each in cell.measurements()
        for name in [str(measured_file(cell, each))]
    }
    results = CellTask(cell, "results", str(cell.file), (training.name, *measurements))
    return [training, *measurements.values(), results]
