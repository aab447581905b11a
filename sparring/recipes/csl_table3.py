"""Table 3: supervised cross-entropy, SupCon and SimCLR under the same training, attacked.

Data:  CIFAR-10 and CIFAR-100.
Cost:  see `csl_rows.COST`.
Run:   sparring reproduce csl.table3 [csl.table3-cifar100]
"""

from __future__ import annotations

from dataclasses import replace

from sparring.recipes.claims import Claim
from sparring.recipes.csl_rows import CIFAR_100 as CSL_CIFAR_100
from sparring.recipes.csl_rows import COST, SIMCLR, SUPCE, SUPCON, attacked, classifier_of, printed
from sparring.recipes.recipe import Column, Recipe, Row, derived
from sparring.recipes.relative import DROP, against
from sparring.recipes.susceptible import Loses

ROWS = {"SupCE": SUPCE, "SupCon": SUPCON, "SimCLR": SIMCLR}
LOST = (DROP, against("SupCon"))
COLUMNS = (
    Column("clean", "clean"),
    Column("csl-cifar-fgsm-8", "fgsm_linf 8/255", LOST),
    Column("csl-cifar-fgsm-16", "fgsm_linf 16/255", LOST),
    Column("csl-cifar-pgd-l2-0.1", "pgd_l2 0.1", LOST),
    Column("csl-cifar-pgd-l2-0.25", "pgd_l2 0.25", LOST),
    Column("csl-cifar-pgd-l1-8", "pgd_l1 8", LOST),
)
ATTACKS = tuple(column.key for column in COLUMNS[1:])
SUSCEPTIBLE = Loses(
    "SimCLR", "SupCon", "SimCLR loses a larger share than SupCon, its supervised twin (003, Table 3)", ATTACKS
)
WORDS = "SupCon is more robust than SimCLR (003, Table 3)"

CIFAR_10 = Recipe(
    name="csl.table3",
    title="Supervised and self-supervised encoders under attack, CIFAR-10",
    source="003, Table 3 (CIFAR-10, 5 runs)",
    rows=tuple(Row(name, run, printed("003_T3", name, COLUMNS), classifier_of(name)) for name, run in ROWS.items()),
    columns=COLUMNS,
    claims=(
        Claim("SupCon", "SimCLR", WORDS, ATTACKS),
        Claim("SupCE", "SimCLR", "cross-entropy is more robust than SimCLR (003, Table 3)", ATTACKS[1:]),
        SUSCEPTIBLE,
    ),
    robustness=(attacked(*ATTACKS),),
    seeds=5,
    cost=COST,
)
CIFAR_100 = replace(
    CIFAR_10,
    name="csl.table3-cifar100",
    title="Supervised and self-supervised encoders under attack, CIFAR-100",
    source="003, Table 3 (CIFAR-100, 5 runs)",
    rows=tuple(
        Row(
            name,
            derived(run, CSL_CIFAR_100),
            printed("003_T3", name, COLUMNS, "cifar100"),
            classifier_of(name),
        )
        for name, run in ROWS.items()
    ),
    claims=(
        Claim("SupCon", "SimCLR", WORDS, ATTACKS),
        Claim("SupCE", "SimCLR", "cross-entropy is more robust than SimCLR (003, Table 3)", ATTACKS),
        SUSCEPTIBLE,
    ),
)
