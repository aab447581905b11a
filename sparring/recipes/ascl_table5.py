"""Table 5: a projection head on the penultimate layer: none, p1 (linear, 128) or p2 (200-128).

Data:  CIFAR-10.
Cost:  see `ascl_rows.COST`.
Run:   sparring reproduce ascl.table5
"""

from __future__ import annotations

from sparring.recipes.ascl_rows import AUTOATTACK, COLUMNS, COST, GLOBAL, LEAKED, PGD
from sparring.recipes.claims import Claim
from sparring.recipes.paper import printed
from sparring.recipes.recipe import Recipe, Row, derived

HEADS: dict[str, dict[str, object]] = {
    "none": {},
    "p1": {"encoder.head": "linear", "encoder.dim": 128},
    "p2": {"encoder.head": "p2", "encoder.dim": 128},
}
ATTACKS = ("pgd-250", "autoattack")

RECIPE = Recipe(
    name="ascl.table5",
    title="Projection heads of ASCL on CIFAR-10",
    source="ASCL, Table 5 (CIFAR-10, ResNet-20)",
    rows=tuple(
        Row(f"{name}, {head}", derived(run, changes), printed("002_T5", name, proj=head))
        for name, run in {"ASCL-Global": GLOBAL, "ASCL-Leaked": LEAKED}.items()
        for head, changes in HEADS.items()
    ),
    columns=COLUMNS,
    claims=tuple(
        Claim(f"{name}, {better}", f"{name}, {worse}", f"{name[5:]}: {words} (ASCL, Table 5)", measures)
        for name in ("ASCL-Global", "ASCL-Leaked")
        for better, worse, words, measures in (
            ("p1", "none", "a linear projection is better than none", ("own", *ATTACKS)),
            ("none", "p2", "a projection of two layers is less robust than none", ATTACKS),
        )
    ),
    protocols=("own",),
    robustness=(PGD, AUTOATTACK),
    cost=COST,
)
