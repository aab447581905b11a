"""A complete, checked configuration: every None is filled in from the method's paper, every wrong value is refused.

`resolve(resolve(config)) == resolve(config)`, so the config.yaml of a run reruns it.
"""

from __future__ import annotations

import copy
from typing import Any

from sparring.config import RunConfig
from sparring.data import about
from sparring.training import removal
from sparring.training.build import (
    BASE,
    BASES,
    METHODS,
    attack_config,
    build_attack,
    build_method,
    choose,
    has_attack,
    has_base,
    has_two_norms,
    options_of,
    pairs_name,
)
from sparring.training.check import check
from sparring.training.defaults import KNN_K, normalisation
from sparring.training.demo import DIGITS
from sparring.training.launch import is_first
from sparring.training.resume import resumed
from sparring.training.run_folder import check_out

LOGISTIC_EPOCHS = 1000
"""CLAE's published evaluation on CIFAR."""
KNN_TEMPERATURE = 0.1
"""Of methods whose loss has none."""


def resolve(config: RunConfig) -> RunConfig:
    """`config` with every None that a run depends on filled in from the method's `settings` and the data set.

    The embedded digits take the small settings of demo.py instead of the paper's. Only `encoder.hidden` (h's width),
    the data's folders, limits and (for image folders) size, `out`, `resume` and `init_from` may stay None.
    Raises ValueError with one sentence that names the field, its value and what is allowed.
    """
    config = copy.deepcopy(config)
    if config.resume is not None:
        if config.init_from is not None:
            raise ValueError(
                f"resume ({config.resume}) and init_from ({config.init_from}) exclude each other: resume continues a "
                "run, init_from starts a new one from its weights"
            )
        config = resumed(config)
    elif is_first():  # another process may come after the first has made the folder
        check_out(config)
    _method(config)
    _attack(config)
    method = build_method(config)
    _data(config, method.settings)
    _encoder(config, method.settings)
    _optimizer(config, method.settings.of(config.encoder.name))
    _evaluation(config, getattr(method, "base", method))
    check(config, needs_labels(config))
    return config


def needs_labels(config: RunConfig) -> bool:
    """Whether the method, or the pairs chosen for it, need class labels."""
    if removal.removes(config):
        return False
    return build_method(config).needs_labels or config.method.pairs not in (None, "same_image")


def _method(config: RunConfig) -> None:
    method = config.method
    name = choose("method.name", method.name, METHODS)
    allowed = options_of(METHODS[name])
    if has_base(name):
        method.base = choose("method.base", method.base or BASE, BASES)
        allowed |= options_of(METHODS[method.base])
    for option in sorted(set(vars(method)) - {"name", "preset"}):
        value = getattr(method, option)
        if value is not None and option not in allowed:
            whom = f"{name} over {method.base}" if has_base(name) else name
            raise ValueError(f"method.{option} is {value!r}, but {whom} has no such option (it has {_list(allowed)})")
    if method.preset != "paper" and "preset" not in allowed:
        raise ValueError(f"method.preset is {method.preset!r}, but {name} is the same in paper and published code")
    for option, value in vars(method).items():
        positive = option in ("alpha", "temperature")
        if (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and not (value > 0 if positive else value >= 0)
        ):
            raise ValueError(f"method.{option} must be {'more than 0' if positive else 'at least 0'}, not {value}")
    if not has_attack(config) and config.attack != type(config.attack)():
        given = {key: value for key, value in vars(config.attack).items() if value is not None}
        key, value = next(iter(given.items()))
        other = f"clae over {name}" if name in BASES else "mode ds" if method.mode else "adversarial_training"
        whom = f"{name} in mode {method.mode}" if method.mode else name
        raise ValueError(f"attack.{key} is {value!r}, but {whom} has no attack; {other} has one")
    removal.fill(config)
    built = build_method(config)
    for part in (built, getattr(built, "base", built)):
        for option in options_of(type(part)) - {"base", "pairs", "preset"}:
            setattr(method, option, getattr(part, option))
        if hasattr(part, "pairs"):
            method.pairs = pairs_name(part.pairs)


