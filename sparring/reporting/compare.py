"""Run folders side by side in one HTML file: settings that differ, figures, paired differences, curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path
from statistics import fmean, stdev

from sparring.evaluation import paired_difference, paired_images
from sparring.reporting.compare_curves import against_eps, training
from sparring.reporting.comparison import Comparison, Line, read_comparison
from sparring.reporting.measured import Verdicts
from sparring.reporting.page import (
    bullets,
    check_page,
    disclosure,
    fold,
    page,
    paragraph,
    section,
    table,
    write_page,
)
from sparring.reporting.table import hardware

HEAD = ("method.name", "data.name", "encoder.name", "training.epochs", "training.batch_size", "training.seed")
"""Settings that stand at the head of the page where all runs share them."""
WHERE = ("hardware", "commit")
"""Circumstances that do too."""


def write_comparison(runs: Sequence[Path], out: Path) -> Comparison:
    """Write the comparison of run folders to the file `out` and return it.

    The same folders give the same bytes. Raises ValueError for fewer than two folders, the same one twice, one that is no
    run folder or of which a file cannot be read, and an `out` that is no .html file; then nothing is written.
    """
    out = Path(out)
    check_page(out)
    read = read_comparison(runs)
    write_page(render(read), out)
    return read


def render(runs: Comparison) -> str:
    """The whole document."""
    names = list(runs.runs)
    title = f"{len(names)} runs compared"
    circumstances = _circumstances(runs)
    shared = runs.shared() | {
        key: next(iter(values.values())) for key, values in circumstances.items() if len(set(values.values())) == 1
    }
    facts = "".join(
        f"<li><span>{escape(key.removesuffix('.name').rpartition('.')[2].replace('_', ' '))}</span>"
        f"<b>{escape(shared[key])}</b></li>"
        for key in (*HEAD, *WHERE)
        if key in shared
    )
    body = [
        f"<h1>{title}</h1>",
        paragraph(", ".join(names) + ".", "soft"),
        f'<ul class="facts">{facts}</ul>' if facts else "",
        *[paragraph(doubt, "warn") for doubt in runs.doubts],
        section("What differs", *_settings(runs, circumstances)),
        section("What was measured", *_figures(runs)),
        section("Differences image by image", *_paired(runs)),
        *_over_seeds(runs),
        section("Training", *training(runs)),
        section("Accuracy against the radius", *against_eps(runs)),
    ]
    return page(title, body)


def _settings(runs: Comparison, circumstances: dict[str, dict[str, str]]) -> list[str]:
    without = [name for name, run in runs.runs.items() if not run.is_run]
    rows = {key: values for key, values in runs.differing().items()}
    rows |= {key: values for key, values in circumstances.items() if len(set(values.values())) > 1}
    parts = []
    if rows:
        names = list(runs.runs)
        cells = [[key, *[values.get(name, "not known") for name in names]] for key, values in rows.items()]
        parts.append(table(["setting", *names], cells))
    else:
        parts.append(paragraph("No setting differs.", "missing"))
    if without:
        words = f"{' and '.join(without)} holds an evaluation alone: how it was trained is not known."
        parts.append(paragraph(words, "missing"))
    if shared := runs.shared():
        text = "\n".join(f"{key}: {value}" for key, value in shared.items())
        parts.append(fold(f"{len(shared)} settings that all runs share", text))
    return parts


def _circumstances(runs: Comparison) -> dict[str, dict[str, str]]:
    """Where each run was trained: hardware, versions, commit, time."""
    found: dict[str, dict[str, str]] = {}
    for name, run in runs.runs.items():
        environment = run.environment
        if environment:
            found.setdefault("hardware", {})[name] = hardware(environment)
            found.setdefault("commit", {})[name] = str(environment.get("commit") or "not known")[:8]
            for package, version in (environment.get("versions") or {}).items():
                found.setdefault(f"version of {package}", {})[name] = str(version)
        if seconds := [record["seconds"] for record in run.metrics if record.get("seconds")]:
            found.setdefault("minutes of training", {})[name] = f"{sum(seconds) / 60:.1f}"
    return found


def _figures(runs: Comparison) -> list[str]:
    lines = runs.lines
    if not lines:
        return [paragraph("No run holds a figure (no results.json, robustness.json, latent.json).", "missing")]
    names = list(runs.runs)
    rows = [
        [line.name, _on(line, lines), *[line.figures[name].words if name in line.figures else "-" for name in names]]
        for line in lines
    ]
    words = (
        "Accuracies with their 95 % interval, which holds the sampling of test images only. One row holds figures that were "
        "measured alike; where two runs measured one figure differently, it has two rows."
    )
    every = [f"{line.name}: {how(line)}" for line in lines]
    return [
        table(["figure", "measured on", *names], rows, numbers=(0, *range(2, len(names) + 2))),
        paragraph(words, "soft"),
        disclosure("What each figure was measured with", bullets(every)),
    ]


def _on(line: Line, lines: Sequence[Line]) -> str:
    """n and data, and what tells rows of one name apart."""
    alike = [other.conditions for other in lines if other.name == line.name]
    apart = [key for key in line.conditions if len({conditions.get(key) for conditions in alike}) > 1]
    chosen = dict.fromkeys(("n", "data", *apart))
    return ", ".join(_condition(key, line.conditions[key]) for key in chosen if key in line.conditions)


def how(line: Line) -> str:
    """n, data and all else that the figures of a row share."""
    order = dict.fromkeys(("n", "data", "protocol", "attack", *line.conditions))
    return ", ".join(_condition(key, line.conditions[key]) for key in order if key in line.conditions)


def _condition(key: str, value: str) -> str:
    return (
        f"n = {value}" if key == "n" else value if key in ("data", "protocol", "attack", "images") else f"{key} {value}"
    )


def _paired(runs: Comparison) -> list[str]:
    found = []
    for line in runs.lines:
        measured = [(name, one.verdicts) for name, one in line.figures.items() if one.verdicts]
        found += [
            (line.name, name, first, _difference(verdicts, base))
            for first, base in measured[:1]
            for name, verdicts in measured[1:]
            if verdicts.same_images(base)
        ]
    if not found:
        words = "No two runs have verdicts on the same images (robustness.npz of evaluations that were made alike)."
        return [paragraph(words, "missing")]
    words = (
        "Each run against the first that has the figure, in points, on the very same test images; the interval is Bonett and "
        "Price's (2012) for paired proportions. It holds the sampling of images: how much another training seed would "
        "differ it does not know."
    )
    head = [
        "run",
        "figure",
        "difference",
        "95 % interval",
        "n",
        "right in it alone",
        "right in the other alone",
        "reading",
    ]
    parts = []
    for first in dict.fromkeys(first for _, _, first, _ in found):
        rows = [[name, figure, *cells] for figure, name, other, cells in found if other == first]
        whole = table(head, sorted(rows, key=lambda row: list(runs.runs).index(row[0])), f"Against {first}", range(7))
        parts.append(disclosure(f"{len(rows)} differences from {first}", whole) if len(rows) > 40 else whole)
    return [*parts, paragraph(words, "soft")]


def _difference(row: Verdicts, other: Verdicts) -> list[str]:
    only_row, only_other, n = (
        int((row.right & ~other.right).sum()),
        int((other.right & ~row.right).sum()),
        len(row.right),
    )
    mean, low, high = paired_images(only_row, only_other, n)
    reading = "undecided" if low <= 0 <= high else "higher" if low > 0 else "lower"
    bounds = f"{100 * low:+.1f} to {100 * high:+.1f}"
    return [f"{100 * mean:+.1f}", bounds, f"{n:,}", f"{only_row:,}", f"{only_other:,}", reading]


def _over_seeds(runs: Comparison) -> list[str]:
    """Means over runs that differ in the training seed alone; nothing if no two do."""
    groups = runs.groups()
    if max(map(len, groups), default=0) < 2:
        return []
    titles = _titles(runs, groups)
    rows = []
    for line in runs.lines:
        values = [
            {
                seed: one.value
                for seed, name in group.items()
                if (one := line.figures.get(name)) and one.value is not None
            }
            for group in groups
        ]
        if not any(len(found) > 1 for found in values):
            continue
        scale, digits = (100, 1) if next(iter(line.figures.values())).accuracy else (1, 3)
        cells = [_mean(found, scale, digits) for found in values]
        rows.append(
            [
                line.name,
                _on(line, runs.lines),
                *cells,
                *[_seed_difference(found, values[0], scale, digits) for found in values[1:]],
            ]
        )
    if not rows:
        return []
    legend = [f"{title}: {', '.join(group.values())}" for title, group in zip(titles, groups, strict=True)]
    words = (
        "Runs that differ in the training seed alone: mean ± standard deviation over n seeds, accuracies in percent. "
        "Differences from the first, seed by seed, with their 95 % t interval."
    )
    head = ["figure", "measured on", *titles, *[f"{title} - {titles[0]}" for title in titles[1:]]]
    return [
        section(
            "Over training seeds",
            table(head, rows, numbers=(0, *range(2, len(head)))),
            paragraph(words, "soft"),
            bullets(legend),
        )
    ]


def _titles(runs: Comparison, groups: Sequence[dict[int, str]]) -> list[str]:
    """Of each group: its method, or its first run where two groups have one method."""
    methods = [str(runs.runs[next(iter(group.values()))].setting("method.name")) for group in groups]
    firsts = [f"{next(iter(group.values()))}{f' and {len(group) - 1} more' * (len(group) > 1)}" for group in groups]
    return [first if methods.count(method) > 1 else method for method, first in zip(methods, firsts, strict=True)]


def _mean(values: dict[int, float], scale: int, digits: int) -> str:
    if not values:
        return "-"
    spread = f" ± {scale * stdev(values.values()):.{digits}f}" if len(values) > 1 else ""
    return f"{scale * fmean(values.values()):.{digits}f}{spread}, n = {len(values)}"


def _seed_difference(row: dict[int, float], other: dict[int, float], scale: int, digits: int) -> str:
    if not row.keys() & other.keys():
        return "no seed in common"
    mean, low, high = paired_difference(row, other)
    said = f"{scale * mean:+.{digits}f}"
    if math.isnan(low):
        return f"{said} (one seed)"
    return f"{said} [{scale * low:+.{digits}f}, {scale * high:+.{digits}f}]"
