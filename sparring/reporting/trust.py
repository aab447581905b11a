"""Whether the figures of a robustness evaluation can be believed: its checks, each with a sentence and a colour."""

from __future__ import annotations

from html import escape
from typing import Any

from sparring.reporting.page import disclosure, paragraph, table
from sparring.reporting.run_folder import RunFolder

MARKS = {
    "red": ("✗", "failed"),
    "yellow": ("!", "doubtful"),
    "green": ("✓", "passed"),
    "grey": ("–", "not checked"),
}
"""Symbol and word of each colour, the gravest first: a colour never stands alone."""


def trust(run: RunFolder) -> list[str]:
    """The verdict, then one row a check, those that failed first."""
    checks = ordered(run.robustness.get("checks") or [])
    if not checks:
        return [*verdict(run), paragraph("No check was made: nothing is known about these figures.", "missing")]
    counts = {colour: sum(check["colour"] == colour for check in checks) for colour in MARKS}
    words = ", ".join(f"{count} {MARKS[colour][1]}" for colour, count in counts.items() if count)
    rows = "\n".join(_row(check) for check in checks)
    return [
        *verdict(run),
        paragraph(f"{len(checks)} check{'s' * (len(checks) > 1)}: {words}.", "soft"),
        f'<ul class="trust">\n{rows}\n</ul>',
        paragraph(
            "A check that passes rules out one known way of going wrong. It does not prove that no stronger attack exists.",
            "soft",
        ),
    ]


def verdict(run: RunFolder) -> list[str]:
    """The evaluation's verdict on itself, in one box."""
    said = run.robustness.get("verdict")
    if not said:
        return [paragraph("This evaluation holds no verdict on itself.", "missing")]
    return [box(said)]


def box(said: dict[str, Any]) -> str:
    """A colour and its sentence in one box."""
    colour = _known(said)
    mark = _mark(MARKS[colour][0], f"{colour} verdict")
    return f'<p class="verdict {colour}">{mark} {escape(said["sentence"])}</p>'


def ordered(checks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The checks, the gravest first. Raises ValueError for a colour that is none of the four."""
    return sorted(checks, key=lambda check: list(MARKS).index(_known(check)))


def figure_words(value: Any) -> str:
    """A figure of a check as it is written: numbers short, lists in a row."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "not measured"}[value]
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list):
        return ", ".join(figure_words(one) for one in value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key} {figure_words(one)}" for key, one in value.items()) or "none"
    return str(value)


def _known(said: dict[str, Any]) -> str:
    colour = said.get("colour")
    if colour not in MARKS:
        raise ValueError(
            f"robustness.json: {said.get('name', 'the verdict')} has colour {colour!r}; there are {', '.join(MARKS)}"
        )
    return colour


def _mark(symbol: str, word: str) -> str:
    return f'<b class="mark"><span aria-hidden="true">{symbol}</span>{word}</b>'


def _row(check: dict[str, Any]) -> str:
    parts = [f"<b>{escape(check['title'])}</b>", paragraph(check["sentence"])]
    figures = check.get("figures") or {}
    if figures:
        rows = [[key.replace("_", " "), figure_words(value)] for key, value in figures.items()]
        parts.append(disclosure("figures", table(["what", "measured"], rows)))
    return f'<li class="{check["colour"]}">{_mark(*MARKS[check["colour"]])}<div>{"".join(parts)}</div></li>'
