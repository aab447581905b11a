"""Where a recipe's images come from, where its files go, and the folder in which a cell lives."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparring.config import DataConfig, EvaluationConfig, RunConfig
from sparring.recipes.budgets import Budget, brought
from sparring.recipes.measurements import PATHS, digest_of
from sparring.recipes.recipe import Recipe, Row, derived

if TYPE_CHECKING:
    from sparring.data.official import OtherCopy


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
    transfer_root: str | None = None
    """Folder with a folder for each data set of a transfer; None is ~/.cache/sparring."""
    computed: tuple[tuple[str, Any], ...] = ()
    """How it is computed, instead of as the size says: settings by dotted names, such as ("training.precision", "bf16")."""

    def on(self, run: RunConfig) -> RunConfig:
        """`run` on these images: with its own views and normalisation, unless these have another number of channels."""
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
            resize=run.data.resize if given.name in ("folder", run.data.name) else None,
        )
        if self.adapted(run) is None:
            return replace(run, data=data)
        return replace(run, data=replace(data, views=None), encoder=replace(run.encoder, mean=None, std=None))

    def adapted(self, run: RunConfig) -> str | None:
        """What of `run` cannot stay on these images, beside every figure; None if all can."""
        from sparring.data.sets import about

        if self.data is None:
            return None
        ours, theirs = about(self.data.name).channels, about(run.data.name).channels
        if ours == theirs:
            return None
        return (
            f"views and normalisation are those of {self.data.name}, not the recipe's: its images have {ours} "
            f"channel{'s' * (ours != 1)}, those of {run.data.name} {theirs}"
        )


def place_of(
    data: str | None,
    root: Path | None,
    label: str | None,
    out: Path,
    runs: Path,
    *,
    download: bool = False,
    transfer_root: str | None = None,
    computed: Mapping[str, Any] | None = None,
) -> Place:
    """Where images come from, in the words of the command line."""
    how = tuple(sorted((computed or {}).items()))
    if data is None and root is None:
        return Place(out=out, runs=runs, download=download, transfer_root=transfer_root, computed=how)
    name = data or "folder"
    given = DataConfig(name=name, root=None if root is None else str(root.absolute()))
    words = label or (root.name if root is not None and name == "folder" else name)
    return Place(given, words, out, runs, download, transfer_root, how)


def configured(row: Row, seed: int, budget: Budget, place: Place) -> RunConfig:
    """The complete configuration of a cell."""
    run = place.on(budget.scaled(row.run))
    if row.given is not None:
        run = replace(run, data=brought(run.data, budget.weights_size))
    run = replace(run, training=replace(run.training, seed=seed, progress=False), out=None)
    return derived(run, dict(place.computed))


def departures(row: Row, budget: Budget, place: Place) -> dict[str, tuple[Any, Any]]:
    """Settings of `place.computed` that the row does not have at this size by itself: theirs, and its own."""
    if not place.computed:
        return {}
    own = budget.scaled(row.run).training
    found = {key.removeprefix("training."): value for key, value in place.computed}
    return {name: (value, getattr(own, name)) for name, value in found.items() if value != getattr(own, name)}


def departures_in_words(row: Row, budget: Budget, place: Place) -> str | None:
    """What stands beside every figure of them; None if there are none."""
    found = departures(row, budget, place).items()
    said = ", ".join(f"{name} {written(ours)} instead of {written(own)}" for name, (ours, own) in found)
    return f"{said}: rounded otherwise than the recipe at this size, so not its figures to the bit" if said else None


def written(value: Any) -> str:
    """A setting's value as a command line has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def identified(config: RunConfig) -> RunConfig:
    """What is trained, wherever it is: a folder's images stand in its place, those of a data set only if they are not the
    published ones, and how it is evaluated is left out."""
    data, held = config.data, config.data.name == "folder"
    roots = {key: getattr(data, key) if held else None for key in PATHS}
    roots = {key: root and f"images {fingerprint(root)}" for key, root in roots.items()}
    if other := other_images(config):
        roots["root"] = f"images {other.digest}"
    return replace(config, data=replace(data, download=False, **roots), evaluation=EvaluationConfig())


def other_images(config: RunConfig) -> OtherCopy | None:
    """The copy of a data set that is no copy of the published one."""
    from sparring.data.official import SOURCES, other_copy
    from sparring.data.sets import data_folder

    return other_copy(config.data.name, data_folder(config.data)) if config.data.name in SOURCES else None


@functools.cache
def fingerprint(root: str) -> str:
    """Tells a folder of images from others, wherever it is mounted."""
    from sparring.data.splits import told_apart

    walked = ((Path(folder), names) for folder, _, names in os.walk(root, followlinks=True))
    files = (folder / name for folder, names in walked for name in names)
    return told_apart({str(file.relative_to(root)): file for file in files})


def folder_of(row: Row, seed: int, budget: Budget, place: Place) -> Path:
    """Where a cell lives: neither where its images lie nor how it is evaluated is part of what is trained."""
    config, home = configured(row, seed, budget, place), place.runs / budget.name
    name, end = config.method.name, ""
    if row.given is not None:
        from sparring.recipes.given import identity

        name, end = slug(row.name), f"-{identity(row)}"
    digest = digest_of(identified(config))
    for known in (digest, *earlier(config)):
        # earlier versions named a folder after the first row that it was for
        kept = sorted(home.glob(f"{name if end else '*'}-seed{seed}-{known}{end}"))
        if kept:
            return kept[0]
    return home / f"{name}-seed{seed}-{digest}{end}"


def earlier(config: RunConfig) -> list[str]:
    """What an earlier version called the same training on images at the same place: their path was part of it."""
    bare = replace(config, evaluation=EvaluationConfig())
    return [digest_of(replace(bare, data=replace(bare.data, download=download))) for download in (False, True)]


def result_file(recipe: Recipe, row: Row, seed: int, budget: Budget, place: Place) -> Path:
    """The JSON of a cell."""
    return place.out / recipe.name / f"{slug(row.name)}-{budget.name}-seed{seed}.json"


def data_label(recipe: Recipe, place: Place) -> str:
    """What the images are called beside every figure."""
    return place.label or (place.data.name if place.data else recipe.data)


def slug(name: str) -> str:
    """A row's name as part of a file's."""
    return re.sub(r"[^a-z0-9.]+", "-", name.lower().replace("+", " plus ")).strip("-")
