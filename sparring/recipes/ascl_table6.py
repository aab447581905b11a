"""Table 6: what each term of ASCL brings: original SupCon, adversarial training, + SCL, + VAT, + both.

Adversarial training is here without the clean cross-entropy: the paper says so of its Table 3, whose own rows are this
table's ADV+SCL. AutoAttack is on the whole test set, as there. PGD with 5 steps is the text's, for the original SupCon.
Data:  CIFAR-10.
Cost:  ResNet-18 and WideResNet-34-10, 200 epochs: about 10 and 60 GPU hours a row (estimated, not run).
Run:   sparring reproduce ascl.table6
"""

from __future__ import annotations

from dataclasses import replace

from sparring.recipes.ascl_rows import ADV, AUTOATTACK, COLUMNS, LEAKED, NATURAL, PGD
from sparring.recipes.claims import Claim
from sparring.recipes.paper import Numbers, printed
from sparring.recipes.recipe import Column, Recipe, Row, Under, derived

WITHOUT_CLEAN = derived(LEAKED, {"method.clean_weight": 0.0})
TERMS = {
    "orgSCL": derived(NATURAL, {"method.name": "org_scl"}),
    "ADV": derived(ADV, {"method.clean_weight": 0.0}),
    "ADV+SCL": derived(WITHOUT_CLEAN, {"method.lambda_vat": 0.0}),
    "ADV+VAT": derived(WITHOUT_CLEAN, {"method.lambda_scl": 0.0}),
    "ADV+VAT+SCL": WITHOUT_CLEAN,
}
ENCODERS = {"ResNet-18": ("resnet18", "resnet18"), "WRN-34-10": ("wrn-34-10", "wrn34-10")}
"""Our name and the paper's."""
HELPS = {"ResNet-18": ("own", "pgd-250", "autoattack"), "WRN-34-10": ("own", "autoattack")}
"""Measures in which SCL helps: the WideResNet's figure under PGD is lower with it."""
PGD_5 = Under(replace(PGD.config, attack=["pgd-5"]))


def figures(terms: str, encoder: str) -> Numbers:
    """The table's, and the text's of the original SupCon."""
    return printed("002_T6", terms, arch=encoder) | (printed("002_text", terms) if terms == "orgSCL" else {})


RECIPE = Recipe(
    name="ascl.table6",
    title="The terms of ASCL on CIFAR-10",
    source="ASCL, Table 6 (CIFAR-10, ResNet-18 and WideResNet-34-10)",
    rows=tuple(
        Row(f"{terms}, {words}", derived(run, {"encoder.name": ours}), figures(terms, theirs))
        for words, (ours, theirs) in ENCODERS.items()
        for terms, run in TERMS.items()
        if not (terms == "orgSCL" and ours != "resnet18")
    ),
    columns=(*COLUMNS, Column("pgd-5", "pgd5")),
    claims=tuple(
        Claim(f"{better}, {words}", f"{worse}, {words}", f"{what}, {words} (ASCL, Table 6)", measures)
        for words in ENCODERS
        for better, worse, what, measures in (
            ("ADV+SCL", "ADV", "SCL on top of adversarial training is better than none", HELPS[words]),
            ("ADV+VAT", "ADV", "VAT on top of adversarial training is more robust than none", ("autoattack",)),
            (
                "ADV+VAT+SCL",
                "ADV+VAT",
                "SCL on top of adversarial training with VAT is better than none",
                HELPS["ResNet-18"],
            ),
        )
    ),
    protocols=("own",),
    robustness=(PGD, PGD_5, Under(replace(AUTOATTACK.config, images=None))),
    cost="ResNet-18 and WideResNet-34-10, 200 epochs: about 10 and 60 GPU hours a row (estimated, not run)",
)
