"""Run a recipe's grid of rows and seeds, print the paper's figures and ours side by side, and judge the claims."""

from __future__ import annotations

import difflib
import functools
import importlib
import pkgutil
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from html import escape
from typing import Any

import sparring.recipes
from sparring.recipes import result_files
from sparring.recipes.aggregate import aggregate, computed, few_seeds, key, missing_words, words_of
from sparring.recipes.budgets import BUDGETS, Budget, brought
from sparring.recipes.given import check_weights, wanted
from sparring.recipes.grid import Failure, Tell, run_grid
from sparring.recipes.judgements import Judged, brief, by_claim, counted, flat
from sparring.recipes.own_sizes import stand_ins
from sparring.recipes.paper import as_printed
from sparring.recipes.place import Place, data_label, departures_in_words, slug
from sparring.recipes.recipe import Column, Recipe, Row
from sparring.recipes.relative import behind, behind_printed
from sparring.recipes.tasks import CellTask, merged, plan
from sparring.recipes.work import LOG
from sparring.recipes.workers import Here, Workers
from sparring.reporting.page import write_page
from sparring.reporting.table import ALIKE, hardware, measured_alike
from sparring.training.run_folder import write_json


@functools.cache
def recipes() -> dict[str, Recipe]:
    """Every recipe by its name: the Recipe values of the files of this room."""
    found = {}
    for module in pkgutil.iter_modules(sparring.recipes.__path__):
        values = vars(importlib.import_module(f"sparring.recipes.{module.name}")).values()
        found |= {value.name: value for value in values if isinstance(value, Recipe)}
    return dict(sorted(found.items()))


def find(name: str) -> Recipe:
    """The recipe of that name; a ValueError that names the nearest one if there is none."""
    if name not in recipes():
        near = difflib.get_close_matches(name, recipes(), n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"there is no recipe {name!r}: `sparring reproduce list` names them{hint}")
    return recipes()[name]


def reproduce(
    recipe: Recipe,
    budget: Budget = BUDGETS["full"],
    *,
    rows: Sequence[str] = (),
    seeds: Sequence[int] = (),
    place: Place = Place(),  # noqa: B008  (frozen)
    workers: Workers | None = None,
    tell: Tell = print,
) -> str:
    """Run what is not there yet of the grid (a row with all seeds of the earlier ones before the next seed) and return
    `summary` of everything that is. No `rows` are all of them, no `seeds` the recipe's number of them, no `workers` this
    process. Raises RuntimeError, after all else is done, with a line for each task that failed."""
    failures = run_grid(plan([recipe], budget, place, rows=rows, seeds=seeds), workers or Here(), tell)
    if failures:
        raise RuntimeError("\n".join(described(failures)))
    return summary(recipe, budget, place, tell)


def planned(
    chosen: Sequence[Recipe], budget: Budget, place: Place, *, rows: Sequence[str] = (), seeds: Sequence[int] = ()
) -> tuple[list[CellTask], dict[str, str]]:
    """`plan` of the recipes that can be run here, and of the others, by name, why not: images or weights that are not there or
    do not fit, figures in `place.out` that were trained or measured otherwise. Nothing is written."""
    from sparring.data import images_kept

    tasks, refused = [], {}
    with images_kept():
        for recipe in chosen:
            try:
                check_place(place, recipe, budget)
                check_weights(recipe, rows, budget, place)
                more = plan([recipe], budget, place, rows=rows, seeds=seeds)
                _check_computed(recipe, budget.of(recipe.name), place)
                tasks += more
            except ValueError as error:
                refused[recipe.name] = str(error)
    return merged(tasks), refused


def _check_computed(recipe: Recipe, budget: Budget, place: Place) -> None:
    """A ValueError if what is there of these images was computed otherwise than this would be."""
    there = result_files.read(recipe, budget, place, lambda line: None).get(data_label(recipe, place), [])
    rows = [row for row in recipe.rows if recipe.trains(row)]
    computed(recipe, [*there, *({"computed": departures_in_words(row, budget, place)} for row in rows)])


def described(failures: Iterable[Failure]) -> list[str]:
    """A line for each: recipes, row, seed, stage, what went wrong, and where the rest of it is written."""
    return [f"{failure.task.words}: {failure.sentence} ({failure.task.home / LOG})" for failure in failures]


def summary(recipe: Recipe, budget: Budget, place: Place, tell: Tell = print) -> str:
    """The table and the verdicts of all results of this recipe and budget in `place.out`, as Markdown: one of each data set,
    that of `place` first, with a line of what is missing. `tell` takes a sentence for each file that is left out. Raises
    ValueError for figures measured unlike in one column, and for two results of one row and seed."""
    budget = budget.of(recipe.name)
    return _summaries(recipe, budget, place, result_files.read(recipe, budget, place, tell).values())


def _summaries(recipe: Recipe, budget: Budget, place: Place, groups: Collection[list[dict[str, Any]]]) -> str:
    if not groups:
        return "\n".join([result_files.none_words(recipe, budget, place), *_not_given(recipe, [])])
    return "\n\n".join(_summary(recipe, budget, results) for results in groups)


