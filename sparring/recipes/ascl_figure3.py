"""Figure 3: natural against robust accuracy when the radius of the training attack grows.

The paper does not list its radii; here 2, 4, 6, 8 and 10 / 255 in steps of a quarter of the radius, evaluated at 8/255.
That Leaked lies above by "around 5%" is not judged, since "around" has no margin: the verdict has the mean in points.
Data:  CIFAR-10.
Cost:  see `ascl_rows.COST`.
Run:   sparring reproduce ascl.figure3
"""

from __future__ import annotations

from sparring.config import AttackConfig
from sparring.recipes.ascl_rows import ADR, ADV, COST, LEAKED, PGD, TRADES
from sparring.recipes.claims import Above
from sparring.recipes.drawing import AgainstColumn
from sparring.recipes.recipe import Column, Recipe, Row, derived

METHODS = {"ADV": ADV, "TRADES": TRADES, "ADR": ADR, "ASCL-Leaked": LEAKED}
RADII = (2, 4, 6, 8, 10)

RECIPE = Recipe(
    name="ascl.figure3",
    title="The trade-off of natural and robust accuracy over the training radius",
    source="ASCL, Fig. 3 (CIFAR-10, ResNet-20; drawn, without figures)",
    rows=tuple(
        Row(f"{name}, {k}/255", derived(run, {"attack": AttackConfig(eps=k / 255, step_size=k / 4 / 255)}))
        for name, run in METHODS.items()
        for k in RADII
    ),
    columns=(Column("own"), Column("pgd-250")),
    claims=tuple(
        Above(
            tuple(f"ASCL-Leaked, {k}/255" for k in RADII),
            tuple(f"{name}, {k}/255" for k in RADII),
            f"at the same natural accuracy Leaked is more robust than {name} (ASCL, section 4.2)",
            ("pgd-250",),
        )
        for name in ("ADV", "TRADES", "ADR")
    ),
    protocols=("own",),
    robustness=(PGD,),
    cost=COST,
    drawings=AgainstColumn(
        {name: tuple(f"{name}, {k}/255" for k in RADII) for name in METHODS},
        Column("own"),
        Column("pgd-250"),
        {"own": "natural accuracy", "pgd-250": "accuracy under PGD"},
        "Robust against natural accuracy",
        f"Fig. 3. A point for each training radius, {RADII[0]} to {RADII[-1]}/255, joined in their order.",
    ),
)
