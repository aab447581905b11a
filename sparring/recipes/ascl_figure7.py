"""Figure 7: t-SNE of 1,000 clean and 100 adversarial representations, with the entropy of each prediction.

The map stands in each run's latent.npz and is drawn in its report; no figure of it is claimed, so R-DIV judges it.
Data:  CIFAR-10.
Cost:  see `ascl_rows.COST`.
Run:   sparring reproduce ascl.figure7
"""

from __future__ import annotations

from sparring.recipes.ascl_rows import ADV, COST, GLOBAL, LATENT, LEAKED, NATURAL
from sparring.recipes.claims import Claim
from sparring.recipes.recipe import Column, Recipe, Row

RECIPE = Recipe(
    name="ascl.figure7",
    title="A map of the latent space",
    source="ASCL, Fig. 7 (CIFAR-10, ResNet-20; drawn, without figures)",
    rows=(Row("NAT", NATURAL), Row("AT", ADV), Row("ASCL-Global", GLOBAL), Row("ASCL-Leaked", LEAKED)),
    columns=(Column("own"), Column("r_div")),
    claims=(
        Claim("NAT", "AT", "adversarial training lowers R-DIV (ASCL, O2)", ("r_div",)),
        Claim(
            "AT",
            "ASCL-Leaked",
            "ASCL-Leaked has a lower R-DIV than AT (ASCL, section 7: classes better told apart)",
            ("r_div",),
        ),
    ),
    protocols=("own",),
    latent=LATENT,
    cost=COST,
)
