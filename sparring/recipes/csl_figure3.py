"""Figure 3 and appendix G: how far classes lie from each other, and from themselves, in SupCon's and SimCLR's features.

The rows are Table 3's, trained once for both. Each heat map has the mean distance of every pair of classes, both on one
scale of colours; the t-SNE maps stand in each run's report.
Data:  CIFAR-10.
Cost:  see `csl_rows.COST`.
Run:   sparring reproduce csl.figure3
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

import numpy as np

from sparring.recipes.budgets import Budget
from sparring.recipes.claims import Claim
from sparring.recipes.csl_rows import LOOK
from sparring.recipes.csl_table3 import CIFAR_10, COLUMNS, SUSCEPTIBLE
from sparring.recipes.drawing import over_seeds
from sparring.recipes.paper import printed
from sparring.recipes.recipe import Column

NAMES = ("SupCon", "SimCLR")


def drawings(results: Sequence[Mapping[str, Any]], _budget: Budget) -> list[tuple[str, str]]:
    """The heat map of each row, means over seeds, on one scale of colours."""
    from sparring.reporting.classes import heat_map

    seen = {name: _classes(results, name) for name in NAMES}
    seen = {name: classes for name, classes in seen.items() if classes}
    maps = {name: np.mean([each["mean"] for each in classes], axis=0) for name, classes in seen.items()}
    if not maps:
        return []
    scale = (min(float(each.min()) for each in maps.values()), max(float(each.max()) for each in maps.values()))
    classes = [str(k) for k in range(len(next(iter(maps.values()))))]
    return [
        (
            heat_map(mean, classes, title=f"Distances of class pairs, {name}", scale=scale),
            f"{name}: mean {seen[name][0]['distance']} distance between images of two classes, on the diagonal of one; inter "
            f"upon intra {fmean(each['ratio'] for each in seen[name]):.2f} (the paper's "
            f"{printed('003_text', name)['inter_over_intra_distance']}). {over_seeds([len(seen[name])])}",
        )
        for name, mean in maps.items()
    ]


def _classes(results: Sequence[Mapping[str, Any]], row: str) -> list[Mapping[str, Any]]:
    """Of every seed, where there are classes to compare."""
    found = [result["latent"]["classes"] for result in results if result["row"] == row and "latent" in result]
    return [classes for classes in found if "mean" in classes]


RECIPE = replace(
    CIFAR_10,
    name="csl.figure3",
    title="Distances of class pairs, supervised and self-supervised",
    source="003, Fig. 3, section G and Table 3 (CIFAR-10)",
    rows=tuple(
        replace(row, paper=row.paper | printed("003_text", row.name)) for row in CIFAR_10.rows if row.name in NAMES
    ),
    columns=(Column("inter_over_intra", "inter_over_intra_distance"), *COLUMNS),
    claims=(
        Claim(
            "SupCon",
            "SimCLR",
            "SupCon's classes lie further apart for their width than SimCLR's (003, Fig. 3)",
            ("inter_over_intra",),
        ),
        SUSCEPTIBLE,
    ),
    latent=LOOK,
    drawings=drawings,
)