def _list(options: set[str]) -> str:
    return ", ".join(sorted(options)) or "none"


def _attack(config: RunConfig) -> None:
    if has_attack(config):
        config.attack = attack_config(build_attack(config))


def _data(config: RunConfig, settings: Any) -> None:
    data, demo = config.data, config.data.name == "digits"
    size = about(data.name).image_size
    data.image_size = size if data.image_size is None else data.image_size
    data.views = data.views or (DIGITS.views if demo else settings.views)


def _encoder(config: RunConfig, settings: Any) -> None:
    encoder, demo = config.encoder, config.data.name == "digits"
    encoder.name = encoder.name or (DIGITS.encoder if demo else settings.encoder)
    encoder.head = encoder.head or settings.head
    encoder.dim = settings.dim if encoder.dim is None else encoder.dim
    encoder.adv_momentum = settings.adv_momentum if encoder.adv_momentum is None else encoder.adv_momentum
    if encoder.head == settings.head and encoder.hidden is None:
        encoder.hidden = settings.hidden
    mean, std = normalisation(config)
    encoder.mean = mean if encoder.mean is None else encoder.mean
    encoder.std = std if encoder.std is None else encoder.std


def _optimizer(config: RunConfig, settings: Any) -> None:
    optimizer, training, demo = config.optimizer, config.training, config.data.name == "digits"
    if demo and optimizer.name is None and optimizer.schedule is None:
        optimizer.name, optimizer.schedule = DIGITS.optimizer, "constant"
        optimizer.lr = DIGITS.lr if optimizer.lr is None else optimizer.lr
        optimizer.weight_decay = 0.0 if optimizer.weight_decay is None else optimizer.weight_decay
    training.epochs = (DIGITS.epochs if demo else settings.epochs) if training.epochs is None else training.epochs
    training.batch_size = (
        (DIGITS.batch_size if demo else settings.batch_size) if training.batch_size is None else training.batch_size
    )
    own = optimizer.name in (None, settings.optimizer)
    if not own and optimizer.lr is None:
        raise ValueError(
            f"optimizer.lr must be given with optimizer.name {optimizer.name}: {config.method.name}'s paper gives "
            f"{settings.lr} for {settings.optimizer}"
        )
    optimizer.name = optimizer.name or settings.optimizer
    for key in ("lr", "momentum", "weight_decay", "schedule"):
        if getattr(optimizer, key) is None:
            setattr(optimizer, key, getattr(settings, key))
    stepped = optimizer.schedule == "step"
    for key in ("milestones", "factors"):
        if getattr(optimizer, key) is None:
            setattr(optimizer, key, list(getattr(settings, key)) if stepped else [])
    if optimizer.warmup_epochs is None:
        # At most a tenth of a short run warms up, whatever the paper's long one does.
        paper = settings.warmup_epochs if optimizer.schedule == settings.schedule else 0
        optimizer.warmup_epochs = min(paper, max(training.epochs or 0, 0) // 10)


def _evaluation(config: RunConfig, base: Any) -> None:
    evaluation, demo = config.evaluation, config.data.name == "digits"
    evaluation.knn_k = KNN_K if evaluation.knn_k is None else evaluation.knn_k
    if evaluation.knn_temperature is None:
        evaluation.knn_temperature = getattr(base, "temperature", KNN_TEMPERATURE)
    settings = base.settings
    if evaluation.domain is None:
        evaluation.domain = settings.domain if has_two_norms(config) else "clean"
    evaluation.knn_features = evaluation.knn_features or settings.features
    evaluation.logistic_features = evaluation.logistic_features or settings.features
    if evaluation.logistic_batch_size is None:
        evaluation.logistic_batch_size = settings.logistic_batch_size
    if evaluation.logistic_epochs is None:
        evaluation.logistic_epochs = DIGITS.logistic_epochs if demo else LOGISTIC_EPOCHS
