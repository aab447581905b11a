"""What the supervised methods share: how they are trained, and how they make adversarial examples.

All of them train one batch norm (every forward is "clean") and a classifier on the representation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from sparring.attacks import PGD, Linf
from sparring.methods.settings import Settings
from sparring.types import Attack, Batch, Classifying, Images

AttackMode = Literal["train", "eval"]
"""Which statistics batch norms use inside the attack: the batch's, as ASCL's authors argue, or the running ones (Madry)."""

RESNET20 = Settings(
    views="shift-flip",
    head="none",
    dim=64,
    optimizer="adam",
    lr=1e-3,
    schedule="step",
    milestones=(80, 120, 160),
    factors=(0.1, 0.01, 0.001),
    batch_size=128,
    epochs=200,
    encoder="resnet20",
)
LARGER = replace(
    RESNET20, encoder="resnet18", optimizer="sgd", lr=0.1, weight_decay=5e-4, milestones=(100, 150), factors=(0.1, 0.01)
)
CNN = replace(RESNET20, encoder="cnn", schedule="constant", milestones=(), factors=())
SETTINGS = replace(RESNET20, others=(("resnet18", LARGER), ("wrn-", LARGER), ("cnn", CNN)))
"""ASCL's section 6: ResNet-20 with Adam (after Pang et al. 2019), ResNet-18 and WideResNets with SGD (after Pang et al. 2020;
its "momentum 5e-4" is the weight decay, the momentum is 0.9 as in the published code), the CNN with Adam at one rate."""


def training_attack() -> PGD:
    """ASCL section 4.1, CIFAR-10: 10 steps of 2/255 within 8/255, from a random start (CIFAR-100: 0.001 within 0.01)."""
    return PGD(Linf(8 / 255), steps=10, step_size=2 / 255)


def labels_of(batch: Batch) -> Int[Tensor, " B"]:
    """The labels, or a ValueError."""
    if batch.labels is None:
        raise ValueError("labels is None, but a supervised method needs one label an image")
    return batch.labels


def perturb(
    encoder: Classifying,
    attack: Attack,
    x: Images,
    batch: Batch,
    value: Callable[[Float[Tensor, "B K"]], Float[Tensor, " B"]],
    mode: AttackMode,
) -> Images:
    """x^a = argmax of `value` of the class scores, one value an image."""

    def objective(x_adv: Tensor) -> Tensor:
        return value(encoder.outputs(x_adv).logits)[batch.first : batch.first + len(x_adv)]

    with evaluating(encoder, mode == "eval"):
        return attack(objective, x, std=encoder.std, generator=batch.generator)


def cross_entropy_of(labels: Int[Tensor, " B"]) -> Callable[[Tensor], Tensor]:
    """Cross-entropy against `labels`, one value an image."""
    return lambda logits: functional.cross_entropy(logits, labels, reduction="none")


@contextmanager
def evaluating(encoder: Any, wanted: bool) -> Iterator[None]:
    """Evaluation mode for a block if `wanted`; every module gets its own mode back."""
    modes = [(module, module.training) for module in encoder.modules()] if wanted else []
    try:
        for module, _ in modes:
            module.training = False
        yield
    finally:
        for module, training in modes:
            module.training = training


def count_accuracy(batch: Batch, **logits: Float[Tensor, "B K"]) -> None:
    """Log the accuracy on this batch's images as `clean_accuracy`, `adversarial_accuracy`, ..."""
    labels = labels_of(batch)
    for name, scores in logits.items():
        batch.counts[f"{name}_accuracy"] = (scores.detach().argmax(dim=1) == labels).float().mean()
