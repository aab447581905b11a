"""Rows whose weights others trained: where the user says they are, whether they can be read, and their figures.

    --weights "Supervised=torchvision:resnet50.IMAGENET1K_V1; SwAV=swav.pth, linear=swav_linear.pth; SimCLR=simclr.pt"

A row's weights are a file, or a name of torchvision or timm; settings of `WeightsConfig` may follow. A row without weights
is listed as not given. At the smoke size it gets untrained ones, made on the spot and called so wherever they appear.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import json
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparring.recipes.budgets import MADE, Budget
from sparring.recipes.conditions import once
from sparring.recipes.keys import attacked
from sparring.recipes.measurements import PATHS, Clean, Robust, digest_of
from sparring.recipes.recipe import Recipe, Row, Under, Weights

if TYPE_CHECKING:
    from sparring.recipes.cell import Cell
    from sparring.recipes.place import Place


def bring(recipes: Sequence[Recipe], texts: Iterable[str], *, download: bool = False) -> list[Recipe]:
    """The recipes with the weights that --weights names: `ROW=WHERE[, SETTING=VALUE ...]`, rows separated by semicolons.

    WHERE is a file, torchvision:NAME.WEIGHTS or timm:NAME.TAG; SETTING is layout, name, projector, linear, mean or std,
    lists with spaces. Raises ValueError for a row that the recipes do not have or that stands twice, for a file that is
    not there, and for what else cannot be read of the words.
    """
    rows = {row.name: row for recipe in recipes for row in recipe.rows if row.given is not None}
    found: dict[str, Weights] = {}
    for entry in (part.strip() for text in texts for part in text.split(";")):
        if not entry:
            continue
        if not rows:
            raise ValueError(f"--weights is {entry!r}, but {recipes[0].name} trains its rows itself")
        name, equals, where = (part.strip() for part in entry.partition("="))
        row = next((row for row in rows.values() if row.name.lower() == name.lower()), None)
        if row is None or not equals or not where:
            near = difflib.get_close_matches(name, rows, n=1)
            hint = f"; did you mean {near[0]}?" if near and row is None else ""
            raise ValueError(f"--weights must be ROW=FILE with a row of {', '.join(rows)}, not {entry!r}{hint}")
        if row.name in found:
            raise ValueError(f"--weights names {row.name} twice")
        found[row.name] = _weights(row, where, download)

    def filled(row: Row) -> Row:
        return (
            replace(row, given=replace(row.given, weights=found[row.name])) if row.given and row.name in found else row
        )

    return [replace(recipe, rows=tuple(filled(row) for row in recipe.rows)) for recipe in recipes]


def on_official_files(recipes: Sequence[Recipe], folder: str | None) -> list[Recipe]:
    """The recipes with their corruptions taken from the folder of an official ImageNet-C, CIFAR-10-C or CIFAR-100-C."""
    if folder is None:
        return list(recipes)

    from sparring.data.corrupted import open_corrupted

    def official(under: Under) -> Under:
        here = under.config.corruptions
        return (
            replace(under, config=replace(under.config, corrupted_root=str(Path(folder).absolute()))) if here else under
        )

    if not Path(folder).is_dir():
        raise ValueError(f"--corrupted is {folder}, which is no folder")
    try:
        open_corrupted(folder)
    except ValueError as error:
        raise ValueError(f"--corrupted: {error}") from None
    changed = [replace(recipe, robustness=tuple(official(under) for under in recipe.robustness)) for recipe in recipes]
    if changed == list(recipes):
        raise ValueError(f"--corrupted is {folder}, but {recipes[0].name} measures no corruptions")
    return changed


def _weights(row: Row, where: str, download: bool) -> Weights:
    from sparring.configuration import build_weights, convert, weights_fields
    from sparring.encoders.published import HUBS, weights_of

    place, *pairs = (part.strip() for part in where.split(","))
    settings: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = (part.strip() for part in pair.partition("="))
        field = weights_fields().get(f"encoder.{key}")
        if field is None or not equals:
            known = ", ".join(name.removeprefix("encoder.") for name in weights_fields())
            raise ValueError(f"--weights of {row.name}: {pair!r} must be SETTING=VALUE with a setting of {known}")
        settings[field.key] = convert(field, value)
    config = build_weights(settings)
    if place.startswith(HUBS):
        name, file = weights_of(place, download=download)
        return Weights(file, replace(config, name=name, layout="torchvision"), place)
    assert row.given is not None
    if "encoder.layout" not in settings:
        config.layout = "torchvision" if config.name else row.given.layout
    for path in filter(None, (place, config.linear, config.projector)):
        if not Path(path).is_file():
            raise ValueError(f"--weights of {row.name}: there is no file {path}")
    return Weights(Path(place).absolute(), config, Path(place).name)


def not_given(row: Row, budget: Budget) -> bool:
    """Whether a row waits for weights that nobody gave."""
    return row.given is not None and row.given.weights is None and budget.name != "smoke"


def wanted(row: Row) -> str:
    """What to give for it, in words."""
    assert row.given is not None
    return f"{row.name}: not given; the paper's are {row.given.paper} (--weights '{row.name}=FILE', layout {row.given.layout})"


def check_weights(recipe: Recipe, rows: Sequence[str], budget: Budget, place: Place) -> None:
    """Raises ValueError, before any work, for weights that cannot be read, or do not fit the images, and for a row that was
    asked for by its name and has none."""
    from sparring.data import load_images
    from sparring.encoders.published import load_published
    from sparring.recipes.place import configured

    asked = [recipe.row(name) for name in rows]
    for row in asked:
        if not_given(row, budget):
            raise ValueError(wanted(row))
    chosen = [row for row in asked or recipe.rows if row.given and row.given.weights]
    train = load_images(configured(chosen[0], 0, budget, place).data, seed=0)[0] if chosen else None
    for row in chosen:
        assert row.given is not None and row.given.weights is not None and train is not None
        weights = row.given.weights
        encoder = load_published(weights.file, image_size=train.image_size, **asdict(weights.config)).encoder
        if len(encoder.std) != train.channels:
            raise ValueError(
                f"--weights of {row.name}: {weights.words} takes images of {len(encoder.std)} channels, those of "
                f"{train.name} have {train.channels}"
            )


def identity(row: Row) -> str:
    """Tells a row's weights, and ways of reading them, from others: eight letters, or made."""
    assert row.given is not None
    weights = row.given.weights
    if weights is None:
        return "made"
    parts = {name: Path(path) for name in ("linear", "projector") if (path := getattr(weights.config, name))}
    plain = digest_of(replace(weights.config, linear=None, projector=None))
    said = [plain, _sha256(weights.file), *(f"{name} {_sha256(path)}" for name, path in parts.items())]
    return hashlib.sha256(" ".join(said).encode()).hexdigest()[:8]


