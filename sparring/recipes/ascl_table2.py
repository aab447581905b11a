"""Table 2: adversarial training, TRADES, ADR and ASCL (Leaked) under PGD, multi-targeted PGD and AutoAttack.

Data:  CIFAR-10 and CIFAR-100 (the natural classifier, which the paper's text and Fig. 2 have, stands beside the table's rows).
Cost:  see `ascl_rows.COST`; `short` is about 6 minutes of training and 6 of attacks a row on one CPU core.
Run:   sparring reproduce ascl.table2 [--budget short --data folder --root IMAGES]
       sparring reproduce ascl.table2-cifar100
"""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean

from sparring.recipes.ascl_rows import (
    ADR,
    ADV,
    AUTOATTACK,
    CIFAR100,
    COLUMNS,
    COST,
    LATENT,
    LEAKED,
    MPGD,
    NATURAL,
    PGD,
    TRADES,
)
from sparring.recipes.claims import Claim, Trend
from sparring.recipes.paper import Numbers, printed
from sparring.recipes.recipe import Column, Derived, Means, Recipe, Row, Under, derived

ATTACKS = ("pgd-250", "mpgd-250", "autoattack")


def _gap(key: str, row: Means, ours: Means) -> float:
    return fmean(ours[attack] - row[attack] for attack in ATTACKS)


GAP = Derived(
    "GAP ",
    "points by which the mean of the three robust accuracies lies below ASCL-Leaked's",
    _gap,
    ("ASCL-Leaked",),
    paper="gap",
    forms=(".2%", ".2%"),
)
"""The table's column of that name: "the average gap of robust accuracies between ours and the compared method"."""


def figures(name: str, dataset: str) -> Numbers:
    """A row of the table; its GAP stands behind AutoAttack's figure."""
    numbers = printed("002_T2", name, dataset=dataset)
    return numbers | {"gap_aa": numbers.pop("gap_avg_robust_vs_ours")}


METHODS = {"ADV": ADV, "TRADES": TRADES, "ADR": ADR, "ASCL-Leaked": LEAKED}

CIFAR_10 = Recipe(
    name="ascl.table2",
    title="ASCL against adversarial training, TRADES and ADR on CIFAR-10",
    source="ASCL, Table 2 (CIFAR-10, ResNet-20)",
    rows=(
        Row("natural", NATURAL),
        *(Row(name, run, figures(name, "cifar10")) for name, run in METHODS.items()),
    ),
    columns=(*COLUMNS[:2], Column("mpgd-250", "mpgd"), replace(COLUMNS[2], derived=(GAP,)), Column("r_div")),
    claims=(
        *(
            Claim("ASCL-Leaked", other, f"ASCL is more robust than {other} (ASCL, Table 2)", ATTACKS)
            for other in ("ADV", "TRADES", "ADR")
        ),
        Trend("r_div", "lower R-DIV goes with higher robustness (ASCL, section 2, O1)", ATTACKS),
    ),
    protocols=("own",),
    robustness=(PGD, MPGD, AUTOATTACK),
    latent=LATENT,
    cost=COST,
)

SMALLER = {"eps": 0.01, "step_size": 0.001}

CIFAR_100 = replace(
    CIFAR_10,
    name="ascl.table2-cifar100",
    title="ASCL against adversarial training, TRADES and ADR on CIFAR-100",
    source="ASCL, Table 2 (CIFAR-100, ResNet-20, radius 0.01)",
    rows=(
        Row("natural", derived(NATURAL, {"data.name": "cifar100"})),
        *(Row(name, derived(run, CIFAR100), figures(name, "cifar100")) for name, run in METHODS.items()),
    ),
    robustness=(
        Under(replace(PGD.config, **SMALLER)),
        Under(replace(MPGD.config, **SMALLER, targets=9)),
        Under(replace(AUTOATTACK.config, eps=0.01)),
    ),
    latent=replace(LATENT, **SMALLER),
)
