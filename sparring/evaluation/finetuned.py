"""Finetuning protocols by the names that the command line uses, and the figure that each gives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from sparring.config import EvaluationConfig
from sparring.evaluation.aff import AFF, AFFSingle, CleanFinetuning
from sparring.evaluation.classifier import OnFeatures
from sparring.evaluation.finetuning import Finetuning
from sparring.evaluation.intervals import wilson
from sparring.evaluation.linear_evaluation import Linear003, Linear003SupCon, RoCLLinear, RoCLRobustLinear
from sparring.evaluation.protocols import CONFIDENCE
from sparring.evaluation.robust import Progress, device_of, full_precision
from sparring.evaluation.semi_supervised import Semi1, Semi10
from sparring.evaluation.slf import ALF, SLF
from sparring.types import Domain, Encoder

FINETUNED: dict[str, type[Finetuning]] = {
    protocol.name: protocol
    for protocol in (
        SLF,
        ALF,
        AFF,
        AFFSingle,
        CleanFinetuning,
        Semi1,
        Semi10,
        Linear003,
        Linear003SupCon,
        RoCLLinear,
        RoCLRobustLinear,
    )
}


def finetuning(
    name: str,
    config: EvaluationConfig,
    encoder: Encoder,
    *,
    domain: Domain | None = None,
    version: str = "default",
    seed: int = 0,
) -> Finetuning:
    """The protocol `name` under `config`: its domain (`domain` overrules it) and `finetune_epochs`.

    AFF and its like have the domain that their definition gives for this encoder: the adversarial norm where there is one.
    `version="paper"` reports the best test epoch where the published code does.
    """
    kind = FINETUNED[name]
    where = AFF.domain_of(encoder) if issubclass(kind, AFF) else domain or config.domain or "clean"
    protocol = kind(where, seed=seed)
    if config.finetune_epochs is not None:
        protocol = protocol.shortened(config.finetune_epochs)
    if version == "paper" and isinstance(protocol, Linear003):
        protocol = replace(protocol, selection="best test epoch")
    return protocol


def fit_and_measure(
    protocol: Finetuning,
    encoder: Encoder,
    train: tuple[UInt8[Tensor, "n C H W"], Int[Tensor, " n"]],
    test: tuple[UInt8[Tensor, "m C H W"], Int[Tensor, " m"]],
    classes: int,
    *,
    progress: Progress | None = None,
) -> tuple[OnFeatures, dict[str, Any]]:
    """The classifier after the last epoch, and what results.json says of it: clean accuracy, and all that it depends on."""
    curve: list[float] = []
    model = protocol.fit(
        encoder,
        *train,
        classes=classes,
        after_epoch=None
        if protocol.selection == "last epoch"
        else lambda epoch, model: curve.append(clean_accuracy(model, *test)),
        progress=progress,
    )
    last, n = clean_accuracy(model, *test), len(test[1])
    fraction = max(curve, default=last)
    chosen = {"best_epoch": 1 + curve.index(fraction), "last_epoch_accuracy": last} if curve else {}
    return model, {
        "protocol": protocol.label,
        "accuracy": fraction,
        "interval": list(wilson(round(fraction * n), n, CONFIDENCE)),
        "confidence": CONFIDENCE,
        "n_train": len(train[1]),
        "n_test": n,
        "classes": classes,
        **{key: value for key, value in protocol.settings.items() if key != "version"},
        **chosen,
    }


@torch.no_grad()
def clean_accuracy(
    model: OnFeatures, images: UInt8[Tensor, "n C H W"], labels: Int[Tensor, " n"], *, batch_size: int = 512
) -> float:
    """Fraction in [0, 1] of uint8 images whose highest logit is their label's, in float32."""
    place, right = device_of(model, images), 0
    with full_precision(place):
        for x, y in zip(images.split(batch_size), labels.split(batch_size), strict=True):
            right += int((model(_pixels(x, place)).argmax(dim=1).cpu() == y.cpu()).sum())
    return right / len(labels)


def _pixels(images: Tensor, place: torch.device) -> Float[Tensor, "n C H W"]:
    return images.to(place).float() / 255
