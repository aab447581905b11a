"""One row of a recipe with one seed: trained, measured, and written as one JSON. What is done is not done again.

A cell lives in `runs`: a folder named after the row, the seed and a digest of its configuration, so that rows which two
recipes share are trained once. In it `run` is the run folder and `measured` has a file for each finished measurement.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sparring.config import DataConfig, EvaluationConfig, RunConfig
from sparring.recipes.budgets import Budget
from sparring.recipes.recipe import Recipe, Row

Tell = Callable[[str], None]
"""Takes one line of progress."""


@dataclass(frozen=True)
class Place:
    """Where a recipe's images come from and where its files go."""

    data: DataConfig | None = None
    """Images instead of the recipe's data set: its name, root and test_root count."""
    label: str | None = None
    """What those images are called beside every figure."""
    out: Path = Path("results")
    runs: Path = Path("runs/recipes")
    download: bool = False
    """Whether a data set that is not there may be downloaded."""

    def on(self, run: RunConfig) -> RunConfig:
        """`run` on these images."""
        if self.data is None:
            return replace(run, data=replace(run.data, download=self.download))
        given = self.data
        size = run.data.image_size or (32 if given.name == "folder" else None)
        data = replace(
            run.data,
            name=given.name,
            root=given.root,
            test_root=given.test_root,
            download=self.download,
            image_size=size,
        )
        if given.name in ("folder", run.data.name):
            return replace(run, data=data)
        # another data set has its own normalisation and augmentation
        return replace(run, data=replace(data, views=None), encoder=replace(run.encoder, mean=None, std=None))


def configured(row: Row, seed: int, budget: Budget, place: Place) -> RunConfig:
    """The complete configuration of a cell."""
    run = place.on(budget.scaled(row.run))
    return replace(run, training=replace(run.training, seed=seed, progress=False), out=None)


def folder_of(row: Row, seed: int, budget: Budget, place: Place) -> Path:
    """Where a cell lives: how it is evaluated is no part of what is trained."""
    digest = digest_of(replace(configured(row, seed, budget, place), evaluation=EvaluationConfig()))
    return place.runs / budget.name / f"{slug(row.name)}-seed{seed}-{digest}"


def result_file(recipe: Recipe, row: Row, seed: int, budget: Budget, place: Place) -> Path:
    """The JSON of a cell."""
    return place.out / recipe.name / f"{slug(row.name)}-{budget.name}-seed{seed}.json"


def run_cell(recipe: Recipe, row: Row, seed: int, budget: Budget, place: Place, tell: Tell = print) -> Path:
    """Train and measure one cell and write its JSON; a finished cell is left as it is."""
    file = result_file(recipe, row, seed, budget, place)
    if file.exists():
        return file
    from sparring.training.run_folder import load_config, write_json

    home, what = folder_of(row, seed, budget, place), f"{recipe.name}, {row.name}, seed {seed}"
    start = time.perf_counter()
    run = train_cell(row, seed, budget, place, tell=lambda line: tell(f"{what}: {line}"))
    evaluation = configured(row, seed, budget, place).evaluation
    results, more = measured(
        recipe, row, run, home / "measured", evaluation, budget, tell=lambda line: tell(f"{what}: {line}")
    )
    environment = json.loads((run / "environment.json").read_text())
    del environment["command"]
    complete = asdict(load_config(run))
    for key in ("root", "test_root"):
        complete["data"][key] = complete["data"][key] and "IMAGES"
    epochs = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    written = {
        "schema": 1,
        "experiment": recipe.name,
        "row": row.name,
        "rows": [each.name for each in recipe.rows],
        "seed": seed,
        "data": place.label or (place.data.name if place.data else recipe.data),
        "budget": budget.label,
        "rerun": f"sparring reproduce {recipe.name} --budget {budget.name} --rows '{row.name}' --seeds {seed}",
        "paper": row.paper,
        "config": complete,
        "results": results,
        **more,
        "epochs": epochs,
        "environment": environment,
        "seconds": {"training": sum(epoch["seconds"] for epoch in epochs), "last start": time.perf_counter() - start},
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, written)
    return file


def train_cell(row: Row, seed: int, budget: Budget, place: Place, tell: Tell = print) -> Path:
    """The run folder of a cell, trained to its end; an interrupted one continues."""
    from sparring.training import checkpoints, train

    config, run = configured(row, seed, budget, place), folder_of(row, seed, budget, place) / "run"
    saved = checkpoints.checkpoints(run) if (run / "config.yaml").exists() else []
    if not saved:
        tell("training")
        train(replace(config, out=str(run), overwrite=run.exists()))
    elif checkpoints.position(saved[-1])[0] < (config.training.epochs or 0):
        tell(f"training continues after epoch {checkpoints.position(saved[-1])[0]}")
        train(replace(config, resume=str(run)))
    return run


