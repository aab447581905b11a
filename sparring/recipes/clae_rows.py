"""The rows that CLAE's tables and figures share: who is trained how, at the paper's size.

Paper: Ho & Vasconcelos 2020, "Contrastive Learning with Adversarial Examples" (CLAE, 001), section 4, and its supplement
       (000). eps 0 is the method without an adversary. Radii are in units of the normalised input, unclipped, so that 0.03
       is 3.8/255 for SimCLR and 1.5/255 for Plain and UEL.
Settings are those of the published code (chihhuiho/CLAE) where the paper differs or is silent: Plain and UEL batch 128, 301
epochs (tiny-ImageNet 100), SGD; SimCLR batch 256 (128), 100 epochs, Adam. Measured as published, and labelled so: kNN on the
embedding z, logistic regression at its best TEST epoch; "logistic, last epoch" beside it looks at no test image before the
end. Differs from the paper: Plain and UEL are measured after their last epoch, not after that of the best test kNN.
Differs from the usual training at 224 pixels (tiny-ImageNet, whose images are square, loses nothing by it): views are cropped
from the centre square of an image, its shorter side brought to 224 pixels, not from the whole image.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from sparring.config import (
    DataConfig,
    EncoderConfig,
    EvaluationConfig,
    MethodConfig,
    RunConfig,
    TrainingConfig,
)
from sparring.recipes.claims import Claim
from sparring.recipes.drawing import OverRows
from sparring.recipes.paper import printed
from sparring.recipes.recipe import Column, Recipe, Row, derived

SIMCLR = RunConfig(
    method=MethodConfig(name="simclr"),
    data=DataConfig(name="cifar10"),
    encoder=EncoderConfig(name="resnet18"),
    training=TrainingConfig(checkpoint_every=10, probe_every=0),
)
PLAIN = derived(SIMCLR, {"method.name": "plain"})
UEL = derived(SIMCLR, {"method.name": "uel"})
BASES = {"Plain": PLAIN, "UEL": UEL, "SimCLR": SIMCLR}
RADII = (0.0, 0.03, 0.07)
"""Of Table 1 and the supplement's tables."""
EPS = 0.03

CIFAR100: Mapping[str, object] = {"data.name": "cifar100"}
TINY: Mapping[str, object] = {
    "data": DataConfig(name="tiny-imagenet", image_size=224),
    "encoder": EncoderConfig(name="torchvision:resnet18", mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
    "training.epochs": 100,
    "training.batch_size": 128,
    "evaluation": EvaluationConfig(logistic_epochs=200),
}
"""What changes on tiny-ImageNet: images brought to 224 pixels, ResNet-18 with its 7x7 stem and max-pooling."""
SIMCLR_100, SIMCLR_TINY = derived(SIMCLR, CIFAR100), derived(SIMCLR, TINY)


def against(run: RunConfig, eps: float | int = EPS, **options: object) -> RunConfig:
    """`run` with CLAE on top: an adversarial view of radius `eps`; `options` are CLAE's own. eps 0 is `run` itself."""
    if not eps:
        return run
    return derived(run, {"method": MethodConfig(name="clae", base=run.method.name, **options), "attack.eps": eps})  # type: ignore[arg-type]


def name_of(base: str, eps: float | int, more: str = "") -> str:
    """A row's name."""
    return f"{base}{f'+CLAE, eps {eps:g}' if eps else ''}{f', {more}' if more else ''}"


def method_of(base: str, eps: float | int) -> str:
    """The method's name in paper_results.yaml."""
    return f"{base}+CLAE" if eps else base


KNN = Column("knn", "knn_top1")
LOGISTIC = Column("logistic", "lr_top1")
LAST = Column("logistic, last epoch")
DRAWN = (Column("logistic"), LAST)
"""Of figures without numbers."""
LR = ("logistic",)
"""The measure on which a claim about logistic regression is judged: the paper's, of the best test epoch. That of the last epoch
is the same training read once more and nearly the same number; it stands beside it in every table, without a verdict."""
COST = "ResNet-18 at 32 pixels, 100 epochs: about 1 (SimCLR) or 2 (with CLAE) GPU hours a row (estimated, not run)"
COST_TINY = (
    "ResNet-18 at 224 pixels, 100 epochs: about 10 (SimCLR) or 25 (with CLAE) GPU hours a row (estimated, not run)"
)


def grid(
    table: str, run: RunConfig, setting: str, values: Mapping[str, tuple[Any, Mapping[str, object]]]
) -> tuple[Row, ...]:
    """SimCLR at three radii for each of `values`: a name, the value of `setting` in a table of the supplement, changes."""
    return tuple(
        Row(
            name_of("SimCLR", eps, name),
            against(derived(run, changes), eps),
            printed(table, method_of("SimCLR", eps), eps=eps, **{setting: value}),
        )
        for name, (value, changes) in values.items()
        for eps in RADII
    )


over = partial(OverRows, columns=(LOGISTIC,), what={"knn": "kNN", "logistic": "Logistic regression"})
"""The drawing of a figure: accuracy of logistic regression over a setting of the rows."""


def places(values: Mapping[str, float | int | str]) -> dict[str, tuple[str, float | int | str]]:
    """Of a `grid`: a line a radius, over what stands for each of its values."""
    return {name_of("SimCLR", eps, name): (name_of("SimCLR", eps), x) for eps in RADII for name, x in values.items()}


def better_at_each(values: Mapping[str, Any], where: str) -> tuple[Claim, ...]:
    """CLAE is better than SimCLR at every value of a `grid`, at both radii."""
    return tuple(
        Claim(
            name_of("SimCLR", eps, name),
            name_of("SimCLR", 0, name),
            f"CLAE at {eps:g} is better than SimCLR, {name} ({where})",
            LR,
        )
        for name in values
        for eps in RADII
        if eps
    )


def rising(values: Mapping[str, Any], where: str) -> tuple[Claim, ...]:
    """The last value of a `grid` is better than the first, at every radius."""
    first, *_, last = values
    return tuple(
        Claim(
            name_of("SimCLR", eps, last),
            name_of("SimCLR", eps, first),
            f"{name_of('SimCLR', eps)}: {last} better than {first} ({where})",
            LR,
        )
        for eps in RADII
    )


on_cifar100 = partial(Recipe, columns=(LOGISTIC, LAST), protocols=("logistic",), version="paper", cost=COST)
"""A recipe about SimCLR on CIFAR-100, as the paper's ablations are."""
on_tiny = partial(Recipe, columns=(LOGISTIC, LAST), protocols=("logistic",), version="paper", cost=COST_TINY)
"""The same on tiny-ImageNet."""
