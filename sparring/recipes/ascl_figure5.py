"""Figures 5 and 6: R-DIV and robust accuracy over attack strengths, and absolute divergences with R-DIV at 8/255.

One set of rows, two sets of columns and claims. TRADES, which sections 4.4 and 7 do not name, gives the claim about all rows a
fifth.
"ASCL" in section 7 (ii) is the one with Global selection, R-DIV 0.49. That ASCL's classes are "more compact" with a larger margin
between them (section 4.4) is judged as section 7 (ii) has it: both divergences higher, R-DIV lower.
Data:  CIFAR-10.
Cost:  see `ascl_rows.COST`.
Run:   sparring reproduce ascl.figure5 (or ascl.figure6: the same rows, trained once for both)
"""

from __future__ import annotations

import itertools
from dataclasses import replace

from sparring.recipes.along import Along
from sparring.recipes.ascl_drawings import OverPoints, Pairs
from sparring.recipes.ascl_rows import ABSOLUTE, ADR, ADV, COST, GLOBAL, LATENT, LEAKED, PGD, TRADES
from sparring.recipes.claims import Claim, Trend
from sparring.recipes.keys import in_255ths
from sparring.recipes.paper import printed
from sparring.recipes.recipe import Column, Recipe, Row

METHODS = {"AT": ADV, "ADR": ADR, "ASCL-Global": GLOBAL, "ASCL-Leaked": LEAKED}
OURS = ("ASCL-Global", "ASCL-Leaked")
BASELINES = ("AT", "ADR")
ROWS = (
    *(
        Row(name, run, {"r_div_adv": printed("002_text", name, arch="resnet20")["r_div_adv"]})
        for name, run in METHODS.items()
    ),
    Row("TRADES", TRADES),
)
RADII = tuple(in_255ths(eps) for eps in LATENT.radii if eps)
R_DIV = tuple(f"r_div {radius}" for radius in RADII)
ROBUST = tuple(f"robust_accuracy pgd {radius}" for radius in RADII)
BETTER = (*itertools.product(OURS, BASELINES), ("ASCL-Leaked", "ASCL-Global"))
"""Who lies below whom in R-DIV and above whom in robust accuracy, at every radius (section 4.4)."""

FIGURE_5 = Recipe(
    name="ascl.figure5",
    title="R-DIV and robust accuracy over attack strengths",
    source="ASCL, Fig. 5 (CIFAR-10, ResNet-20; drawn, without figures; R-DIV at 8/255 is section 7's)",
    rows=ROWS,
    columns=(Column("own"), Column("pgd-250"), Column("r_div", "r_div_adv"), *map(Column, (*R_DIV, *ROBUST))),
    claims=(
        *(
            Claim(worse, better, f"{better} has a lower R-DIV than {worse} (ASCL, section 4.4 (i))", R_DIV)
            for better, worse in BETTER
        ),
        *(
            Claim(better, worse, f"{better} is more robust than {worse} (ASCL, section 4.4 (ii))", ROBUST)
            for better, worse in BETTER
        ),
        *(
            Along(row.name, "strengths", "the lower the robust accuracy, the higher R-DIV (ASCL, section 2, O1)")
            for row in ROWS
        ),
        Trend("r_div", "lower R-DIV goes with higher robustness (ASCL, section 4.4)", ("pgd-250",)),
    ),
    protocols=("own",),
    robustness=(PGD,),
    latent=LATENT,
    cost=COST,
    drawings=OverPoints(tuple(row.name for row in ROWS), "strengths", "Fig. 5"),
)

FIGURE_6 = replace(
    FIGURE_5,
    name="ascl.figure6",
    title="Absolute divergences and R-DIV at 8/255",
    source="ASCL, Fig. 6 and section 7 (CIFAR-10, ResNet-20; R-DIV from the text, the rest drawn)",
    columns=(Column("own"), Column("pgd-250"), Column("r_div", "r_div_adv"), *ABSOLUTE),
    claims=(
        *(
            Claim(higher, lower, f"{lower} has a lower R-DIV than {higher} (ASCL, section 7 (i))", ("r_div",))
            for higher, lower in itertools.pairwise(METHODS)
        ),
        *(
            Claim(better, worse, f"{better} is more robust than {worse} (ASCL, section 7 (i))", ("pgd-250",))
            for worse, better in itertools.pairwise(METHODS)
        ),
        *(
            Claim(
                "ASCL-Global",
                other,
                f"this divergence of ASCL-Global is higher than {other}'s (ASCL, section 7 (ii))",
                ("intra_adv", "inter_adv"),
            )
            for other in ("AT", "ADR")
        ),
        Claim("AT", "ASCL-Global", "R-DIV of ASCL-Global is lower than AT's (ASCL, section 7 (ii))", ("r_div",)),
        Trend("r_div", "lower R-DIV goes with higher robustness (ASCL, section 7)", ("pgd-250",)),
    ),
    drawings=Pairs(ROWS, "Fig. 6"),
)
