"""All results as one HTML page: recipes beside their papers' figures with each claim judged; nothing is typed by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from sparring.evaluation.intervals import BOOTSTRAP_COVERAGE
from sparring.recipes.aggregate import figure, key, missing_words, words_of
from sparring.recipes.budgets import BUDGETS, Budget
from sparring.recipes.judgements import counted, verdict_of
from sparring.recipes.leaderboard import Group, grouped
from sparring.recipes.own_sizes import stand_ins
from sparring.recipes.paper import as_printed
from sparring.recipes.recipe import Column, Recipe, Row
from sparring.recipes.relative import behind, behind_printed
from sparring.recipes.reproduce import measured_words, recipes, shown_columns, verdicts, which
from sparring.reporting import read_results
from sparring.reporting.markdown import to_html
from sparring.reporting.page import (
    bullets,
    check_page,
    disclosure,
    figures,
    page,
    paragraph,
    section,
    table,
    write_page,
)
from sparring.reporting.table import hardware, results_table

Result = Mapping[str, Any]
VERDICTS = {
    "holds": ("green", "✓"),
    "fails": ("red", "✗"),
    "undecided": ("yellow", "?"),
    "not measured": ("grey", "–"),
}
"""How a claim is judged, with the colour and symbol that stand beside the word."""
OPEN = 12
"""At most so many verdicts of a table are open on the page; a click opens more."""


def write_leaderboard(results: Path, out: Path) -> Path:
    """Write the page of all result files below the folder `results` to the file `out` and return its path.

    The same files give the same bytes. Results that cannot share a table, or are unknown to this version, are named at its
    end instead. Raises ValueError if there are no result files, one is none, or `out` is no .html file; then nothing is written.
    """
    results, out = Path(results), Path(out)
    check_page(out)
    if not results.is_dir():
        raise ValueError(f"{results} is no folder of results: `sparring reproduce` writes one")
    files = [*results.glob("*.json"), *results.glob("*/*.json")]  # not those of runs, which may lie below it too
    if not [file for file in files if not file.name.startswith("summary-")]:
        raise ValueError(f"{results} holds no result files: `sparring reproduce` writes them")
    return write_page(render(files), out)


def render(files: Sequence[Path]) -> str:
    """The whole document of result files."""
    found = grouped(files)
    groups = sorted(
        found.groups, key=lambda group: (list(BUDGETS).index(group.budget.name), group.recipe.name, group.data)
    )
    earlier = {result["experiment"] for result in read_results(found.others)}  # in another form, at the end of the page
    shown = earlier | {group.recipe.name for group in groups}
    rest = [name for name in recipes() if not shown & {name, name.replace(".", "-")}]
    covers = ", ".join(f"{100 * often:.0f} % with {n}" for n, often in BOOTSTRAP_COVERAGE.items())
    words = (
        f"{len(recipes()) - len(rest)} of {len(recipes())} recipes have results. Ours: mean ± standard deviation over n "
        "training seeds with the 95 % bootstrap interval of the mean, which with few seeds is narrower than its name (it "
        f"covers the true mean about {covers} of the time); with one seed, the interval of the sampling of test images. "
        "Accuracies are in percent. What the paper prints stands beside, measured at its own size. A claim holds if the 95 % "
        "t interval of its difference over seeds lies on the claimed side, fails if it lies on the other, and is undecided "
        "otherwise, with one seed too; of weights that others trained the interval is over corruptions or images, as the "
        "claim says. Claims about trust checks are judged by the colours of the checks, of one model too. Verdicts are not "
        "corrected for their number: of every 40 claims about nothing, one is expected to hold and one to fail."
    )
    body = ["<h1>Leaderboard</h1>", paragraph(words, "lead")]
    if any(group.budget.name == "smoke" for group in groups):
        body.append(paragraph("Figures marked smoke say nothing but that the recipe runs.", "warn"))
    body.append(_overview(groups))
    if rest:
        body.append(
            disclosure(f"{len(rest)} recipes without results", bullets([f"{n}: {recipes()[n].title}" for n in rest]))
        )
    body += [_group(number, group) for number, group in enumerate(groups)]
    if found.others:
        body.append(section("Other experiments", to_html(results_table(found.others))))
    if found.unreadable:
        body.append(section("Without a table", bullets(found.unreadable)))
    return page("Leaderboard", body)


def _overview(groups: Sequence[Group]) -> str:
    """One row a table, with a link to it and how its claims stand."""
    head = ["recipe", "what", "size", "data", "rows", "runs", *VERDICTS]
    rows = []
    for number, group in enumerate(groups):
        judged = [verdict_of(line) for line in verdicts(group.recipe, group.budget, group.results)]
        rows_done = {result["row"] for result in group.results}
        counts = [f"{len(rows_done)} of {len(group.recipe.rows)}", str(len(group.results))]
        counts += [str(judged.count(word) or "") for word in VERDICTS]
        cells = [group.recipe.title, group.budget.name, group.data, *counts]
        link = f'<td><a href="#table-{number}">{escape(group.recipe.name)}</a></td>'
        rows.append(f"<tr>{link}{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>")
    if not rows:
        return ""
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    return f'<div class="scroll"><table><thead><tr>{titles}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _group(number: int, group: Group) -> str:
    recipe, budget, results = group.recipe, group.budget, group.results
    title = f"{recipe.name}: {recipe.title} ({budget.name}, {group.data})"
    machines = sorted({hardware(result["environment"]) for result in results})
    commits = sorted({str(result["environment"].get("commit") or "unknown")[:8] for result in results})
    facts = {
        "data": group.data,
        "size": " and ".join(sorted({result["budget"] for result in results})),
        "seeds": ", ".join(str(seed) for seed in sorted({result["seed"] for result in results})),
        "runs": len(results),
        "hardware": " and ".join(machines),
        "commit": ", ".join(commits),
        "beside": recipe.source,
    }
    items = "".join(f"<li><span>{escape(k)}</span><b>{escape(str(v))}</b></li>" for k, v in facts.items())
    smoke = budget.name == "smoke"
    parts = [f'<ul class="facts">{items}</ul>', _table(recipe, budget, results)]
    versions = [f"{name}: {words}" for name, words in protocols(group).items()]
    versions += [f"schedule: {budget.schedule}"] if budget.schedule else []
    if others := stand_ins(budget, recipe.rows):
        versions.append(f"rows and claims name the paper's sizes; what ran: {others}")
    parts.append(bullets(versions))
    if lacking := missing_words(recipe, budget, results):
        parts.append(paragraph(f"{lacking[0].upper()}{lacking[1:]}.", "missing"))
    if recipe.drawings is not None and (drawn := recipe.drawings(results, budget)):
        parts.append(figures([(svg, f"{caption}{' (smoke)' * smoke}") for svg, caption in drawn]))
    judged = verdicts(recipe, budget, results)
    absent = [line for line in judged if verdict_of(line) == "not measured"]
    if len(absent) < len(judged):
        shown = [line for line in judged if line not in absent]
        heading = f"Claims{', at a size that cannot judge them (smoke)' if smoke else ''}: {counted(shown)}"
        said = f'<ul class="trust">{"".join(map(_claim, shown))}</ul>'
        parts.append(disclosure(heading, said, opened=len(shown) <= OPEN))
    if absent:
        lines = bullets([line.removeprefix("- ") for line in absent])
        parts.append(disclosure(f"{len(absent)} claims not measured: a row of theirs was not run", lines))
    return section(title, *parts, anchor=f"table-{number}")


def _table(recipe: Recipe, budget: Budget, results: Sequence[Result]) -> str:
    """Rows with ours and, in a column of its own, what the paper prints."""
    columns = shown_columns(recipe, budget, results)
    printed = [any((row.paper.get(c.paper or "")) is not None for row in recipe.rows) for c in columns]
    mark = " (smoke)" if budget.name == "smoke" else ""
    head = ["row", "seeds"]
    for column, beside in zip(columns, printed, strict=True):
        head += [key(column, budget), *([f"paper's {column.paper}"] if beside else [])]
    rows = []
    for row in recipe.rows:
        seeds = {result["seed"] for result in results if result["row"] == row.name}
        if not seeds:
            continue
        cells = [row.name + which(row, results), str(len(seeds))]
        for column, beside in zip(columns, printed, strict=True):
            cells.append(_ours(results, row, key(column, budget), mark) + behind(recipe, column, row, budget, results))
            cells += [_theirs(row.paper, column) + behind_printed(recipe, column, row)] if beside else []
        rows.append(cells)
    for name, numbers in recipe.copied.items():
        cells = [f"{name}, as printed", "-"]
        for column, beside in zip(columns, printed, strict=True):
            cells += ["-", *([_theirs(numbers, column)] if beside else [])]
        rows.append(cells)
    return table(head, rows, numbers=range(len(head)))


def _ours(results: Sequence[Result], row: Row, name: str, mark: str) -> str:
    found, words = figure(results, row.name, name), words_of(results, row.name, name)
    if found is None:
        return words
    if len(found.values) == 1:  # over one seed there is no interval but that of the test images
        (seed,) = found.values
        entries = [r["results"][name] for r in results if r["row"] == row.name and r["seed"] == seed]
        interval = next((entry["interval"] for entry in entries if entry.get("interval")), None)
        words += "" if interval is None else " [{:.1f}, {:.1f}]".format(*(100 * bound for bound in interval))
    return words + mark


def _theirs(numbers: Mapping[str, float], column: Column) -> str:
    value = numbers.get(column.paper or "")
    return "-" if value is None else as_printed(value)


def protocols(group: Group) -> dict[str, str]:
    """Of every column: n, attack or other words, and the protocol with its version; files that do not name one say so."""
    words, found = measured_words(group.recipe, group.budget, group.results), {}
    for column in shown_columns(group.recipe, group.budget, group.results):
        name = key(column, group.budget)
        entries = [result["results"][name] for result in group.results if name in result["results"]]
        labels = [
            result.get("latent", {}).get("label") for result in group.results if name in ("r_div", "inter_over_intra")
        ]
        labels += [entry.get("protocol") for entry in entries]
        versions = " or ".join(dict.fromkeys(filter(None, labels))) or "version of the protocol not recorded"
        sizes = sorted({entry.get("n") or entry.get("n_test") for entry in entries} - {None})
        n = f"n = {' or '.join(f'{size:,}' for size in sizes)}" if sizes else "n not recorded"
        said = [n, versions, *([words[name]] if words.get(name, versions) != versions else [])]
        found[name] = ", ".join(said)
    return found | {name: line for name, line in words.items() if name not in found and line}


def _claim(line: str) -> str:
    word = verdict_of(line)
    colour, symbol = VERDICTS[word]
    mark = f'<b class="mark"><span aria-hidden="true">{symbol}</span>{word}</b>'
    return f'<li class="{colour}">{mark}<div>{paragraph(line.removeprefix("- "))}</div></li>'
