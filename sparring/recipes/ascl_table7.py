"""Table 7: the weights of SCL and VAT, one at a time.

Data:  CIFAR-10. Two cells of AutoAttack are lost in the paper's text and have no figure to stand beside.
Cost:  see `ascl_rows.COST`.
Run:   sparring reproduce ascl.table7
"""

from __future__ import annotations

from sparring.recipes.ascl_rows import AUTOATTACK, COLUMNS, COST, LEAKED, PGD
from sparring.recipes.claims import Claim
from sparring.recipes.paper import printed
from sparring.recipes.recipe import Recipe, Row, derived

GRID = [(0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (0, 1), (0, 2), (0, 3), (0, 4)]
"""lambda_SCL, lambda_VAT."""


def name_of(scl: int, vat: int) -> str:
    """The row's name."""
    return f"SCL {scl}, VAT {vat}"


RECIPE = Recipe(
    name="ascl.table7",
    title="The weights of ASCL's terms on CIFAR-10",
    source="ASCL, Table 7 (CIFAR-10, ResNet-20)",
    rows=tuple(
        Row(
            name_of(scl, vat),
            derived(LEAKED, {"method.lambda_scl": float(scl), "method.lambda_vat": float(vat)}),
            printed("002_T7", "ASCL-ablation", lambda_scl=scl, lambda_vat=vat),
        )
        for scl, vat in GRID
    ),
    columns=COLUMNS,
    claims=(
        *(
            Claim(
                name_of(scl, 0),
                name_of(0, 0),
                f"SCL alone (weight {scl}) has better clean accuracy than no SCL (ASCL, section 8.2)",
                ("own",),
            )
            for scl in (1, 2, 3, 4)
        ),
        Claim(
            name_of(1, 0),
            name_of(4, 0),
            "SCL with weight 1 has better clean accuracy than with weight 4 (ASCL, section 8.2)",
            ("own",),
        ),
        *(
            Claim(
                name_of(0, vat),
                name_of(0, vat - 1),
                f"VAT with weight {vat} is more robust than with {vat - 1} (ASCL, section 8.2)",
                ("pgd-250",),
            )
            for vat in (1, 2, 3, 4)
        ),
        *(
            Claim(
                name_of(0, vat - 1),
                name_of(0, vat),
                f"VAT with weight {vat} has worse clean accuracy than with {vat - 1} (ASCL, section 8.2)",
                ("own",),
            )
            for vat in (1, 2, 3, 4)
        ),
    ),
    protocols=("own",),
    robustness=(PGD, AUTOATTACK),
    cost=COST,
)
