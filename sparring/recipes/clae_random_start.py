"""Does CLAE's adversary want a random start? SimCLR, CLAE as published, and CLAE with a random start.

Table: none of the paper's; its nearest are the SimCLR rows of Table 1 (CIFAR-10, eps 0 and 0.03), printed beside ours.
       One FGSM step from the image itself carries no gradient of the positive pair (`sparring/methods/clae.py`), so the
       published adversary is steered by negatives only; a uniform start (F-FGSM) brings the positive back.
Data:  CIFAR-10.
Cost:  see `clae_rows.COST`; `short` is 2 (SimCLR) to 4 minutes a row on one CPU core. Earlier results, of experiment
       clae-random-start, have a `short` of their own: ResNet-20 and 10,000 images.
Run:   sparring reproduce clae.random-start [--budget short --data folder --root IMAGES]
"""

from __future__ import annotations

from sparring.recipes.clae_rows import COST, KNN, LAST, LOGISTIC, LR, SIMCLR, against
from sparring.recipes.claims import Claim
from sparring.recipes.paper import printed
from sparring.recipes.recipe import Recipe, Row, derived

CLAE = against(SIMCLR)
MEASURES = ("knn", *LR)

RECIPE = Recipe(
    name="clae.random-start",
    title="A random start for CLAE's adversary, CIFAR-10",
    source="CLAE, Table 1 (CIFAR-10, ResNet-18), where it has the row",
    rows=(
        Row("SimCLR", SIMCLR, printed("001_T1", "SimCLR", dataset="cifar10")),
        Row("CLAE, FGSM", CLAE, printed("001_T1", "SimCLR+CLAE", dataset="cifar10", eps=0.03)),
        Row("CLAE, random start", derived(CLAE, {"attack.name": "ffgsm"})),
    ),
    columns=(KNN, LOGISTIC, LAST),
    claims=(
        Claim("CLAE, FGSM", "SimCLR", "CLAE is better than SimCLR (CLAE, Table 1)", MEASURES),
        Claim(
            "CLAE, random start",
            "SimCLR",
            "CLAE with a random start is better than SimCLR (nobody's claim)",
            MEASURES,
        ),
        Claim(
            "CLAE, random start",
            "CLAE, FGSM",
            "a random start is better than starting at the image (nobody's claim)",
            MEASURES,
        ),
    ),
    protocols=("knn", "logistic"),
    version="paper",
    cost=COST,
)
