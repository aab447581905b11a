"""Figure 2: adversarial examples of the trained encoder, and their difference from the image, amplified.

The pictures stand in each run's report (the run folder's analysis.npz and report.html); what they do to predictions is
measured.
Data:  tiny-ImageNet.
Cost:  see `clae_rows.COST_TINY`.
Run:   sparring reproduce clae.figure2
"""

from __future__ import annotations

from sparring.recipes.clae_rows import DRAWN, SIMCLR_TINY, against, name_of, on_tiny
from sparring.recipes.claims import Change
from sparring.recipes.recipe import Column, Row

ROW = name_of("SimCLR", 0.03)

RECIPE = on_tiny(
    name="clae.figure2",
    title="Adversarial examples, tiny-ImageNet",
    source="CLAE, Fig. 2 (tiny-ImageNet; pictures, without figures)",
    rows=(Row(ROW, against(SIMCLR_TINY)),),
    columns=(*DRAWN, Column("accuracy random 0.03"), Column("accuracy adversarial 0.03")),
    claims=(
        Change(
            ROW,
            "accuracy random 0.03",
            "accuracy adversarial 0.03",
            "adversarial examples are harder to classify than noise of the same size (CLAE, section 4.2)",
            falling=True,
        ),
    ),
    perturbed=True,
)
