"""Figure 4: running mean (a) and variance (b) of the batch norms for clean and for adversarial images.

Channels are drawn in each run's report. The paper compares with what others report of supervised training, which is no row
here. The row "official updates" also updates adversarial statistics inside the attack, on clean pixels, as the published
code does: two of its three updates a step are of clean images.
Data:  CIFAR-10.
Cost:  see `clae_rows.COST`.
Run:   sparring reproduce clae.figure4
"""

from __future__ import annotations

from sparring.recipes.clae_rows import COST, DRAWN, SIMCLR, against, name_of
from sparring.recipes.claims import Claim
from sparring.recipes.recipe import Column, Recipe, Row

PAPER, LARGER = name_of("SimCLR", 0.03), name_of("SimCLR", 0.07)
OFFICIAL = f"{PAPER}, official updates"

RECIPE = Recipe(
    name="clae.figure4",
    title="Batch norms of clean and of adversarial images",
    source="CLAE, Fig. 4 (SimCLR; drawn, without figures)",
    rows=(
        Row(PAPER, against(SIMCLR)),
        Row(LARGER, against(SIMCLR, 0.07)),
        Row(OFFICIAL, against(SIMCLR, preset="official")),
    ),
    columns=(*DRAWN, Column("bn_mean_gap"), Column("bn_var_ratio")),
    claims=(
        Claim(
            PAPER,
            OFFICIAL,
            "without updates on clean pixels the statistics lie further apart (nobody's claim)",
            ("bn_mean_gap",),
        ),
        Claim(
            LARGER, PAPER, "at 0.07 the statistics lie further apart than at 0.03 (nobody's claim)", ("bn_mean_gap",)
        ),
    ),
    protocols=("knn", "logistic"),
    version="paper",
    perturbed=True,
    cost=COST,
)
