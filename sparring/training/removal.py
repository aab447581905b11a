"""Removal of suspected false negatives, from the words of a configuration: which selector, with which options."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from sparring.config import RemovalConfig, RunConfig
from sparring.data import about
from sparring.pairs import Frequency, Precision, PseudoLabels, Recall

SELECTORS: dict[str, type] = {
    "frequency": Frequency,
    "precision": Precision,
    "recall": Recall,
    "pseudo_labels": PseudoLabels,
}
"""Pair selectors with options of their own, the group `removal.`."""
CHOICES = {"unit": ("instance", "view"), "replacement": ("none", "resample", "rescale")}
REPLACES = ("rocl", "acl")
"""Methods whose paper replaces what it removes: A-RoCL and A-ACL."""
STAND_FOR_OTHERS = ("rocl", "clae")
"""Methods in which the adversarial view stands for the clean one: only whole images can be removed."""


def removes(config: RunConfig) -> bool:
    """Whether suspected false negatives are removed."""
    return config.method.pairs in SELECTORS


def has_two_stages(config: RunConfig) -> bool:
    """Whether pseudo-labels are made by a first stage."""
    return config.method.pairs == "pseudo_labels"


def without_removal(config: RunConfig) -> RunConfig:
    """The same run with the pairs of the same image, for what looks at a trained method's loss."""
    if not removes(config):
        return config
    return replace(config, method=replace(config.method, pairs="same_image"), removal=RemovalConfig())


def build_selector(config: RunConfig) -> Any:
    """The selector that `method.pairs` and `removal` describe. Raises ValueError as `check_options` does."""
    check_options(config)
    cls = SELECTORS[str(config.method.pairs)]
    given = {key: getattr(config.removal, key) for key in _own(cls)}
    if given["replacement"] is None:
        given["replacement"] = "resample" if config.method.name in REPLACES else "none"
    if "classes" in given and given["classes"] is None:
        given["classes"] = about(config.data.name).classes
        if given["classes"] is None:
            raise ValueError(
                f"removal.classes must be given with method.pairs {config.method.pairs} and data.name "
                f"{config.data.name}: how many classes the images are assumed to have"
            )
    return cls(**{key: value for key, value in given.items() if value is not None})


def fill(config: RunConfig) -> None:
    """Fill in what `removal` leaves open, from the selector that it builds."""
    check_options(config)
    if removes(config):
        selector = build_selector(config)
        for key in _own(type(selector)):
            setattr(config.removal, key, getattr(selector, key))


def check_options(config: RunConfig) -> None:
    """A ValueError if an option is out of range, or is given and the chosen pairs do not have it."""
    pairs, removal = str(config.method.pairs), config.removal
    own = _options(pairs)
    for field in fields(RemovalConfig):
        value = getattr(removal, field.name)
        if value != field.default and field.name not in own:
            belongs = [name for name in SELECTORS if field.name in _options(name)]
            raise ValueError(
                f"removal.{field.name} is {value!r}, but method.pairs is {config.method.pairs or 'not set'}; it belongs to "
                f"method.pairs {' or '.join(belongs)}"
            )
    for key, least in (("every", 1), ("parts", 1), ("classes", 1), ("clusters", 2)):
        value = getattr(removal, key)
        if value is not None and value < least:
            raise ValueError(f"removal.{key} must be at least {least}, not {value}")
    for key, allowed in CHOICES.items():
        value = getattr(removal, key)
        if value is not None and value not in allowed:
            raise ValueError(f"removal.{key} must be one of {', '.join(allowed)}, not {value!r}")
    if removal.unit == "view" and config.method.name in STAND_FOR_OTHERS:
        raise ValueError(
            f"removal.unit is 'view', but in {config.method.name} one view stands for another, so that only whole images "
            "can be removed: choose instance"
        )


def _options(pairs: str) -> set[str]:
    """The fields of RemovalConfig that pairs of this name have."""
    if pairs not in SELECTORS:
        return set()
    return _own(SELECTORS[pairs]) | ({"clusters", "stage_1"} if pairs == "pseudo_labels" else set())


def _own(cls: type) -> set[str]:
    return {field.name for field in fields(cls)}
