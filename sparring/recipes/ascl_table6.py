"""Table 6: what each term of ASCL brings: original SupCon, adversarial training, + SCL, + VAT, + both.

Adversarial training is here without the clean cross-entropy, as the paper's figures show (facts of its section 8.2).
Data:  CIFAR-10.
Cost:  ResNet-18 and WideResNet-34-10, 200 epochs: about 10 and 60 GPU hours a row (estimated, not run).
Run:   sparring reproduce ascl.table6
"""

from __future__ import annotations

from sparring.recipes.ascl_rows import ADV, AUTOATTACK, COLUMNS, LEAKED, NATURAL, PGD
from sparring.recipes.claims import Claim
from sparring.recipes.paper import printed
from sparring.recipes.recipe import Recipe, Row, derived

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
ATTACKS = ("pgd-250", "autoattack")

RECIPE = Recipe(
    name="ascl.table6",
    title="The terms of ASCL on CIFAR-10",
    source="ASCL, Table 6 (CIFAR-10, ResNet-18 and WideResNet-34-10)",
    rows=tuple(
        Row(f"{terms}, {words}", derived(run, {"encoder.name": ours}), printed("002_T6", terms, arch=theirs))
        for words, (ours, theirs) in ENCODERS.items()
        for terms, run in TERMS.items()
        if not (terms == "orgSCL" and ours != "resnet18")
    ),
    columns=COLUMNS,
    claims=tuple(
        Claim(f"{better}, {words}", f"{worse}, {words}", f"{what}, {words} (ASCL, Table 6)", attacks)
        for words in ENCODERS
        for better, worse, what, attacks in (
            ("ADV+SCL", "ADV", "SCL on top of adversarial training is more robust", ATTACKS[1:]),
            ("ADV+VAT", "ADV", "VAT on top of adversarial training is more robust", ATTACKS[1:]),
            ("ADV+VAT+SCL", "ADV+VAT", "SCL on top of adversarial training with VAT is more robust", ATTACKS),
        )
    ),
    protocols=("own",),
    robustness=(PGD, AUTOATTACK),
    cost="ResNet-18 and WideResNet-34-10, 200 epochs: about 10 and 60 GPU hours a row (estimated, not run)",
)
