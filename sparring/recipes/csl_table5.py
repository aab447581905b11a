"""Table 5: adversarially trained encoders, with false negatives replaced in the loss and in the attack.

Data:  CIFAR-10.
Cost:  ResNet-18, 1,000 epochs: RoCL 19, ACL 14 forward-backward passes an image; about 60 and 45 GPU hours a row
       (estimated, not run).
Run:   sparring reproduce csl.table5
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from sparring.recipes.claims import Claim
from sparring.recipes.csl_rows import (
    ACL,
    DYNAMIC,
    ROCL,
    SIMCLR,
    STATIC,
    SUPCON,
    attacked,
    autoattack,
    classifier_of,
    printed,
)
from sparring.recipes.recipe import Column, Derived, Means, Recipe, Row, derived

ATTACKS = {
    "csl-robust-pgd-8": "pgd_linf 8/255",
    "csl-robust-pgd-16": "pgd_linf 16/255",
    "csl-robust-pgd-l2-0.25": "pgd_l2 0.25",
    "csl-robust-pgd-l1-12": "pgd_l1 12",
    "autoattack 8/255": "aa_linf 8/255",
    "autoattack 16/255": "aa_linf 16/255",
}
"""Our names and the paper's."""
BASES = ("RoCL", "ACL")
WAYS = ("static", "dynamic")


def _gain(key: str, row: Means, base: Means) -> float:
    if not base[key]:
        raise ValueError(f"nothing of {key} to gain on")
    return row[key] / base[key] - 1


def _median_gain(key: str, row: Means, base: Means) -> float:
    return median(_gain(attack, row, base) for attack in ATTACKS)


def of_each_base(mark: str, words: str, of: Callable[..., float], paper: str | None = None) -> tuple[Derived, ...]:
    """A figure of each augmented row over its own base, RoCL or ACL."""
    return tuple(
        Derived(mark, words, of, (base,), paper, (".1%", ".1%"), tuple(f"A-{base}-{way}" for way in WAYS))
        for base in BASES
    )


GAIN = of_each_base("↑", "percent of the accuracy of RoCL (ACL) that are gained over it", _gain, "gain_pct")
MEDIAN = of_each_base("median ↑", "median of that over the six attacks", _median_gain)
COLUMNS = (Column("clean", "clean", MEDIAN), *(Column(key, paper, GAIN) for key, paper in ATTACKS.items()))
REPLACED = {"removal.replacement": "resample"}
ROWS = {
    "SupCon": SUPCON,
    "SimCLR": SIMCLR,
    "RoCL": ROCL,
    "A-RoCL-static": derived(ROCL, {**STATIC, **REPLACED}),
    "A-RoCL-dynamic": derived(ROCL, {**DYNAMIC, **REPLACED}),
    "ACL": ACL,
    "A-ACL-static": derived(ACL, {**STATIC, **REPLACED}),
    "A-ACL-dynamic": derived(ACL, {**DYNAMIC, **REPLACED}),
}

RECIPE = Recipe(
    name="csl.table5",
    title="Robust contrastive pretraining without false negatives, CIFAR-10",
    source="003, Table 5 (CIFAR-10, 5 runs)",
    rows=tuple(Row(name, run, printed("003_T5", name, COLUMNS), classifier_of(name)) for name, run in ROWS.items()),
    columns=COLUMNS,
    claims=tuple(
        Claim(f"A-{base}-{way}", base, f"A-{base}-{way} is better than {base} (003, Table 5)", ("clean", *ATTACKS))
        for base in BASES
        for way in WAYS
    ),
    robustness=(
        attacked("csl-robust-pgd-8", "csl-robust-pgd-16", "csl-robust-pgd-l2-0.25", "csl-robust-pgd-l1-12"),
        autoattack(8),
        autoattack(16),
    ),
    seeds=5,
    cost="ResNet-18, 1,000 epochs: about 60 (RoCL) and 45 (ACL) GPU hours a row (estimated, not run)",
)
