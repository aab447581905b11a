"""Several run folders beside each other: what their settings share, and which of their figures may stand in one row."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sparring.config import NO_FIGURE
from sparring.reporting.measured import Figure, figures_of
from sparring.reporting.run_folder import RunFolder, own_folder, read_run


@dataclass(frozen=True)
class Line:
    """One row of the table: a figure measured alike, by the runs that have it."""

    name: str
    conditions: Mapping[str, str]
    figures: Mapping[str, Figure]


@dataclass(frozen=True)
class Comparison:
    """The folders by the names that they have on the page, in the order in which they were given."""

    runs: Mapping[str, RunFolder]

    @cached_property
    def settings(self) -> dict[str, dict[str, str]]:
        """Every setting by its dotted name, as each run has it; what a run does not have is not set.

        Those that change no figure are left out; where images lie is not, since two folders may be called alike.
        """
        flat = {name: _flat(run.config) for name, run in self.runs.items() if run.is_run}
        keys = dict.fromkeys(key for values in flat.values() for key in values if key not in NO_FIGURE)
        return {key: {name: values.get(key, "not set") for name, values in flat.items()} for key in keys}

    def differing(self) -> dict[str, dict[str, str]]:
        """Settings that are not the same in all runs."""
        return {key: values for key, values in self.settings.items() if len(set(values.values())) > 1}

    def shared(self) -> dict[str, str]:
        """Settings that are, each said once."""
        found = {key: set(values.values()) for key, values in self.settings.items()}
        return {key: values.pop() for key, values in found.items() if len(values) == 1}

    @cached_property
    def lines(self) -> list[Line]:
        """Rows of the table; figures of one name that were measured differently stand in different rows."""
        found: dict[str, dict[Any, dict[str, Figure]]] = {}
        for name, run in self.runs.items():
            for figure in figures_of(run):
                found.setdefault(figure.name, {}).setdefault(figure.key, {})[name] = figure
        return [
            Line(name, next(iter(figures.values())).conditions, figures)
            for name, kinds in found.items()
            for figures in kinds.values()
        ]

    @cached_property
    def doubts(self) -> list[str]:
        """What must not be compared, a sentence each: other training images, figures that were not measured alike."""
        return [*self._without_figures(), *self._other_data(), *self._other_protocols(), *self._other_images()]

    def _without_figures(self) -> list[str]:
        measured = {name for line in self.lines for name in line.figures}
        bare = [name for name in self.runs if name not in measured]
        return [f"Without figures, so unfinished or not measured: {', '.join(bare)}."] if bare else []

    def _other_data(self) -> list[str]:
        trained = {name: _data(run) for name, run in self.runs.items() if run.is_run}
        if len(set(trained.values())) < 2:
            return []
        return [f"The runs were trained on different data: {_by_value(trained)}."]

    def _other_protocols(self) -> list[str]:
        said: dict[str, list[str]] = {}
        for name in dict.fromkeys(line.name for line in self.lines):
            kinds = [line for line in self.lines if line.name == name]
            if max(len(line.figures) for line in kinds) < len({run for line in kinds for run in line.figures}):
                said.setdefault(different(kinds), []).append(name)
        return [f"Not comparable: {', '.join(names)} ({what})." for what, names in said.items()]

    def _other_images(self) -> list[str]:
        found = {}
        for line in self.lines:
            measured = {name: one.verdicts for name, one in line.figures.items() if one.verdicts}
            first = next(iter(measured.values()), None)
            other = [name for name, one in measured.items() if first and not one.same_images(first)]
            if other:
                found.setdefault(f"{' and '.join(other)} from {next(iter(measured))}", []).append(line.name)
        return [
            f"Not comparable: {', '.join(names)} (other test images or labels, though described alike: {where})."
            for where, names in found.items()
        ]

    def groups(self) -> list[dict[int, str]]:
        """Runs that differ in nothing but the training seed, by seed, in the order of their first runs."""
        found: list[tuple[str, dict[int, str]]] = []
        for name, run in self.runs.items():
            if not run.is_run:
                continue
            same = {key: value[name] for key, value in self.settings.items() if key != "training.seed"}
            key, seed = json.dumps(same), int(run.setting("training.seed"))
            place = next((runs for other, runs in found if other == key and seed not in runs), None)
            if place is None:
                found.append((key, {seed: name}))
            else:
                place[seed] = name
        return [runs for _, runs in found]


def read_comparison(paths: Sequence[Path]) -> Comparison:
    """Read the folders. Raises ValueError for fewer than two, for the same one twice, and for what is no run folder."""
    paths = [Path(path) for path in paths]
    if len(paths) < 2:
        raise ValueError(f"compare needs at least two run folders, such as runs/a runs/b, not {len(paths)}")
    places: dict[Path, Path] = {}
    for path in paths:
        if (place := path.resolve()) in places:
            raise ValueError(f"{path} is the same run as {places[place]}: name each run once")
        places[place] = path
    return Comparison(dict(zip(names(list(places)), map(read_run, paths), strict=True)))


def names(places: Sequence[Path]) -> list[str]:
    """The shortest names that tell folders apart: their own, or their paths without the beginning and the end that all share."""
    cells = [own_folder(place) for place in places]
    places = cells if len(set(cells)) == len(cells) else places
    if len({place.name for place in places}) == len(places):
        return [place.name for place in places]
    parts = [place.parts for place in places]
    shortest = min(map(len, parts))
    begin = next((i for i in range(shortest) if len({p[i] for p in parts}) > 1), shortest - 1)
    end = next((i for i in range(1, shortest - begin) if len({p[-i] for p in parts}) > 1), shortest - begin)
    return ["/".join(p[begin : len(p) - end + 1]) for p in parts]


def different(lines: Sequence[Line]) -> str:
    """In which conditions figures of one name differ: those of each run, of runs that share them once."""
    every = dict.fromkeys(key for line in lines for key in line.conditions)
    keys = [key for key in every if len({line.conditions.get(key) for line in lines}) > 1]
    found: dict[str, list[str]] = {}
    for line in lines:
        said = ", ".join(f"{key} {line.conditions.get(key, 'not said')}" for key in keys)
        found.setdefault(said, []).extend(line.figures)
    return "; ".join(f"in {_listed(runs)}: {said}" for said, runs in found.items())


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _by_value(values: Mapping[str, str]) -> str:
    by: dict[str, list[str]] = {}
    for name, value in values.items():
        by.setdefault(value, []).append(name)
    return ", against ".join(f"{value} in {_listed(runs)}" for value, runs in by.items())


def _data(run: RunFolder) -> str:
    name, count, size = (run.setting(f"data.{key}") for key in ("name", "train_images", "image_size"))
    words = [f"{name} {run.setting('data.root') or ''}".strip()]  # two folders of images may have one label
    words += [f"{count:,} training images"] if count else []
    return ", ".join([*words, *([f"{size} pixels"] if size else [])])


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    found = {}
    for key, value in config.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{key}.")
        elif value is not None:
            found[prefix + key] = json.dumps(value) if isinstance(value, list | bool) else str(value)
    return found
