"""Tables 4 and 8: SimCLR without suspected false negatives, against SupCon, which has none.

Data:  CIFAR-10. The schedules of removal are counted in the paper's 1,000 epochs and shrink with them at other budgets, but
       not with the batch: Precision ends at 9 removed images, of 1,024 here and of fewer in smaller batches.
Cost:  see `csl_rows.COST`; pseudo-labels train twice.
Run:   sparring reproduce csl.table4 [csl.table8]
"""

from __future__ import annotations

from dataclasses import replace

from sparring.recipes.claims import Claim
from sparring.recipes.csl_rows import (
    COST,
    REMOVALS,
    SIMCLR,
    SUPCON,
    attacked,
    autoattack,
    classifier_of,
    printed,
    without_false_negatives,
)
from sparring.recipes.recipe import Column, Recipe, Row
from sparring.recipes.relative import DROP, gap
from sparring.recipes.susceptible import Loses

LOST = (DROP, gap("SimCLR", "SupCon", "gap_closed_pct"))
COLUMNS = (
    Column("clean", "clean"),
    Column("csl-cifar-fgsm-8", "fgsm_linf 8/255", LOST),
    Column("csl-cifar-fgsm-16", "fgsm_linf 16/255", LOST),
    Column("autoattack 1/255", "aa_linf 1/255", LOST),
    Column("autoattack 2/255", "aa_linf 2/255", LOST),
)
ATTACKS = tuple(column.key for column in COLUMNS[1:])
ROWS = {"SupCon": SUPCON, "SimCLR": SIMCLR} | {f"SimCLR+FN-{name}": without_false_negatives(name) for name in REMOVALS}
CLAIMS = (
    *(
        Claim(
            name,
            "SimCLR",
            f"SimCLR without false negatives ({name[10:]}) is more robust than with them (003, Table 4)",
            ATTACKS,
        )
        for name in ROWS
        if name.startswith("SimCLR+")
    ),
    *(
        Loses(
            "SimCLR",
            name,
            f"SimCLR loses a larger share than without false negatives ({name[10:]}; 003, Table 4)",
            ATTACKS,
        )
        for name in ROWS
        if name.startswith("SimCLR+")
    ),
    *(
        Loses(
            f"SimCLR+FN-{static}",
            f"SimCLR+FN-{dynamic}",
            f"a larger share is lost with {static} than with {dynamic} (003, section 5)",
            ATTACKS,
        )
        for dynamic in ("precision(N=100)", "recall(N=75;R=16)")
        for static in ("frequency", "cluster(K=20)")
    ),
    Claim("SupCon", "SimCLR", "SupCon is more robust than SimCLR (003, Table 4)", ATTACKS),
    Claim(
        "SimCLR+FN-precision(N=100)",
        "SimCLR",
        "precision has better clean accuracy than SimCLR (003, Table 4)",
        ("clean",),
    ),
    Claim(
        "SimCLR",
        "SimCLR+FN-recall(N=75;R=16)",
        "recall has worse clean accuracy than SimCLR (003, Table 4)",
        ("clean",),
    ),
)

TABLE_4 = Recipe(
    name="csl.table4",
    title="Removal of false negatives, CIFAR-10",
    source="003, Table 4 (CIFAR-10, 5 runs)",
    rows=tuple(Row(name, run, printed("003_T4", name, COLUMNS), classifier_of(name)) for name, run in ROWS.items()),
    columns=COLUMNS,
    claims=CLAIMS,
    robustness=(attacked("csl-cifar-fgsm-8", "csl-cifar-fgsm-16"), autoattack(1), autoattack(2)),
    seeds=5,
    cost=COST,
)

PGD_LOST = (DROP, gap("SimCLR", "SupCon"))
PGD_COLUMNS = (
    Column("clean", "clean"),
    Column("csl-cifar-pgd4-1", "pgd_linf 1/255", PGD_LOST),
    Column("csl-cifar-pgd4-4", "pgd_linf 4/255", PGD_LOST),
)
KEPT = [name for name in ROWS if not name.startswith(("SimCLR+FN-freq", "SimCLR+FN-clus"))]

TABLE_8 = replace(
    TABLE_4,
    name="csl.table8",
    title="Removal of false negatives under PGD, CIFAR-10",
    source="003, Table 8 (CIFAR-10, 5 runs)",
    rows=tuple(Row(name, ROWS[name], printed("003_T8", name, PGD_COLUMNS), classifier_of(name)) for name in KEPT),
    columns=PGD_COLUMNS,
    claims=tuple(
        Claim(
            name,
            "SimCLR",
            f"{name} is more robust than SimCLR (003, Table 8)",
            ("csl-cifar-pgd4-1", "csl-cifar-pgd4-4"),
        )
        for name in KEPT
        if name != "SimCLR"
    ),
    robustness=(attacked("csl-cifar-pgd4-1", "csl-cifar-pgd4-4"),),
)