def measured(
    recipe: Recipe,
    row: Row,
    run: Path,
    home: Path,
    evaluation: EvaluationConfig,
    budget: Budget,
    tell: Tell = print,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """All figures of a trained cell: accuracies and values by their keys, and what stands beside them."""
    results: dict[str, Any] = {}
    more: dict[str, Any] = {}
    settings = {f"evaluation.{key}": value for key, value in asdict(evaluation).items() if value is not None}
    fitting = digest_of(evaluation)
    if recipe.protocols:
        file = home / f"clean-{'-'.join(recipe.protocols)}-{recipe.version}-{fitting}.json"
        results |= once(file, _clean(recipe, run, evaluation), tell)
    for under in recipe.robustness:
        scaled = replace(budget.robustness(under.config), classifier=row.classifier)
        entry = once(home / f"robustness-{fitting}-{digest_of(scaled)}.json", _robust(run, settings, scaled), tell)
        attacks = {f"{name}{under.suffix}": figure for name, figure in entry["attacks"].items()}
        results = {"clean": entry["clean"] | {"words": entry["subject"]["words"]}} | results | attacks
        if entry.get("corruptions"):
            found = more["corruptions"] = entry["corruptions"]
            mean = {"accuracy": found["mean_accuracy"], "n": found["n"], "words": found["words"]}
            results[f"corruptions{under.suffix}"] = mean
    results |= counts(run)
    if recipe.latent is not None:
        scaled = budget.latent(recipe.latent)
        entry = once(home / f"latent-{fitting}-{digest_of(scaled)}.json", _latent(run, settings, scaled), tell)
        more["latent"] = {key: entry[key] for key in ("label", "divergence", "classes", "strengths", "epochs")}
        found = entry["divergence"]["adversarial"]
        if "ratio" in entry["classes"]:
            apart = f"mean {entry['classes']['distance']} distance between classes over that within them"
            results["inter_over_intra"] = {"value": entry["classes"]["ratio"], "n": entry["data"]["n"], "words": apart}
        results["r_div"] = {"value": found["r_div"], "n": found["anchors"], "words": found["words"]}
    return results, more


def counts(run: Path) -> dict[str, Any]:
    """Positives and negatives an anchor of a method that selects them, in the first and the last epoch (ASCL, Fig. 4)."""
    epochs = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    found = {}
    for when, epoch in (("first", epochs[0]), ("last", epochs[-1])):
        for short, name in (("pos", "positives"), ("neg", "negatives")):
            if f"clean_{name}" in epoch:
                value = epoch[f"clean_{name}"] + epoch[f"adversarial_{name}"]
                found[f"num_{short}_{when}"] = {"value": value, "words": f"{name} an anchor, mean of the {when} epoch"}
    return found


def once(file: Path, make: Callable[[], dict[str, Any]], tell: Tell = print) -> dict[str, Any]:
    """What `file` holds, or what `make` makes and is then written into it."""
    from sparring.training.run_folder import write_json

    if not file.exists():
        tell(file.stem.partition("-")[0])
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, make())
    return json.loads(file.read_text())


def _clean(recipe: Recipe, run: Path, evaluation: EvaluationConfig) -> Callable[[], dict[str, Any]]:
    def make() -> dict[str, Any]:
        from sparring import experiment
        from sparring.training.run_folder import load_config

        config = replace(load_config(run), evaluation=evaluation)
        return experiment.measure(run, config, protocols=recipe.protocols, version=recipe.version)

    return make


def _robust(run: Path, settings: dict[str, Any], config: Any) -> Callable[[], dict[str, Any]]:
    def make() -> dict[str, Any]:
        from sparring import robustness

        robustness.of_a_run(run, settings, config)
        return json.loads((run / "robustness.json").read_text())

    return make


def _latent(run: Path, settings: dict[str, Any], config: Any) -> Callable[[], dict[str, Any]]:
    def make() -> dict[str, Any]:
        from sparring import latent

        latent.of_a_run(run, settings, config)
        return json.loads((run / "latent.json").read_text())

    return make


def digest_of(config: Any) -> str:
    """Eight letters that tell one configuration from another; a setting that came later and is left alone changes none."""
    text = json.dumps(_changed(asdict(config), asdict(type(config)())), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _changed(values: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """The values that differ from the defaults, group by group."""
    return {
        key: _changed(value, defaults[key]) if isinstance(value, dict) else value
        for key, value in values.items()
        if value != defaults[key]
    }


def slug(name: str) -> str:
    """A row's name as part of a file's."""
    return re.sub(r"[^a-z0-9.]+", "-", name.lower().replace("+", " plus ")).strip("-")
