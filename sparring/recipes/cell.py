"""One row of a recipe with one seed: what is trained, what is measured of it, and the JSON that says so.

A cell lives in `runs`: a folder named after the method, the seed and a digest of its configuration, so that rows which two
recipes share are trained once. In it `run` is the run folder, `measured` has a file for each finished measurement, and
log.txt says who did what when.
"""

from __future__ import annotations

import shlex
import shutil
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from sparring.config import RunConfig
from sparring.measuring import TransferConfig
from sparring.recipes import conditions
from sparring.recipes.budgets import Budget
from sparring.recipes.keys import attacked, counts, distances, last_epochs, perturbations
from sparring.recipes.measurements import PATHS, Clean, Latent, Measurement, Perturbed, Robust, Transferred
from sparring.recipes.place import (
    Place,
    configured,
    data_label,
    departures,
    departures_in_words,
    folder_of,
    other_images,
    result_file,
    written,
)
from sparring.recipes.recipe import Recipe, Row
from sparring.recipes.workers import loaders
from sparring.reporting import read_results
from sparring.reporting.run_folder import read_json, read_lines
from sparring.reporting.table import SCHEMA


@dataclass(frozen=True)
class Cell:
    """One row with one seed at one size, and where its files are."""

    recipe: Recipe
    row: Row
    seed: int
    budget: Budget
    place: Place

    @cached_property
    def config(self) -> RunConfig:
        """What is trained."""
        return configured(self.row, self.seed, self.budget, self.place)

    @cached_property
    def home(self) -> Path:
        """The folder that it lives in, with the others that train the same."""
        return folder_of(self.row, self.seed, self.budget, self.place)

    @property
    def run(self) -> Path:
        """The run folder."""
        return self.home / "run"

    @property
    def file(self) -> Path:
        """Its JSON."""
        return result_file(self.recipe, self.row, self.seed, self.budget, self.place)

    @property
    def words(self) -> str:
        """What it is called in messages."""
        return f"{self.row.name}, seed {self.seed}"

    @property
    def label(self) -> str:
        """Its size, beside every figure."""
        given = self.row.given
        return self.budget.label if given is None else self.budget.label_of_weights(made=given.weights is None)

    def measurements(self) -> list[Measurement]:
        """All that is measured of it, in the order of the columns."""
        recipe, evaluation, where = self.recipe, self.config.evaluation, self.config.data
        found: list[Measurement] = []
        if recipe.protocols:
            found.append(Clean(recipe.protocols, recipe.version, evaluation, where))
        if recipe.perturbed:
            found.append(Perturbed(evaluation, where))
        for under in recipe.robustness:
            scaled = replace(self.budget.robustness(under.config), classifier=self.row.classifier)
            found.append(Robust(scaled, evaluation, where))
        if recipe.latent is not None:
            found.append(Latent(self.budget.latent(recipe.latent), evaluation, where))
        absent = self.left_out()
        return found + [self.transferred(name) for name in recipe.transfer if f"transfer-{name}" not in absent]

    def transferred(self, name: str) -> Transferred:
        """Its transfer to a data set."""
        return Transferred(self.moved(name), self.budget.penalties)

    def moved(self, name: str) -> TransferConfig:
        """How the encoder is transferred to a data set; the smoke size has textures in the place of all."""
        place = self.place
        return TransferConfig([name], place.transfer_root, place.download, generated=self.budget.name == "smoke")

    def left_out(self) -> dict[str, str]:
        """By their keys, the data sets of a transfer that were not measured and are not there, with where to get them."""
        from sparring.data.transfer import missing

        found = {name: missing(name, self.moved(name)) for name in self.recipe.transfer}
        return {
            f"transfer-{name}": sentence
            for name, sentence in found.items()
            if sentence and not is_measured(self, self.transferred(name))
        }

    def finished(self) -> bool:
        """Whether its JSON is there and nothing is missing in it that can be measured of the trained run.

        A ValueError if the file of that name holds figures of other images, another size, or measured otherwise.
        """
        if not self.file.exists():
            return False
        try:
            [found] = read_results([self.file])
        except ValueError as error:
            raise ValueError(f"{error}; remove that file to have it made again") from None
        if self.row.given is not None:
            from sparring.recipes.given import check_same

            check_same(self, found)
        for key, ours in (("data", data_label(self.recipe, self.place)), ("budget", self.label)):
            if found[key] != ours:
                raise ValueError(f"{self.file} has figures of {key} {found[key]!r}, not {ours!r}: choose another --out")
        if differing := conditions.differences(self, found):
            raise ValueError(
                f"{self.file}: {self.words} was trained or measured otherwise: {'; '.join(differing)}: choose another --out"
            )
        can = self.row.given is not None or trained(self)
        return not (can and conditions.to_add(self, found))

    def check_measurable(self) -> None:
        """A ValueError, before any training, if all that would be measured is a transfer, and none of its data sets is there."""
        if self.recipe.transfer and not self.measurements():
            reasons = list(self.left_out().values())
            more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
            raise ValueError(
                f"{self.recipe.name} measures nothing but transfers, and no data set of them is there: {reasons[0]}{more}"
            )


def trained(cell: Cell) -> bool:
    """Whether the last checkpoint is that of the last epoch."""
    from sparring.training import checkpoints

    saved = checkpoints.checkpoints(cell.run)
    return bool(saved) and checkpoints.position(saved[-1])[0] >= (cell.config.training.epochs or 0)


