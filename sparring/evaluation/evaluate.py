"""A frozen encoder measured by named protocols on features that are computed once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from sparring.config import EvaluationConfig
from sparring.evaluation.features import Layer, features
from sparring.evaluation.finetuned import FINETUNED, finetuning, fit_and_measure
from sparring.evaluation.protocols import KNN, Linear, Logistic, Own, Split
from sparring.evaluation.robust import Progress
from sparring.measuring import PROTOCOLS
from sparring.types import Domain, Encoder

Version = Literal["default", "paper"]


@runtime_checkable
class LabelledImages(Protocol):
    """What evaluation needs of a data set: `sparring.data.ImageSet` has it."""

    @property
    def images(self) -> Tensor | Iterable[Tensor]:
        """uint8 [n C H W], or batches of them."""
        ...

    @property
    def labels(self) -> Tensor | None:
        """int64 [n], or None."""
        ...

    @property
    def classes(self) -> Sequence[str]:
        """Names of the classes."""
        ...

    @property
    def name(self) -> str:
        """The data set's name as figures show it."""
        ...


def protocols(
    config: EvaluationConfig, names: Sequence[str] = ("knn", "logistic"), *, version: Version = "default", seed: int = 0
) -> list[KNN | Logistic | Linear | Own]:
    """The protocols that `config` describes.

    `version="paper"` mimics CLAE's published evaluation: kNN on the embedding z, logistic regression of the best TEST
    epoch. Raises ValueError for an unknown name or version, and for kNN without a temperature.
    """
    if version not in ("default", "paper"):
        raise ValueError(f"protocol version must be 'default' or 'paper', not {version!r}")
    made: list[KNN | Logistic | Linear | Own] = []
    domain = config.domain or "clean"
    for name in names:
        if name == "knn":
            if config.knn_temperature is None:
                raise ValueError("evaluation.knn_temperature must be set; the papers use the training temperature")
            layer: Layer = "z" if version == "paper" else config.knn_features or "h"
            made.append(KNN(config.knn_temperature, config.knn_k or 200, layer, domain, version == "paper"))
        elif name == "logistic":
            made.append(
                Logistic(
                    epochs=config.logistic_epochs or 1000,
                    lr=config.logistic_lr,
                    batch_size=config.logistic_batch_size or 256,
                    seed=seed,
                    layer=config.logistic_features or "h",
                    domain=domain,
                    selection="best test epoch" if version == "paper" else "last epoch",
                )
            )
        elif name == "linear":
            made.append(Linear(seed=seed, layer=config.logistic_features or "h", domain=domain))
        elif name == "own":
            made.append(Own(domain=domain))
        else:
            raise ValueError(f"evaluation protocol must be one of {', '.join(PROTOCOLS)}, not {name!r}")
    return made


def evaluate(
    encoder: Encoder,
    train: LabelledImages,
    test: LabelledImages,
    config: EvaluationConfig,
    *,
    batch_size: int = 512,
    device: torch.device | str | None = None,
    domain: Domain | None = None,
    names: Sequence[str] = ("knn", "logistic"),
    version: Version = "default",
    seed: int = 0,
    classifiers: dict[str, nn.Module] | None = None,
    progress: Progress | None = None,
) -> dict[str, dict[str, Any]]:
    """One entry a protocol, in the order of `names`: accuracy as a fraction, its 95 % Wilson interval, and all that it
    depends on.

    `domain` overrules the configuration's. Features are computed once a layer and domain and fitted where `device` is.
    `classifiers`, if given, receives by protocol name the fitted layers (logistic, linear), the encoder's own (own), and the
    modules from images to logits that finetuning gives (slf, alf, aff, ...). `progress` is told of finetuning's epochs.
    The encoder stays as it is. Without labels an entry is `{"protocol": ..., "left_out": reason}`. Raises ValueError, before
    any work, for too few training images for k, and for an encoder or labels that a finetuning protocol refuses.
    """
    chosen = protocols(config, [name for name in names if name not in FINETUNED], version=version, seed=seed)
    finetuned = [
        finetuning(name, config, encoder, domain=domain, version=version, seed=seed)
        for name in names
        if name in FINETUNED
    ]
    kept: dict[str, Any] = {} if classifiers is None else classifiers
    if "own" in names:
        kept["own"] = own_classifier(encoder)
    if domain is not None:
        chosen = [replace(protocol, domain=domain) for protocol in chosen]
    if train.labels is None or test.labels is None:
        which = "training" if train.labels is None else "test"
        reason = f"the {which} images of {train.name} have no labels, so there is no class to predict"
        return {name: {"protocol": name, "left_out": reason, "data": test.name} for name in names}
    images = len(train.labels)
    for protocol in chosen:
        if isinstance(protocol, KNN) and images < protocol.k:
            raise ValueError(f"kNN needs at least k training images: knn_k is {protocol.k}, there are {images}")
    labels = train.labels
    classes = max(len(train.classes), 1 + int(train.labels.max()), 1 + int(test.labels.max()))
    for protocol in finetuned:
        protocol.check(encoder, labels.cpu(), classes)

    def split(images: LabelledImages, layer: Layer, domain: Domain) -> Split:
        rows = features(encoder, images.images, layer=layer, domain=domain, batch_size=batch_size, device=device)
        assert images.labels is not None
        return Split(rows.to(device or "cpu"), images.labels.to(device or "cpu"))

    splits: dict[tuple[Layer, Domain], tuple[Split, Split]] = {}
    results: dict[str, dict[str, Any]] = {}
    for protocol in chosen:
        key = (protocol.layer, protocol.domain)
        if key not in splits:
            splits[key] = split(train, *key), split(test, *key)
        results[protocol.name] = {"data": test.name} | protocol.measure(*splits[key], classes, kept)
    if finetuned:
        if device is not None and isinstance(encoder, nn.Module):
            encoder.to(device)
        sets = (in_memory(train), labels), (in_memory(test), test.labels)
        for protocol in finetuned:
            kept[protocol.name], entry = fit_and_measure(protocol, encoder, *sets, classes, progress=progress)
            results[protocol.name] = {"data": test.name} | entry
    return {name: results[name] for name in names}


def in_memory(images: LabelledImages) -> Tensor:
    """The images as one tensor."""
    return images.images if isinstance(images.images, Tensor) else torch.cat(list(images.images))


def own_classifier(encoder: Encoder) -> nn.Linear:
    """The classifier that was trained with the encoder; ValueError if there is none."""
    classifier = getattr(encoder, "classifier", None)
    if classifier is None:
        raise ValueError(
            "this encoder has no classifier of its own, which protocol own measures; choose knn, logistic or linear"
        )
    return classifier
