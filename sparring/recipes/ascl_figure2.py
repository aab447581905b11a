"""Figure 2: R-DIV goes against robust accuracy: natural and adversarial training of a CNN and a ResNet-20.

2a is the pair of absolute divergences of each row with its R-DIV, 2b R-DIV and robust accuracy over the epochs (of the CNN),
2c R-DIV against robust accuracy over attack strengths: drawn on the recipe's page, with all rows in each.
The paper's d+_a and d-_a have adversarial images among the members: intra_adv and inter_adv here; those of clean images alone
stand beside them. O1 is judged within each run too, over radii (2c) and over the kept checkpoints (2b).
Data:  CIFAR-10.
Cost:  see `ascl_rows.COST`.
Run:   sparring reproduce ascl.figure2
"""

from __future__ import annotations

from sparring.recipes.along import Along
from sparring.recipes.ascl_drawings import OverPoints, Pairs, Related
from sparring.recipes.ascl_rows import ABSOLUTE, ADV, COST, LATENT, NATURAL, PGD
from sparring.recipes.claims import Claim
from sparring.recipes.drawing import Together
from sparring.recipes.recipe import Column, Recipe, Row, derived

ENCODERS = {"CNN": "cnn-cifar", "ResNet-20": "resnet20"}
ROWS = tuple(
    Row(f"{training}, {words}", derived(run, {"encoder.name": name}))
    for words, name in ENCODERS.items()
    for training, run in {"NAT": NATURAL, "AT": ADV}.items()
)

RECIPE = Recipe(
    name="ascl.figure2",
    title="R-DIV and robust accuracy of natural and adversarial training",
    source="ASCL, Fig. 2 (CIFAR-10; drawn, without figures)",
    rows=ROWS,
    columns=(Column("own"), Column("pgd-250"), Column("r_div"), *ABSOLUTE),
    claims=(
        *(
            Claim(
                f"NAT, {words}",
                f"AT, {words}",
                f"adversarial training makes this divergence smaller, {words} (ASCL, section 2, O2-i)",
                ("intra_adv", "inter_adv"),
            )
            for words in ENCODERS
        ),
        *(
            Claim(f"NAT, {words}", f"AT, {words}", f"adversarial training lowers R-DIV, {words} (ASCL, O2)", ("r_div",))
            for words in ENCODERS
        ),
        *(
            Claim(
                f"AT, {words}",
                f"NAT, {words}",
                f"adversarial training is more robust, {words} (ASCL, section 2, O1)",
                ("pgd-250",),
            )
            for words in ENCODERS
        ),
        *(
            Along(
                row.name, "strengths", "the lower the robust accuracy, the higher R-DIV (ASCL, section 2, O1, Fig. 2c)"
            )
            for row in ROWS
        ),
        *(
            Along(
                f"{training}, CNN",
                "epochs",
                "R-DIV falls where robust accuracy rises in training (ASCL, section 2, O1, Fig. 2b)",
            )
            for training in ("NAT", "AT")
        ),
    ),
    protocols=("own",),
    robustness=(PGD,),
    latent=LATENT,
    cost=COST,
    drawings=Together(
        (
            Pairs(ROWS, "Fig. 2a"),
            Related(tuple(row.name for row in ROWS), "Fig. 2c"),
            OverPoints(("NAT, CNN", "AT, CNN"), "epochs", "Fig. 2b"),
            OverPoints(tuple(row.name for row in ROWS), "strengths", "Fig. 2c"),
        )
    ),
)
