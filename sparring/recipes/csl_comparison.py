"""Who is susceptible, and what helps: supervised, contrastive and robust contrastive encoders in one table.

Table: none of the paper's; it puts the rows of paper 003's Tables 3, 4 and 5 beside each other under the same attacks and
       adds two that nobody has run: CLAE whose pairs lose suspected false negatives (Precision), and ACL with Precision whose
       adversarial views are made as CLAE makes them, with a random start (F-FGSM, one step), instead of by PGD.
Data:  CIFAR-10.
       AutoAttack runs on 100 images.
Cost:  see `csl_rows.COST` and `csl_table5.RECIPE.cost`.
Run:   sparring reproduce csl.comparison
"""

from __future__ import annotations

from sparring.config import AttackConfig, MethodConfig
from sparring.measuring import Fitted, LatentConfig, RobustnessConfig
from sparring.recipes.claims import Claim, Trend
from sparring.recipes.csl_rows import (
    ACL,
    COST,
    DYNAMIC,
    FREQUENCY,
    PRECISION,
    RECALL,
    ROCL,
    SIMCLR,
    SUPCE,
    SUPCON,
    attacked,
    autoattack,
    classifier_of,
)
from sparring.recipes.csl_table5 import REPLACED
from sparring.recipes.recipe import Column, Recipe, Row, Under, derived
from sparring.recipes.relative import DROP, gap
from sparring.recipes.susceptible import Loses

A_ACL = derived(ACL, {**DYNAMIC, **REPLACED})
ROWS = {
    "SupCE": SUPCE,
    "SupCon": SUPCON,
    "SimCLR": SIMCLR,
    "SimCLR+FN-frequency": FREQUENCY,
    "SimCLR+FN-precision(N=100)": PRECISION,
    "SimCLR+FN-recall(N=75;R=16)": RECALL,
    "CLAE+FN-precision": derived(PRECISION, {"method": MethodConfig(name="clae", base="simclr", temperature=0.5,
                                                                   pairs="precision")}),
    "RoCL": ROCL,
    "A-RoCL-dynamic": derived(ROCL, {**DYNAMIC, **REPLACED}),
    "ACL": ACL,
    "A-ACL-dynamic": A_ACL,
    "A-ACL-dynamic, random-start CLAE view": derived(
        A_ACL, {"attack": AttackConfig(name="ffgsm", eps=8 / 255, space="pixel", clip=True)}
    ),
}  # fmt: skip
LOST = (DROP, gap("SimCLR", "SupCon"))
COLUMNS = (
    Column("clean"),
    Column("csl-cifar-fgsm-8", derived=LOST),
    Column("csl-cifar-pgd4-1", derived=LOST),
    Column("csl-robust-pgd-8"),
    Column("autoattack 1/255", derived=LOST),
    Column("corruptions", derived=(DROP,)),
    Column("inter_over_intra"),
)
CORRUPTIONS = ("corruptions",)
WEAK = ("csl-cifar-fgsm-8", "csl-cifar-pgd4-1", "autoattack 1/255")
CORRUPTED = Under(RobustnessConfig(corruptions=True, severities=[1], images=None, trust=False))


def classifier(name: str) -> Fitted:
    """One protocol for all encoders that have no classifier of their own: RoCL's."""
    return "own" if name == "SupCE" else classifier_of("RoCL")


RECIPE = Recipe(
    name="csl.comparison",
    title="Susceptibility of supervised, contrastive and robust contrastive encoders",
    source="none of 003's; its claims",
    rows=tuple(Row(name, run, classifier=classifier(name)) for name, run in ROWS.items()),
    columns=COLUMNS,
    claims=(
        Claim("SupCon", "SimCLR", "SupCon is more robust than SimCLR (003, Tables 3, 4, 8)", WEAK),
        Claim("SupCE", "SimCLR", "cross-entropy is more robust than SimCLR (003, Table 3, by other attacks)", WEAK[1:]),
        *(
            Claim(
                name,
                "SimCLR",
                f"SimCLR without false negatives ({name[10:]}) is more robust than with them (003, Table 4)",
                WEAK,
            )
            for name in ROWS
            if name.startswith("SimCLR+")
        ),
        Loses("SimCLR", "SupCon", "SimCLR loses a larger share than SupCon, its supervised twin (003, Table 3)", WEAK),
        *(
            Claim(
                f"A-{base}-dynamic",
                base,
                f"A-{base} is better than {base} (003, Table 5)",
                ("clean", "csl-robust-pgd-8"),
            )
            for base in ("RoCL", "ACL")
        ),
        Claim(
            "SupCon",
            "SimCLR",
            "SupCon's classes lie further apart for their width than SimCLR's (003, Fig. 3)",
            ("inter_over_intra",),
        ),
        Loses(
            "SimCLR",
            "SupCE",
            "SimCLR loses a larger share than cross-entropy under corruptions (003, Fig. 2)",
            CORRUPTIONS,
        ),
        Trend("inter_over_intra", "classes further apart go with robustness (003, section 4)", WEAK, rising=True),
    ),
    robustness=(
        attacked("csl-cifar-fgsm-8", "csl-cifar-pgd4-1", "csl-robust-pgd-8"),
        autoattack(1, images=100),
        CORRUPTED,
    ),
    latent=LatentConfig(eps=1 / 255, steps=4, radii=[0.0, 1 / 255], epochs=False, images=1000),
    seeds=2,
    cost=COST,
)