@functools.cache
def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def check_same(cell: Cell, found: Mapping[str, Any]) -> None:
    """A ValueError if a cell's JSON holds figures of other weights."""
    if found.get("weights", {}).get("digest") != identity(cell.row):
        given = cell.row.given
        words = MADE if given is None or given.weights is None else given.weights.words
        raise ValueError(f"{cell.file} has figures of other weights than {words}: choose another --out")


def of_weights(cell: Cell) -> dict[str, Any]:
    """What the JSON of a row that trains nothing says beside whose it is: all that is measured of its weights."""
    from sparring.training.run_folder import environment

    assert cell.row.given is not None
    start, given = time.perf_counter(), cell.row.given
    with _at_hand(cell) as weights:
        results, more = _measured(cell, weights)
    seen = json.loads((cell.run / "weights.json").read_text())
    machine = environment(cell.seed)
    del machine["command"]
    how = asdict(weights.config)
    how |= {key: Path(how[key]).name for key in ("linear", "projector") if how[key]}
    parts = asdict(cell.config)
    parts["data"] |= {key: parts["data"][key] and "IMAGES" for key in PATHS}
    return {
        "rows": [each.name for each in cell.recipe.rows],
        "paper": cell.row.paper,
        "config": {"weights": how, "data": parts["data"], "evaluation": parts["evaluation"]},
        "weights": {
            "words": weights.words,
            "digest": identity(cell.row),
            "made": given.weights is None,
            "paper": given.paper,
            "encoder": seen["words"],
            "keys": seen["keys"]["sentence"],
            "untrained": {key: seen["untrained"][key] for key in ("colour", "sentence")},
        },
        "results": results,
        **more,
        "environment": machine,
        "seconds": {"training": 0.0, "last start": time.perf_counter() - start},
    }


@contextmanager
def _at_hand(cell: Cell) -> Iterator[Weights]:
    """The row's weights, or untrained ones in a temporary folder."""
    from sparring.recipes.untrained_weights import make_weights

    assert cell.row.given is not None
    if cell.row.given.weights is not None:
        yield cell.row.given.weights
        return
    with tempfile.TemporaryDirectory() as folder:
        # the file's name is what every figure calls them
        place = Path(folder) / f"{MADE.replace(' ', '-')}.safetensors"
        file, settings = make_weights(cell.row.given.layout, place, cell.config.data)
        yield Weights(file, settings, MADE)


def _measured(cell: Cell, weights: Weights) -> tuple[dict[str, Any], dict[str, Any]]:
    """All figures of a row's weights by their keys, and what stands beside them."""
    from sparring import published

    recipe, evaluation = cell.recipe, cell.config.evaluation
    results: dict[str, Any] = {}
    more: dict[str, Any] = {}

    def measure(measurement: Clean | Robust, read: str, **asked: Any) -> dict[str, Any]:
        file = cell.home / "measured" / f"{measurement.name}.json"

        def make() -> dict[str, Any]:
            config = replace(cell.config, out=str(cell.run), evaluation=replace(evaluation))
            state = file.with_suffix(".autoattack")
            published.of_weights(
                f"weights:{weights.file}", config, weights.config, state=state, report=cell.budget.report, **asked
            )
            return json.loads((cell.run / read).read_text())

        return once(file, measurement.conditions, make)

    suffixes = iter(under.suffix for under in recipe.robustness)
    for measurement in cell.measurements():
        if isinstance(measurement, Clean):
            asked = {"protocols": recipe.protocols, "version": recipe.version}
            results |= measure(measurement, "results.json", **asked)
        elif isinstance(measurement, Robust):
            entry = measure(measurement, "robustness.json", robustness=measurement.config)
            results = attacked(entry, next(suffixes)) | results
            more |= {"corruptions": entry["corruptions"]} if entry.get("corruptions") else {}
    return results, more
