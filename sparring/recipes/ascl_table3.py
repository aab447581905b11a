"""Table 3: against the methods that RobustBench listed, and against robust contrastive pretraining that is finetuned.

Trained here: ASCL (Leaked) without the clean cross-entropy and VAT, TRADES, and ACL (two streams) and RoCL, both finetuned by
AFF, which is TRADES on a copy of the encoder. The rows of Zhang 2020, Huang 2020 and Cui 2021 the paper copied from
RobustBench; they stand in the table as printed, and nothing of ours beside them. PGD's steps are not stated: 250, as Table 6
prints the same figures for ASCL. Everything is on the whole test set.
Data:  CIFAR-10.
Cost:  see `ascl_table6.RECIPE.cost`; RoCL 60 and ACL 45 GPU hours (estimated, not run).
Run:   sparring reproduce ascl.table3
"""

from __future__ import annotations

from dataclasses import replace

from sparring.recipes import csl_rows
from sparring.recipes.ascl_rows import AUTOATTACK, PGD, TRADES
from sparring.recipes.ascl_table6 import RECIPE as TABLE_6
from sparring.recipes.ascl_table6 import TERMS
from sparring.recipes.claims import Claim
from sparring.recipes.paper import Numbers, printed
from sparring.recipes.recipe import Column, Recipe, Row, Under, derived

ASCL = TERMS["ADV+SCL"]
WIDE, RESNET = {"encoder.name": "wrn-34-10"}, {"encoder.name": "resnet18"}


def figures(method: str, **setting: str) -> Numbers:
    """The table's."""
    return printed("002_T3", method, dataset="cifar10", **setting)


RECIPE = Recipe(
    name="ascl.table3",
    title="ASCL against listed methods and robust contrastive pretraining, CIFAR-10",
    source="ASCL, Table 3 (CIFAR-10, ResNet-18 and WideResNet-34-10, whole test set)",
    rows=(
        Row("ASCL-Leaked, WRN-34-10", derived(ASCL, WIDE), figures("ASCL-Leaked*", arch="wrn34-10"), "own"),
        Row("TRADES, WRN-34-10", derived(TRADES, WIDE), figures("Zhang2019-TRADES(copied)"), "own"),
        Row("ASCL-Leaked, ResNet-18", derived(ASCL, RESNET), figures("ASCL-Leaked*", arch="resnet18"), "own"),
        Row(
            "ACL + AFF, ResNet-18",
            derived(csl_rows.ACL, {"training.batch_size": 512}),
            figures("ACL-DS(copied,bs512)"),
            "aff",
        ),
        Row(
            "RoCL + AFF, ResNet-18",
            derived(csl_rows.ROCL, {"training.batch_size": 256}),
            figures("RoCL-TRADES(copied,bs256)"),
            "aff",
        ),
    ),
    copied={
        "Zhang 2020, WRN": figures("Zhang2020(copied)"),
        "Huang 2020, WRN": figures("Huang2020(copied)"),
        "Cui 2021, WRN": figures("Cui2021(copied)"),
    },
    columns=(Column("clean", "natural"), Column("pgd-250", "pgd"), Column("autoattack", "aa")),
    claims=(
        Claim(
            "ASCL-Leaked, WRN-34-10", "TRADES, WRN-34-10", "ASCL is better on clean images (ASCL, Table 3)", ("clean",)
        ),
        *(
            Claim(
                "ASCL-Leaked, ResNet-18",
                other,
                f"ASCL is better than {other.partition(',')[0]} (ASCL, Table 3)",
                ("clean", "pgd-250"),
            )
            for other in ("ACL + AFF, ResNet-18", "RoCL + AFF, ResNet-18")
        ),
    ),
    robustness=(PGD, Under(replace(AUTOATTACK.config, images=None))),
    cost=TABLE_6.cost,
)
