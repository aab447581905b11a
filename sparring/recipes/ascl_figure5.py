"""Figures 5 and 6: R-DIV, absolute divergences and robust accuracy over attack strengths, method by method.

The curves over radii stand in a result's `latent` and are drawn in the report of each run; R-DIV at 8/255 is Fig. 6's.
Data:  CIFAR-10.
Cost:  see `ascl_rows.COST`.
Run:   sparring reproduce ascl.figure5 (or ascl.figure6: the same rows)
"""

from __future__ import annotations

import itertools
from dataclasses import replace

from sparring.recipes.ascl_rows import ADR, ADV, COST, GLOBAL, LATENT, LEAKED, PGD, TRADES
from sparring.recipes.claims import Claim, Trend
from sparring.recipes.paper import printed
from sparring.recipes.recipe import Column, Recipe, Row

METHODS = {"AT": ADV, "ADR": ADR, "ASCL-Global": GLOBAL, "ASCL-Leaked": LEAKED}

FIGURE_5 = Recipe(
    name="ascl.figure5",
    title="R-DIV and robust accuracy over attack strengths",
    source="ASCL, Figs. 5 and 6 (CIFAR-10, ResNet-20)",
    rows=(
        *(Row(name, run, printed("002_text", name)) for name, run in METHODS.items() if not name.startswith("ASCL-")),
        *(
            Row(name, run, {"r_div_adv": printed("002_text", name, arch="resnet20")["r_div_adv"]})
            for name, run in METHODS.items()
            if name.startswith("ASCL-")
        ),
        Row("TRADES", TRADES),
    ),
    columns=(Column("own"), Column("pgd-250"), Column("r_div", "r_div_adv")),
    claims=(
        *(
            Claim(higher, lower, f"{lower} has a lower R-DIV than {higher} (ASCL, Fig. 6)", ("r_div",))
            for higher, lower in itertools.pairwise(METHODS)
        ),
        *(
            Claim(better, worse, f"{better} is more robust than {worse} (ASCL, Figs. 5 and 6)", ("pgd-250",))
            for worse, better in itertools.pairwise(METHODS)
        ),
        Trend("r_div", "lower R-DIV goes with higher robustness (ASCL, section 7)", ("pgd-250",)),
    ),
    protocols=("own",),
    robustness=(PGD,),
    latent=LATENT,
    cost=COST,
)

FIGURE_6 = replace(FIGURE_5, name="ascl.figure6", title="Absolute divergences and R-DIV at 8/255")
