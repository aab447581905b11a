"""The table of results/*.json, one JSON a run: mean over seeds, spread, and the difference of paired rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from sparring.evaluation import paired_difference
from sparring.reporting.run_folder import read_json

SCHEMA = 1
NEEDED = {
    "schema": int,
    "experiment": str,
    "row": str,
    "seed": int,
    "data": str,
    "budget": str,
    "config": dict,
    "results": dict,
    "environment": dict,
}
"""What a result file must say; `seconds` may stand beside them."""

Key = tuple[str, str, str, str]
"""Experiment, data, budget, hardware: only rows that agree in all of them are compared."""


def read_results(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """The result files, in the order of their names. Raises ValueError for a file that is none."""
    read = []
    for path in sorted(map(Path, paths)):
        result = read_json(path)
        missing = [key for key in NEEDED if key not in result]
        if missing:
            raise ValueError(f"{path} is no result file: it lacks {', '.join(missing)}")
        for key, kind in NEEDED.items():
            if not isinstance(result[key], kind):
                raise ValueError(f"{path} is no result file: its {key} is {str(result[key])[:40]}, no {kind.__name__}")
        if wrong := [name for name, entry in result["results"].items() if not isinstance(entry, dict)]:
            raise ValueError(f"{path} is no result file: its figure {wrong[0]} is no dict")
        if result["schema"] != SCHEMA:
            raise ValueError(f"{path} has schema {result['schema']}; this version reads schema {SCHEMA}")
        read.append(result)
    return read


def results_table(paths: Iterable[Path]) -> str:
    """Markdown: for each experiment a table of rows with mean and standard deviation over seeds, and the differences.

    Every row is compared with the first row of its
    table, seed by seed: mean difference in points with its 95 % t interval, and whether that excludes zero.
    Rows come in the order of their files' names, those without an adversary first, so that a baseline is the first row.
    Raises ValueError for no files, for two files of one row and seed, and for figures of different protocols in one
    column.
    """
    groups: dict[Key, list[dict[str, Any]]] = {}
    for result in read_results(paths):
        key = (result["experiment"], result["data"], result["budget"], hardware(result["environment"]))
        groups.setdefault(key, []).append(result)
    if not groups:
        raise ValueError("there are no result files to make a table of")
    tables = [(_attacks if "checks" in results[0] else _table)(key, results) for key, results in groups.items()]
    return "\n\n".join(tables) + "\n"


def hardware(environment: dict[str, Any]) -> str:
    """The machine in a few words: its GPUs, or the number of CPU cores."""
    gpus = environment.get("gpus") or []
    if gpus:
        kinds = sorted(set(gpus))
        return ", ".join(f"{gpus.count(kind)} x {kind}" for kind in kinds)
    return f"{environment.get('cpu_count', 'unknown number of')} CPU cores"


def _table(key: Key, results: list[dict[str, Any]]) -> str:
    experiment, data, budget, machine = key
    rows: dict[str, dict[int, dict[str, Any]]] = {}
    for result in sorted(results, key=lambda result: (result["config"].get("method") or {}).get("base") is not None):
        runs = rows.setdefault(result["row"], {})
        if result["seed"] in runs:
            raise ValueError(f"{experiment}: two results of row {result['row']!r}, seed {result['seed']}")
        runs[result["seed"]] = result["results"]
    entries = [item for result in results for item in result["results"].items()]
    measured = list(dict.fromkeys(name for name, entry in entries if isinstance(entry, dict) and "accuracy" in entry))
    first = next(iter(rows))
    lines = [
        f"**{experiment}** on `{data}`, budget {budget}, {machine}; accuracy in percent, mean ± standard deviation "
        "over n training seeds.",
        "",
        "| row | n | " + " | ".join(f"{name} ({_sizes(results, name)})" for name in measured) + " |",
        "|---|---|" + "---|" * len(measured),
    ]
    for row, runs in rows.items():
        cells = [_mean(_accuracies(runs, name)) for name in measured]
        lines.append(f"| {row} | {len(runs)} | " + " | ".join(cells) + " |")
    if len(rows) > 1:
        lines += ["", f"Difference from {first}, seed by seed, in points with its 95 % t interval:", ""]
        for row, runs in list(rows.items())[1:]:
            words = [
                f"{name} {_difference(_accuracies(runs, name), _accuracies(rows[first], name))}" for name in measured
            ]
            lines.append(f"- {row}: " + "; ".join(words))
    return "\n".join(lines)


def _attacks(key: Key, results: list[dict[str, Any]]) -> str:
    """Robust evaluations, one model a row: accuracy under each attack, and what the trust checks said."""
    experiment, data, budget, machine = key
    measured = list(dict.fromkeys(name for result in results for name in result["results"]))
    n = sorted({entry["n"] for result in results for entry in result["results"].values()})
    if len(n) > 1:
        raise ValueError(f"{experiment}: figures on {n} images cannot share a table")
    seeds = sorted({result["seed"] for result in results})
    versions = " and ".join(sorted({f"robustness v{r['config']['robustness']['version']}" for r in results}))
    words = list(
        dict.fromkeys(
            f"{name}: {entry['words']}"
            for result in results
            for name, entry in result["results"].items()
            if "words" in entry
        )
    )
    lines = [
        f"**{experiment}** on `{data}`, budget {budget}, {machine}; accuracy in percent with its 95 % Wilson interval over "
        f'n = {n[0]} test images, a model a line, protocol {versions}; "worst case" is right under every attack of the row.',
        "",
        "| model | " + " | ".join(measured) + " | corruptions, mean of 75 | trust checks that are not green |",
        "|---|" + "---|" * (len(measured) + 2),
    ]
    for result in results:
        figures = [result["results"].get(name) for name in measured]
        cells = [
            ""
            if entry is None
            else f"{100 * entry['accuracy']:.1f} [{', '.join(f'{100 * b:.1f}' for b in entry['interval'])}]"
            for entry in figures
        ]
        corrupted = result.get("corruptions")
        cells.append("" if corrupted is None else f"{100 * corrupted['mean_accuracy']:.1f}")
        loud = [f"{c['colour']}: {name}" for name, c in result["checks"].items() if c["colour"] != "green"]
        which = f", seed {result['seed']}" * (len(seeds) > 1)
        lines.append(f"| {result['row']}{which} | {' | '.join(cells)} | {', '.join(loud) or 'none'} |")
    return "\n".join([*lines, "", *[f"- {line}" for line in words]])


def _accuracies(runs: dict[int, dict[str, Any]], name: str) -> dict[int, float]:
    return {seed: results[name]["accuracy"] for seed, results in runs.items() if "accuracy" in results.get(name, {})}


ALIKE = ("protocol", "layer", "n_train", "n_test", "n")
"""What the accuracies of a column must share."""


def measured_alike(results: Sequence[Mapping[str, Any]], name: str, keys: Sequence[str] = ALIKE) -> dict[str, Any]:
    """What the accuracies `name` were measured with, of `keys`; what a file does not say contradicts nothing.

    Raises ValueError, with the rows, where it is not the same in all of them.
    """
    shared: dict[str, Any] = {}
    for key in keys:
        rows: dict[Any, list[str]] = {}
        for result in results:
            entry = result["results"].get(name, {})
            if "accuracy" in entry and entry.get(key) is not None:
                rows.setdefault(entry[key], []).append(result["row"])
        if len(rows) > 1:
            said = "; ".join(f"{key} {value} of {', '.join(dict.fromkeys(of))}" for value, of in rows.items())
            raise ValueError(f"{name}: figures of different protocols cannot share a column: {said}")
        shared |= dict.fromkeys([key] if rows else [], next(iter(rows), None))
    return shared


def _sizes(results: list[dict[str, Any]], name: str) -> str:
    found = measured_alike(results, name)
    said = [str(found.get("protocol", "protocol not recorded"))]
    said += [f"layer {found['layer']}"] if "layer" in found else []
    counts = [f"{found[f'n_{kind}']:,} {kind}" for kind in ("train", "test") if f"n_{kind}" in found]
    return ", ".join([*said, *([f"{' / '.join(counts)} images"] if counts else [])])


def _mean(values: dict[int, float]) -> str:
    if not values:
        return "not measured"
    numbers = list(values.values())
    spread = f" ± {100 * stdev(numbers):.2f}" if len(numbers) > 1 else ""
    return f"{100 * fmean(numbers):.2f}{spread}"


def _difference(row: dict[int, float], other: dict[int, float]) -> str:
    if not row.keys() & other.keys():
        return "no seed in common"
    difference, low, high = paired_difference(row, other)
    if math.isnan(low):
        return f"{100 * difference:+.2f} (one seed, no interval)"
    verdict = "undecided" if low <= 0 <= high or high - low < 1e-9 else "differs from zero"
    return f"{100 * difference:+.2f} [{100 * low:+.2f}, {100 * high:+.2f}], {verdict}"
