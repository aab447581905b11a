"""Figure 7: which attack makes the adversarial view: FGSM, R-FGSM, F-FGSM or PGD, against none.

The paper states eps 0.03 alone. Here, after the works it cites: R-FGSM a random sign step of eps/2, then FGSM of eps/2;
F-FGSM a uniform start and a step of 1.25 eps; PGD a uniform start and 10 steps of a quarter of eps.
That R-FGSM and F-FGSM are "comparable" to FGSM is not judged: the paper gives no margin, and a difference that is not found
shows no equality. Judged is that PGD lies below each of the three.
Data:  CIFAR-100.
Cost:  see `clae_rows.COST`; PGD takes about 4 times as long as FGSM. `short` is about 2 minutes a row on one CPU core, PGD 6.
Run:   sparring reproduce clae.attacks
"""

from __future__ import annotations

from sparring.config import AttackConfig
from sparring.recipes.clae_rows import DRAWN, EPS, LR, SIMCLR_100, against, on_cifar100, over
from sparring.recipes.claims import Claim
from sparring.recipes.recipe import Column, Row, derived

CLAE = against(SIMCLR_100)
ATTACKS = {
    "FGSM": CLAE,
    "R-FGSM": derived(CLAE, {"attack.name": "rfgsm"}),
    "F-FGSM": derived(CLAE, {"attack.name": "ffgsm"}),
    "PGD": derived(CLAE, {"attack": AttackConfig(name="pgd", eps=EPS, steps=10, step_size=EPS / 4, random_start=True)}),
}

ROWS = (Row("SimCLR", SIMCLR_100), *(Row(name, run) for name, run in ATTACKS.items()))

RECIPE = on_cifar100(
    name="clae.attacks",
    title="Attacks that make the adversarial view, CIFAR-100",
    source="CLAE, Fig. 7 (CIFAR-100, ResNet-18, SimCLR, eps 0.03; drawn, without figures)",
    rows=ROWS,
    columns=(Column("knn"), *DRAWN),
    drawings=over(
        ROWS,
        at={row.name: ("SimCLR+CLAE", row.name) for row in ROWS},
        axis="attack",
        more="Which attack makes the adversarial view; SimCLR has none.",
        columns=(Column("knn"), Column("logistic")),
        joined=False,
    ),
    protocols=("knn", "logistic"),
    claims=(
        *(
            Claim(name, "SimCLR", f"CLAE with {name} is better than SimCLR (CLAE, section 4.4)", ("knn", *LR))
            for name in ATTACKS
        ),
        *(
            Claim(name, "PGD", f"CLAE with {name} is better than with PGD (CLAE, section 4.4)", LR)
            for name in ATTACKS
            if name != "PGD"
        ),
    ),
)
