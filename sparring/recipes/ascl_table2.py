"""Table 2: adversarial training, TRADES, ADR and ASCL (Leaked) under PGD, multi-targeted PGD and AutoAttack.

Data:  CIFAR-10 (the natural classifier, which the paper's text and Fig. 2 have, stands beside the table's rows).
Cost:  see `ascl_rows.COST`; `short` is about 6 minutes of training and 6 of attacks a row on one CPU core.
Run:   sparring reproduce ascl.table2 [--budget short --data folder --root IMAGES]
"""

from __future__ import annotations

from sparring.recipes.ascl_rows import ADR, ADV, COLUMNS, COST, LATENT, LEAKED, NATURAL, PGD, STRONG, TRADES
from sparring.recipes.claims import Claim, Trend
from sparring.recipes.paper import printed
from sparring.recipes.recipe import Column, Recipe, Row

ATTACKS = ("pgd-250", "mpgd-250", "autoattack")

RECIPE = Recipe(
    name="ascl.table2",
    title="ASCL against adversarial training, TRADES and ADR on CIFAR-10",
    source="ASCL, Table 2 (CIFAR-10, ResNet-20)",
    rows=(
        Row("natural", NATURAL),
        Row("ADV", ADV, printed("002_T2", "ADV", dataset="cifar10")),
        Row("TRADES", TRADES, printed("002_T2", "TRADES", dataset="cifar10")),
        Row("ADR", ADR, printed("002_T2", "ADR", dataset="cifar10")),
        Row("ASCL-Leaked", LEAKED, printed("002_T2", "ASCL-Leaked", dataset="cifar10")),
    ),
    columns=(*COLUMNS[:2], Column("mpgd-250", "mpgd"), COLUMNS[2], Column("r_div")),
    claims=(
        *(
            Claim("ASCL-Leaked", other, f"ASCL is more robust than {other} (ASCL, Table 2)", ATTACKS)
            for other in ("ADV", "TRADES", "ADR")
        ),
        Trend("r_div", "lower R-DIV goes with higher robustness (ASCL, section 2, O1)", ATTACKS),
    ),
    robustness=(PGD, STRONG),
    latent=LATENT,
    cost=COST,
)