def _summary(recipe: Recipe, budget: Budget, results: list[dict[str, Any]]) -> str:
    absent = missing_words(recipe, budget, results)
    judged = by_claim(recipe, budget, results)
    lines = [*table(recipe, budget, results), "", where_measured(results, judged), "", *brief(judged)]
    lines += _not_given(recipe, results)
    return "\n".join([*lines, *([f"- {absent}"] if absent else [])])


def where_measured(results: Sequence[Mapping[str, Any]], judged: Judged) -> str:
    """Hardware, commits, the number of runs, and how the claims stand, which come next."""
    environments = [result["environment"] for result in results]
    machines = " and ".join(sorted({hardware(environment) for environment in environments}))
    commits = ", ".join(sorted({str(environment.get("commit") or "unknown")[:8] for environment in environments}))
    claims = f"; claims: {counted(flat(judged))}:" if judged else "."
    return f"Trained on {machines}, at commit {commits}. {len(results)} runs{claims}"


def _not_given(recipe: Recipe, results: Sequence[Mapping[str, Any]]) -> list[str]:
    measured = {result["row"] for result in results}
    return [f"- {wanted(row)}" for row in recipe.rows if row.given is not None and row.name not in measured]


def write_summary(recipe: Recipe, budget: Budget, place: Place, tell: Tell = print) -> str:
    """`summary`, which is written beside the results too: summary-BUDGET.md, the figures in summary-BUDGET.json,
    and a recipe's drawings in BUDGET.html. Names of a further data set's figures and drawings end in its own."""
    budget = budget.of(recipe.name)
    folder, groups = place.out / recipe.name, result_files.read(recipe, budget, place, tell)
    text = _summaries(recipe, budget, place, groups.values())
    if groups:
        (folder / f"summary-{budget.name}.md").write_text(text + "\n")
    for number, (data, results) in enumerate(groups.items()):
        name = budget.name + (f"-{slug(data)}" if number else "")
        if not number:  # what an earlier summary, made for other images, called these
            for ending in ("json", "html"):
                (folder / f"{'summary-' * (ending == 'json')}{name}-{slug(data)}.{ending}").unlink(missing_ok=True)
        judged = verdicts(recipe, budget, results)
        write_json(folder / f"summary-{name}.json", aggregate(recipe, budget, results, judged))
        if recipe.drawings is not None:
            write_page(drawn(recipe, budget, results), folder / f"{name}.html")
    return text


def table(recipe: Recipe, budget: Budget, results: Sequence[dict[str, Any]]) -> list[str]:
    """Markdown: our mean, standard deviation and bootstrap interval over n seeds, and in brackets what the paper prints."""
    columns = shown_columns(recipe, budget, results)
    data = " and ".join(sorted({result["data"] for result in results}))
    sizes = " and ".join(sorted({result["budget"] for result in results}))
    brackets = f" In brackets: {recipe.source}." if any(row.paper for row in recipe.rows) else ""
    lines = [
        f"**{recipe.name}: {recipe.title}**. Ours on `{data}`, budget {sizes}; mean ± standard deviation over n "
        f"seeds [95 % bootstrap interval of the mean{few_seeds(results)}], accuracies in percent.{brackets}",
        "",
        "| row | n | " + " | ".join(header(column, budget, results) for column in columns) + " |",
        "|---|---|" + "---|" * len(columns),
    ]
    for row in recipe.rows:
        seeds = {result["seed"] for result in results if result["row"] == row.name}
        if not seeds and row.given is None:
            continue
        cells = []
        for column in columns:
            printed = row.paper.get(column.paper or "")
            ours = words_of(results, row.name, key(column, budget)) + behind(recipe, column, row, budget, results)
            theirs = ("" if printed is None else as_printed(printed)) + behind_printed(recipe, column, row)
            cells.append(f"{ours} ({theirs.strip()})" if theirs else ours)
        lines.append(f"| {row.name}{which(row, results)} | {len(seeds)} | " + " | ".join(cells) + " |")
    for name, numbers in recipe.copied.items():
        theirs = [numbers.get(column.paper or "") for column in columns]
        cells = ["-" if printed is None else f"({as_printed(printed)})" for printed in theirs]
        lines.append(f"| {name}, as printed | - | " + " | ".join(cells) + " |")
    words = measured_words(recipe, budget, results) | ({"schedule": budget.schedule} if budget.schedule else {})
    words["rows and claims name the paper's sizes; what ran"] = stand_ins(budget, recipe.rows)
    return [*lines, "", *[f"- {name}: {line}" for name, line in words.items() if line]]


def shown_columns(recipe: Recipe, budget: Budget, results: Sequence[Mapping[str, Any]]) -> list[Column]:
    """Columns of which there is a figure; two attacks may shrink to one. Raises ValueError as `check_alike`."""
    named = {key(column, budget): column for column in reversed(recipe.columns)}
    check_alike(recipe, named, results)
    return [column for name, column in reversed(named.items()) if any(name in r["results"] for r in results)]


