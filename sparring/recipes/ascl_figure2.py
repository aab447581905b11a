"""Figure 2: R-DIV goes against robust accuracy: natural and adversarial training of a CNN and a ResNet-20.

2a is the pair of absolute divergences of each row, 2b R-DIV and robust accuracy over the epochs, 2c over attack strengths:
`latent` in a result, drawn in the report of each run.
Data:  CIFAR-10.
Cost:  see `ascl_rows.COST`.
Run:   sparring reproduce ascl.figure2
"""

from __future__ import annotations

from sparring.recipes.ascl_rows import ADV, COST, LATENT, NATURAL, PGD
from sparring.recipes.claims import Claim, Trend
from sparring.recipes.recipe import Column, Recipe, Row, derived

ENCODERS = {"CNN": "cnn-cifar", "ResNet-20": "resnet20"}

RECIPE = Recipe(
    name="ascl.figure2",
    title="R-DIV and robust accuracy of natural and adversarial training",
    source="ASCL, Fig. 2 (CIFAR-10; drawn, without figures)",
    rows=tuple(
        Row(f"{training}, {words}", derived(run, {"encoder.name": name}))
        for words, name in ENCODERS.items()
        for training, run in {"NAT": NATURAL, "AT": ADV}.items()
    ),
    columns=(Column("own"), Column("pgd-250"), Column("r_div")),
    claims=(
        *(
            Claim(f"NAT, {words}", f"AT, {words}", f"adversarial training lowers R-DIV, {words} (ASCL, O2)", ("r_div",))
            for words in ENCODERS
        ),
        Trend("r_div", "lower R-DIV goes with higher robustness (ASCL, section 2, O1)", ("pgd-250",)),
    ),
    protocols=("own",),
    robustness=(PGD,),
    latent=LATENT,
    cost=COST,
)
