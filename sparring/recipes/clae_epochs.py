"""Longer training: of the encoder (Fig. 6c, 100 to 500 epochs) and of the logistic regression (supplement, Table 11).

Fig. 6c is drawn without figures. The text: CLAE with 300 epochs comes close to SimCLR with 400, and with 400 lies above
SimCLR with 500. The first is not judged: the paper gives no margin, and a difference that is not found shows no equality.
Data:  CIFAR-100 (Fig. 6c), tiny-ImageNet (Table 11).
Cost:  see `clae_rows.COST`, five times as long for 500 epochs; Table 11 trains three encoders.
Run:   sparring reproduce clae.epochs [clae.tiny-lr-epochs]
"""

from __future__ import annotations

from sparring.recipes.clae_rows import (
    DRAWN,
    LR,
    RADII,
    SIMCLR_100,
    SIMCLR_TINY,
    against,
    better_at_each,
    grid,
    name_of,
    on_cifar100,
    on_tiny,
    over,
    places,
    rising,
)
from sparring.recipes.claims import Claim
from sparring.recipes.gains import GainsMore
from sparring.recipes.recipe import Row, derived

EPOCHS = {f"{n} epochs": n for n in (100, 200, 300, 400, 500)}
CLASSIFIER = {f"LR {n} epochs": (n, {"evaluation.logistic_epochs": n}) for n in (200, 1000)}

ROWS = tuple(
    Row(name_of("SimCLR", eps, name), against(derived(SIMCLR_100, {"training.epochs": epochs}), eps))
    for name, epochs in EPOCHS.items()
    for eps in RADII
)

RECIPE = on_cifar100(
    name="clae.epochs",
    title="Longer training of the encoder, CIFAR-100",
    source="CLAE, Fig. 6c (CIFAR-100, ResNet-18, SimCLR; drawn, without figures)",
    columns=DRAWN,
    rows=ROWS,
    drawings=over(ROWS, at=places(EPOCHS), axis="epochs", more="Epochs of the encoder's training."),
    claims=(
        *better_at_each(EPOCHS, "CLAE, Fig. 6c"),
        *rising(EPOCHS, "CLAE, Fig. 6c"),
        GainsMore(
            (name_of("SimCLR", 0.07, "500 epochs"), name_of("SimCLR", 0.07, "100 epochs")),
            (name_of("SimCLR", 0.03, "500 epochs"), name_of("SimCLR", 0.03, "100 epochs")),
            "eps 0.07 gains more from 100 to 500 epochs than 0.03 (CLAE, section 4.4)",
            LR,
        ),
        Claim(
            name_of("SimCLR", 0.03, "400 epochs"),
            name_of("SimCLR", 0, "500 epochs"),
            "CLAE at 0.03 with 400 epochs is better than SimCLR with 500 (CLAE, section 4.4)",
            LR,
        ),
    ),
)
LR_EPOCHS = on_tiny(
    name="clae.tiny-lr-epochs",
    title="Longer training of the logistic regression, tiny-ImageNet",
    source="CLAE, supplement, Table 11 (tiny-ImageNet, ResNet-18, SimCLR)",
    rows=grid("000_T11", SIMCLR_TINY, "lr_epochs", CLASSIFIER),
    claims=(
        *better_at_each(CLASSIFIER, "CLAE, supplement, Table 11"),
        *rising(CLASSIFIER, "CLAE, supplement, Table 11"),
    ),
)