def check_alike(recipe: Recipe, names: Iterable[str], results: Sequence[Mapping[str, Any]]) -> None:
    """A ValueError where figures of one column were measured by other protocols or on other numbers of images, or those of
    one row on other layers; rows may differ in the layer, where a recipe says so (CLAE's)."""
    computed(recipe, results)
    rows = [[result for result in results if result["row"] == row.name] for row in recipe.rows]
    for name in names:
        try:
            measured_alike(results, name, [what for what in ALIKE if what != "layer"])
            for seeds in rows:
                measured_alike(seeds, name)
        except ValueError as error:
            raise ValueError(f"{recipe.name}: {error}: measure them alike, in another --out") from None


def measured_words(recipe: Recipe, budget: Budget, results: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """How each shown column was measured, by its key, why others were left out, and what the marks behind figures say."""
    words: dict[str, str] = {}
    columns = shown_columns(recipe, budget, results)
    for name in (key(column, budget) for column in columns):
        entries = [result["results"][name] for result in results if name in result["results"]]
        said = (entry.get("words") or entry.get("protocol", "") for entry in entries)
        # the method and its epochs are the row's
        words[name] = " or ".join(dict.fromkeys(re.sub(r" of \S+ after [\d,]+ epochs?$", "", each) for each in said))
        layers = {r["results"][name].get("layer"): r["row"] for r in reversed(results) if name in r["results"]}
        words[name] += f", layer {' or '.join(sorted(layers))}" if len(layers) > 1 and None not in layers else ""
    for result in results:
        words |= {name: f"left out: {why}" for name, why in result.get("left_out", {}).items() if name not in words}
    said = dict.fromkeys(result[name] for name in ("adapted", "images") for result in results if name in result)
    words |= {"images": "; ".join(said)} if said else {}
    words |= {"training": how} if (how := computed(recipe, results)) else {}
    return words | {derived.mark.strip(): derived.words for column in columns for derived in column.derived}


def which(row: Row, results: Iterable[Mapping[str, Any]]) -> str:
    """Which weights stand in a row that trains nothing, and whether they look trained."""
    found = [result["weights"] for result in results if result["row"] == row.name and "weights" in result]
    if not found:
        return "" if row.given is None else ": not given"
    doubt = " (they look untrained)" if found[0]["untrained"]["colour"] == "red" and not found[0]["made"] else ""
    return f": {found[0]['words']}{doubt}"


def drawn(recipe: Recipe, budget: Budget, results: Sequence[dict[str, Any]]) -> str:
    """The recipe's drawings as one HTML page."""
    from sparring.reporting.page import figures, page, paragraph

    assert recipe.drawings is not None
    sizes = " and ".join(sorted({f"{result['data']}, budget {result['budget']}" for result in results}))
    how = computed(recipe, results)
    about = paragraph(f"{recipe.source}. Ours on {sizes}{f', {how}' if how else ''}.", "soft")
    title = f"{recipe.name}: {recipe.title}"
    return page(title, [f"<h1>{escape(title)}</h1>", about, figures(recipe.drawings(results, budget))])


def header(column: Column, budget: Budget, results: Iterable[dict[str, Any]]) -> str:
    """Our name, the number of test images, and the paper's name where it has one."""
    name = key(column, budget)
    entries = [result["results"][name] for result in results if name in result["results"]]
    sizes = sorted({entry.get("n") or entry.get("n_test") for entry in entries} - {None})
    n = f", n = {' or '.join(f'{size:,}' for size in sizes)}" if sizes else ""
    return f"{name}{n}{f' ({column.paper})' if column.paper not in (None, name) else ''}"


def verdicts(recipe: Recipe, budget: Budget, results: Sequence[Mapping[str, Any]]) -> list[str]:
    """One line for each claim and measure. Raises ValueError as `shown_columns`."""
    shown_columns(recipe, budget, results)
    return flat(by_claim(recipe, budget, results))


def listed() -> list[tuple[str, str]]:
    """Every recipe's name and title, with the number of its rows."""
    counts = {name: f"{len(recipe.rows)} row{'s' * (len(recipe.rows) > 1)}" for name, recipe in recipes().items()}
    return [(name, f"{recipe.title} ({counts[name]})") for name, recipe in recipes().items()]


def check_place(place: Place, recipe: Recipe, budget: Budget = BUDGETS["full"]) -> None:
    """Raises ValueError, before any work, if the images are not there, or fewer than the budget takes."""
    from sparring.data import load_images

    size = budget.of(recipe.name)
    images = load_images(brought(place.on(recipe.rows[0].run).data, size.image_size), seed=0)
    limits = (("training", size.train_images), ("test", size.test_images))
    for found, (kind, taken) in zip(images, limits, strict=True):
        if taken is not None and taken > len(found):
            raise ValueError(
                f"--budget {budget.name} takes {taken:,} {kind} images, but {found.name} has only {len(found):,}: choose "
                "another --budget or --data"
            )
