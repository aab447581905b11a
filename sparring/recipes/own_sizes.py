"""Sizes that a paper's or one table's recipes have of their own, where the common ones would make rows alike.

CLAE's: contrastive training takes 2 (SimCLR) to 5 (CLAE) passes an image, its tables vary batch, depth and epochs, and nothing
is attacked after training. A cell of `short` takes 2 (SimCLR) to 4 minutes (CLAE; 10 with PGD) on one CPU core.
ASCL's tables of several encoders have a small one for each; its others have the common sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from sparring.config import RunConfig
from sparring.recipes.budgets import FULL, SHORT, SMOKE, Budget
from sparring.recipes.recipe import Row

DEEPER = (("resnet50", "wrn-16-1"), ("resnet101", "wrn-22-1"))
STEPS_TO_COSINE = (
    "a rate that the paper lowers in steps (Plain, UEL) falls here on a cosine; a constant one (SimCLR) stays constant"
)
WIDE = (("wrn-34-10", "wrn-16-1"),)
WITH_WIDE = "WideResNet-10-1 (WideResNet-34-10: WideResNet-16-1)"
"""The words for that, ASCL's Tables 3 and 6."""
CNN = (("cnn-cifar", "cnn"),)
WITH_CNN = "WideResNet-10-1 (CNN: the smaller CNN of MNIST)"
"""ASCL's Figure 2, whose CNN has a constant rate."""


def beside(size: Budget, encoders: tuple[tuple[str, str], ...], label: str) -> Budget:
    """The size with further small encoders."""
    return replace(size, label=f"{size.name}: {label}", encoders=encoders)


SHORT_IMAGES = "6,000 training images, 8 epochs"
SMOKE_IMAGES = "200 training images, 1 epoch, bf16, the square attack in AutoAttack's place"
OWN = {
    **{
        (f"ascl.{name}", "short"): beside(SHORT, WIDE, f"{WITH_WIDE}, {SHORT_IMAGES} on a cosine schedule, bf16")
        for name in ("table3", "table6")
    },
    **{(f"ascl.{name}", "smoke"): beside(SMOKE, WIDE, f"{WITH_WIDE}, {SMOKE_IMAGES}") for name in ("table3", "table6")},
    ("ascl.figure2", "short"): beside(
        SHORT, CNN, f"{WITH_CNN}, {SHORT_IMAGES} on a cosine schedule (CNN: at a constant rate), bf16"
    ),
    ("ascl.figure2", "smoke"): beside(SMOKE, CNN, f"{WITH_CNN}, {SMOKE_IMAGES}"),
    ("clae", "short"): replace(
        SHORT,
        label="short: WideResNet-10-1 (ResNet-50 and 101: WideResNet-16-1 and 22-1), 5,000 training images of at most 32 "
        "pixels, 8 epochs and batch 64 for the method's published ones (others in proportion), bf16, 5,000 test images",
        encoders=DEEPER,
        schedule=STEPS_TO_COSINE,
        batch_size=64,
        in_proportion=True,
        image_size=32,
        train_images=5000,
        test_images=5000,
    ),
    ("clae", "smoke"): replace(
        SMOKE,
        label="smoke: WideResNet-10-1 (ResNet-50 and 101: WideResNet-16-1 and 22-1), 128 training images of at most 16 "
        "pixels, 1 epoch and batch 64 for the method's published ones (others in proportion), bf16",
        encoders=DEEPER,
        schedule=STEPS_TO_COSINE,
        in_proportion=True,
        image_size=16,
        train_images=128,
    ),
    ("trust", "full"): Budget("full", "full: a CNN of 0.13 million parameters, all training images, 30 epochs"),
    ("trust", "short"): Budget(
        "short",
        "short: a CNN of 0.13 million parameters, 20,000 training images, 10 epochs",
        epochs=10,
        train_images=20_000,
    ),
    ("trust", "smoke"): Budget(
        "smoke",
        "smoke: the same CNN, 1,000 training images of 16 pixels, 4 epochs, the square attack in AutoAttack's place",
        epochs=4,
        image_size=16,
        train_images=1000,
        steps=5,
        attacked=20,
        strongest=20,
        looked=20,
        seeds=1,
        report=False,
    ),
}
"""By the beginning of a recipe's name, or all of it, and the common size's."""

TOLD_APART: Mapping[str, Callable[[RunConfig], object]] = {
    "encoder": lambda run: run.encoder.name,
    "batch size": lambda run: run.training.batch_size,
    "epochs": lambda run: run.training.epochs,
    "epochs of logistic regression": lambda run: run.evaluation.logistic_epochs,
}
"""Settings that a size changes and by which rows are told apart, in their names, in claims and on axes."""


def stand_ins(budget: Budget, rows: Iterable[Row]) -> str:
    """What ran where the paper's size is named: batch size 16 for 64, 32 for 128; empty where no setting tells rows apart."""
    runs, said = [(FULL.scaled(row.run), budget.scaled(row.run)) for row in rows], []
    for name, read in TOLD_APART.items():
        ours = {read(paper): read(run) for paper, run in runs}
        if len(set(ours.values())) > 1 and any(theirs != own for theirs, own in ours.items()):
            said.append(f"{name} {', '.join(f'{own} for {theirs}' for theirs, own in ours.items())}")
    return "; ".join(said)
