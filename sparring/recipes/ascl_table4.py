"""Table 4: which positives and negatives an anchor sees: Global, Hard, Soft and Leaked selection.

That lower R-DIV goes with higher robustness is not judged here: of four rows no rank correlation says much.

Data:  CIFAR-10.
Cost:  see `ascl_rows.COST`; `short` is about 6 minutes of training and 6 of attacks a row on one CPU core.
Run:   sparring reproduce ascl.table4 [--budget short --data folder --root IMAGES]
"""

from __future__ import annotations

from sparring.recipes.ascl_rows import AUTOATTACK, COLUMNS, COST, GLOBAL, HARD, LATENT, LEAKED, MPGD, PGD, SOFT
from sparring.recipes.claims import Claim
from sparring.recipes.paper import printed
from sparring.recipes.recipe import Column, Recipe, Row

ATTACKS = ("pgd-250", "mpgd-250", "autoattack")
SELECTIONS = {"ASCL-Global": GLOBAL, "ASCL-Hard": HARD, "ASCL-Soft": SOFT, "ASCL-Leaked": LEAKED}
ORDER = (
    ("ASCL-Leaked", "ASCL-Soft", ATTACKS),
    ("ASCL-Leaked", "ASCL-Hard", ("pgd-250", "autoattack")),
    ("ASCL-Leaked", "ASCL-Global", ATTACKS),
    ("ASCL-Soft", "ASCL-Global", ("pgd-250", "mpgd-250")),
    ("ASCL-Hard", "ASCL-Global", ATTACKS),
)
"""Who is more robust under which attacks: of Leaked and Hard under multi-targeted PGD the table has equal figures, and
Soft below Global under AutoAttack."""

RECIPE = Recipe(
    name="ascl.table4",
    title="Selection of positives and negatives on CIFAR-10",
    source="ASCL, Table 4 (CIFAR-10, ResNet-20)",
    rows=tuple(Row(name, run, printed("002_T4", name)) for name, run in SELECTIONS.items()),
    columns=(*COLUMNS[:2], Column("mpgd-250", "mpgd"), COLUMNS[2], Column("r_div")),
    claims=tuple(
        Claim(better, worse, f"{better[5:]} selection is more robust than {worse[5:]} (ASCL, Table 4)", attacks)
        for better, worse, attacks in ORDER
    ),
    protocols=("own",),
    robustness=(PGD, MPGD, AUTOATTACK),
    latent=LATENT,
    cost=COST,
)
