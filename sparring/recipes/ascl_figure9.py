"""Figure 9: which images Leaked selection chooses for an anchor at the beginning, early in and at the end of training.

The counts of three anchors stand in a result's `latent.selection`, the pictures are drawn in the report of each run: at epochs
1, 30 and 200, and at the same shares of the epochs where there are fewer.
Data:  CIFAR-10.
Cost:  see `ascl_rows.COST`; every epoch's checkpoint is kept.
Run:   sparring reproduce ascl.figure9
"""

from __future__ import annotations

from dataclasses import replace

from sparring.recipes.ascl_figure4 import COUNTS, OVER_TIME
from sparring.recipes.ascl_rows import COST, LATENT, LEAKED
from sparring.recipes.claims import Change
from sparring.recipes.recipe import Column, Recipe, Row, derived

RECIPE = Recipe(
    name="ascl.figure9",
    title="Selected positives and negatives over training",
    source="ASCL, Fig. 9 and section 4.3 (CIFAR-10, ResNet-20; the pictures are one anchor's)",
    rows=(Row("ASCL-Leaked", derived(LEAKED, {"training.checkpoint_every": 1}), OVER_TIME),),
    columns=(*(Column(name, name) for name in COUNTS), Column("own")),
    claims=(
        Change(
            "ASCL-Leaked",
            "num_pos_first",
            "num_pos_last",
            "positives rise from the first to the last epoch (ASCL, Fig. 9)",
        ),
        Change(
            "ASCL-Leaked",
            "num_neg_first",
            "num_neg_last",
            "negatives fall from the first to the last epoch (ASCL, Fig. 9)",
            True,
        ),
    ),
    protocols=("own",),
    latent=replace(LATENT, epochs=False, radii=[0.0, 8 / 255], middle=30 / 200),
    cost=COST,
)
