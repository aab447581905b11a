"""Verdicts on claims, to be read: counted, and those of one claim on many measures in one line."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sparring.recipes.budgets import Budget
from sparring.recipes.claims import Claim
from sparring.recipes.recipe import Recipe

JUDGED = ("holds", "fails", "undecided", "not measured")
Judged = Sequence[tuple[str, Sequence[str]]]
"""The words of each claim with a line for each measure: `- pgd-20: holds (+2.10 points [+1.23, +2.97], 3 seeds): words`."""
IN_FULL = 3
"""Of a claim on more measures than that, one line names them by verdict, without figures."""


def by_claim(recipe: Recipe, budget: Budget, results: Sequence[Mapping[str, Any]]) -> Judged:
    """The words of each claim, and a line for each of its measures."""
    judged = []
    for claim in recipe.claims:
        measures = claim.measures or tuple(column.key for column in recipe.columns if column.key != "r_div")
        measures = [
            measure
            for measure in dict.fromkeys(budget.attack(name) for name in measures)
            if any(measure in result["results"] for result in results) or isinstance(claim, Claim)
        ]
        judged.append((claim.words, [f"- {claim.judge(results, measure)}" for measure in measures]))
    return judged


def verdict_of(line: str) -> str:
    """How a line judges: holds, fails, undecided or not measured."""
    return _parts(line)[1]


def flat(judged: Judged) -> list[str]:
    """All lines of all claims."""
    return [line for _, lines in judged for line in lines]


def counted(lines: Iterable[str]) -> str:
    """12 hold, 1 fails, 3 undecided."""
    found = Counter(map(verdict_of, lines))
    said = {word: word if found[word] == 1 else word.removesuffix("s") for word in JUDGED if word in found}
    return ", ".join(f"{found[word]} {form}" for word, form in said.items())


def brief(judged: Judged) -> list[str]:
    """The lines of all claims, more than `IN_FULL` of one as `- pgd 1/255, 2/255: holds; 4/255: fails: words`."""
    said: list[str] = []
    for words, lines in judged:
        said += lines if len(lines) <= IN_FULL else [_in_one(words, lines)]
    if any(len(lines) > IN_FULL for _, lines in judged):
        said.append(
            f"- of a claim on more than {IN_FULL} measures, summary-*.json and the leaderboard have the figures"
        )
    return said


def _in_one(words: str, lines: Sequence[str]) -> str:
    heads = {_parts(line)[0].rpartition(" ")[0] for line in lines}
    before = f"{heads.pop()} ".lstrip() if len(heads) == 1 else ""
    measures: dict[str, list[str]] = {word: [] for word in JUDGED}
    for measure, verdict in map(_parts, lines):
        measures[verdict].append(measure.removeprefix(before))
    said = "; ".join(f"{', '.join(of)}: {word}" for word, of in measures.items() if of)
    return f"- {before}{said}: {words}"


def _parts(line: str) -> tuple[str, str]:
    """The measure and the verdict."""
    judged = re.match(rf"- (.*?): ({'|'.join(JUDGED)})\b", line)
    if judged is None:
        raise ValueError(f"{line!r} says of no claim whether it {', '.join(JUDGED)}")
    return judged[1], judged[2]