def train_cell(cell: Cell) -> None:
    """Train to the end; what was interrupted continues at its last checkpoint, or at the first of its two stages."""
    from sparring.training import train
    from sparring.training.checkpoints import checkpoints
    from sparring.training.run_folder import FIRST_STAGE

    if trained(cell):
        return
    config = replace(cell.config, data=replace(cell.config.data, workers=loaders()))
    if checkpoints(cell.run) or (cell.run / FIRST_STAGE).is_dir():
        train(replace(config, resume=str(cell.run)))
        return
    shutil.rmtree(cell.run, ignore_errors=True)  # what a run leaves that was killed before its first checkpoint
    train(replace(config, out=str(cell.run)))


def measured_file(cell: Cell, measurement: Measurement) -> Path:
    """Where the figures of a measurement are kept."""
    return cell.home / "measured" / f"{measurement.name}.json"


def is_measured(cell: Cell, measurement: Measurement) -> bool:
    """Whether it was taken before, by the same version of its protocol and with the same settings."""
    return conditions.kept(measured_file(cell, measurement), measurement.conditions)


def measure_cell(cell: Cell, measurement: Measurement) -> dict[str, Any]:
    """The figures of one measurement, from its file if it was taken before."""
    file = measured_file(cell, measurement)
    state = file.with_suffix(".autoattack")
    return conditions.once(
        file, measurement.conditions, lambda: measurement.take(cell.run, state, report=cell.budget.report)
    )


def write_cell(cell: Cell) -> None:
    """Gather the figures of a trained and measured cell into its JSON."""
    from sparring.training.run_folder import write_json

    recipe, row = cell.recipe, cell.row
    about = {
        "schema": SCHEMA,
        "experiment": recipe.name,
        "row": row.name,
        "seed": cell.seed,
        "data": data_label(recipe, cell.place),
        "budget": cell.label,
        "rerun": rerun(cell),
        "conditions": conditions.of_cell(cell),
    }
    if row.given is None and (adapted := cell.place.adapted(row.run)):
        about["adapted"] = adapted
    if computed := departures_in_words(row, cell.budget, cell.place):
        about["computed"] = computed
    if other := other_images(cell.config):
        about["images"] = other.words
    if row.given is not None:
        from sparring.recipes.given import of_weights as make
    else:
        make = made if recipe.make else gathered
    found = make(cell)
    cell.file.parent.mkdir(parents=True, exist_ok=True)
    write_json(cell.file, about | found)


def rerun(cell: Cell) -> str:
    """The command that makes this cell anew; its reader puts folders and files in the place of words in capitals."""
    recipe, row, place = cell.recipe, cell.row, cell.place
    words = ["sparring", "reproduce", recipe.name, "--budget", cell.budget.name, "--rows", row.name]
    words += ["--seeds", str(cell.seed)]
    if place.data is not None:
        words += ["--data", place.data.name, *(["--root", "IMAGES"] if place.data.root else [])]
        words += ["--data-label", place.label] if place.label not in (None, place.data.name) else []
    for name, (ours, _) in departures(row, cell.budget, place).items():
        words += [f"--{name.replace('_', '-')}", written(ours)]
    words += ["--transfer-root", "FOLDER"] if recipe.transfer and place.transfer_root else []
    words += ["--weights", f"{row.name}=FILE"] if row.given is not None and row.given.weights is not None else []
    words += ["--corrupted", "FOLDER"] if any(each.config.corrupted_root for each in recipe.robustness) else []
    return shlex.join(words)


def made(cell: Cell) -> dict[str, Any]:
    """What a recipe that is no grid of training runs makes of a cell."""
    assert cell.recipe.make is not None
    return cell.recipe.make(cell.row, cell.config, cell.budget, cell.home)


def gathered(cell: Cell) -> dict[str, Any]:
    """What the JSON of a trained and measured cell says beside whose it is."""
    from sparring.training import resolve
    from sparring.training.run_folder import load_config

    results, more = figures(cell)
    environment = read_json(cell.run / "environment.json")
    environment.pop("command", None)
    complete = asdict(load_config(cell.run)) | {"evaluation": asdict(resolve(cell.config).evaluation)}
    for key in PATHS:
        complete["data"][key] = complete["data"][key] and "IMAGES"
    # how many there were is the machine's, and changes no figure
    complete["data"]["workers"] = cell.config.data.workers
    epochs = read_lines(cell.run / "metrics.jsonl")
    return {
        "rows": [each.name for each in cell.recipe.rows],
        "paper": cell.row.paper,
        "config": complete,
        "results": results,
        **more,
        "epochs": epochs,
        "environment": environment,
        "seconds": {"training": sum(epoch["seconds"] for epoch in epochs)},
    }


def figures(cell: Cell) -> tuple[dict[str, Any], dict[str, Any]]:
    """All figures of a measured cell: accuracies and values by their keys, and what stands beside them."""
    results: dict[str, Any] = {}
    more: dict[str, Any] = {}
    suffixes = iter(under.suffix for under in cell.recipe.robustness)
    for measurement in cell.measurements():
        entry = conditions.figures_in(measured_file(cell, measurement))
        if isinstance(measurement, Clean):
            results |= entry | last_epochs(entry)
        elif isinstance(measurement, Perturbed):
            more["analysis"] = entry
            results |= perturbations(entry)
        elif isinstance(measurement, Robust):
            results = attacked(entry, next(suffixes)) | results
            more |= {"corruptions": entry["corruptions"]} if entry.get("corruptions") else {}
        elif isinstance(measurement, Transferred):
            results[measurement.key] = entry
        else:
            said = ("label", "divergence", "classes", "strengths", "epochs", "selection")
            more["latent"] = {key: entry[key] for key in said}
            results |= distances(entry)
    if cell.left_out():
        more["left_out"] = cell.left_out()
    return results | counts(cell.run), more
