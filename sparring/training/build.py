"""From the words of a configuration to the method and the attack that they name."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from dataclasses import asdict, fields, replace
from typing import Any

from sparring import methods
from sparring.attacks import FFGSM, FGSM, L1, L2, PGD, RFGSM, Linf, RandomNoise
from sparring.config import AttackConfig, RunConfig
from sparring.pairs import hard, leaked, leaked_official, same_image, same_label, soft
from sparring.training.removal import SELECTORS, build_selector, has_two_stages, removes
from sparring.types import Selector

METHODS: dict[str, type] = {
    cls.__module__.rpartition(".")[2]: cls
    for cls in sorted((getattr(methods, name) for name in methods.__all__), key=lambda cls: cls.__module__)
    if hasattr(cls, "settings")
}
"""Every method by the name of its file."""
BASES = [
    name for name, cls in METHODS.items() if hasattr(cls, "loss") and "attack" not in {own.name for own in fields(cls)}
]
"""Methods without an attack whose loss is a function of two views' embeddings, so that others can stand on them."""
NEED_PREDICTIONS: dict[str, Selector] = {
    "hard": hard,
    "soft": soft,
    "leaked": leaked,
    "leaked_official": leaked_official,
}
"""Pair selectors that ask a classifier."""
PAIRS: dict[str, Selector | type] = {
    "same_image": same_image,
    "same_label": same_label,
    **NEED_PREDICTIONS,
    **SELECTORS,
}
"""Pair selectors by name; those that remove false negatives are classes, whose options are `removal`."""
ATTACKS: dict[str, type] = {"fgsm": FGSM, "rfgsm": RFGSM, "ffgsm": FFGSM, "pgd": PGD, "noise": RandomNoise}
BASE = "simclr"
"""The base of a method that stands on one, if none is named."""
THREATS: dict[str, type] = {"linf": Linf, "l2": L2, "l1": L1}


def choose(field: str, value: str, allowed: Iterable[str]) -> str:
    """`value` if it is allowed; else a ValueError that names the field, the value and the nearest allowed one."""
    allowed = list(allowed)
    if value in allowed:
        return value
    near = difflib.get_close_matches(value.lower(), allowed, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"{field} must be one of {', '.join(allowed)}, not {value!r}{hint}")


def options_of(cls: type) -> set[str]:
    """The fields of a method or attack class that a configuration can set."""
    return {field.name for field in fields(cls)} - {"attack", "threat"}


def has_two_norms(config: RunConfig) -> bool:
    """Whether the method keeps a second batch norm for adversarial images."""
    return getattr(build_method(config), "dual", False)


def needs_views(config: RunConfig) -> int:
    """How many views of an image the method takes."""
    return getattr(METHODS[config.method.name], "needs_views", 2)


def classifies(config: RunConfig) -> bool:
    """Whether the method trains a classifier on the representation."""
    return getattr(METHODS[config.method.name], "classifies", False)


def clusters(config: RunConfig) -> bool:
    """Whether the method compares embeddings with prototypes."""
    return "prototypes" in options_of(METHODS[config.method.name])


def embeds(config: RunConfig) -> bool:
    """Whether the method's loss compares embeddings, so that a head is trained."""
    return "temperature" in options_of(METHODS[config.method.name]) or has_base(config.method.name)


def has_base(name: str) -> bool:
    """Whether the method stands on another one."""
    return _has("base", METHODS[name])


def has_attack(config: RunConfig) -> bool:
    """Whether the method trains against an attack."""
    return _has("attack", METHODS[config.method.name]) and config.method.mode != "s2s"


def _has(field: str, cls: type) -> bool:
    return field in {own.name for own in fields(cls)}


def _options(cls: type, config: RunConfig) -> dict[str, Any]:
    own = options_of(cls) - {"base"}
    given = {key: value for key, value in asdict(config.method).items() if key in own and value is not None}
    if "pairs" in given:
        given["pairs"] = build_selector(config) if removes(config) else PAIRS[given["pairs"]]
    return given


def build_method(config: RunConfig) -> Any:
    """The method that `config.method` and `config.attack` describe; None is the method's default."""
    method = config.method
    name = choose("method.name", method.name, METHODS)
    if method.pairs is not None:
        choose("method.pairs", method.pairs, PAIRS)
        if method.pairs in NEED_PREDICTIONS and not classifies(config):
            raise ValueError(
                f"method.pairs is {method.pairs}, which asks a classifier for predictions, but {name} trains none"
            )
        if removes(config) and classifies(config):
            raise ValueError(
                f"method.pairs is {method.pairs}, which suspects false negatives where there are no labels, but {name} "
                "has labels: same_label has no false negatives"
            )
    _check_removal(config, name, "simclr")
    given = _options(METHODS[name], config)
    if has_base(name):
        base = METHODS[choose("method.base", method.base or BASE, BASES)]
        _check_removal(config, str(method.base or BASE), f"{name} --base simclr")
        given["base"] = base(**_options(base, config))
    if has_attack(config):
        given["attack"] = build_attack(config)
    return METHODS[name](**given)


def _check_removal(config: RunConfig, name: str, instead: str) -> None:
    """A ValueError for SupCon on pairs that know no labels; clusters are labels."""
    if METHODS[name].needs_labels is True and removes(config) and not has_two_stages(config):
        raise ValueError(
            f"method.pairs is {config.method.pairs}, which starts from the pairs of the same image, but {name} is about "
            f"images of the same label: train {instead} --pairs {config.method.pairs}"
        )


def pairs_name(selector: Any) -> str:
    """The configuration's name of a pair selector."""
    return next(name for name, known in PAIRS.items() if selector is known or type(selector) is known)


def build_attack(config: RunConfig) -> Any:
    """The method's own attack with the fields that `config.attack` gives replaced.

    A step size that is not given grows with the radius, and without the method's number of steps is 2.5 eps / steps.

    Raises ValueError for a method without an attack, for another norm without a radius of its own (0.03 in Linf says
    nothing about L2), and for an option that the attack does not have.
    """
    if not has_attack(config):
        with_attack = ", ".join(name for name, cls in METHODS.items() if _has("attack", cls))
        raise ValueError(f"{config.method.name} has no attack: attack settings belong to {with_attack}")
    default: Any = METHODS[config.method.name]().attack
    given = config.attack
    for key in ("eps", "step_size"):
        value = getattr(given, key)
        if value is not None and not 0 < value < math.inf:
            raise ValueError(f"attack.{key} must be more than 0, such as 8/255, not {value}")
    for key in ("steps", "restarts"):
        value = getattr(given, key)
        if value is not None and value < 1:
            raise ValueError(f"attack.{key} must be at least 1, not {value}")
    threat, current = default.threat, type(default.threat)
    chosen = current if given.norm is None else THREATS[choose("attack.norm", given.norm, THREATS)]
    ball = {key: getattr(given, key) for key in ("eps", "space", "clip") if getattr(given, key) is not None}
    if given.space == "pixel":
        ball = {"clip": True} | ball  # radii in pixels are of images that stay images
    if chosen is not current:
        if given.eps is None:
            raise ValueError(f"attack.eps must be given with attack.norm {given.norm}: the default radius is for linf")
        threat = chosen(**({"space": threat.space, "clip": threat.clip} | ball))
    else:
        threat = replace(threat, **ball)
    name = given.name or name_of(default)
    cls = ATTACKS[choose("attack.name", name, ATTACKS)]
    steps = ("steps", "step_size", "random_start", "restarts", "update_statistics")
    settings = {key: getattr(given, key) for key in steps if getattr(given, key) is not None}
    uses_running_statistics = getattr(METHODS[config.method.name], "attack_mode", "train") == "eval"
    if config.method.preset == "official" and not uses_running_statistics:
        if given.update_statistics is False:
            raise ValueError(
                "attack.update_statistics is False, but method.preset official updates running statistics in the attack"
            )
        settings["update_statistics"] = True
    if cls is PGD and (settings.get("random_start", True) or given.start_std):
        # 0 in a configuration, whose None is the method's own, is the attack's None
        std = getattr(default, "start_std", None) if given.start_std is None else given.start_std
        settings["start_std"] = std or None
    elif given.start_std:
        settings["start_std"] = given.start_std
    if cls is FGSM and settings.pop("random_start", False):
        cls = FFGSM  # FGSM with a random start has a name of its own
    if cls is type(default) and "steps" in options_of(cls) and "steps" not in settings:
        settings["steps"] = default.steps
        if "step_size" not in settings and default.step_size is not None and chosen is current:
            settings["step_size"] = default.step_size * (threat.eps / default.threat.eps)
    for key in settings:
        if key not in options_of(cls):
            raise ValueError(f"attack.{key} is set to {settings[key]}, but {name} has no such option")
    if settings.get("restarts", 1) > 1 and not classifies(config):
        raise ValueError(
            f"attack.restarts must be 1 in training, not {settings['restarts']}: a contrastive loss is one value a "
            "batch, so no image has a best restart of its own"
        )
    return cls(threat=threat, **settings)


def name_of(attack: Any) -> str:
    """The configuration's name of an attack."""
    return next(name for name, cls in ATTACKS.items() if type(attack) is cls)


def attack_config(attack: Any) -> AttackConfig:
    """The configuration that builds `attack`, with nothing left to a default."""
    options = {
        key: getattr(attack, key) for key in options_of(type(attack)) if key in AttackConfig.__dataclass_fields__
    }
    if options.get("step_size", 0.0) is None:
        options["step_size"] = attack.step_lengths[0]
    if "start_std" in options:
        options["start_std"] = options["start_std"] or 0.0
    threat = attack.threat
    options["name"] = name_of(attack)
    options["norm"] = next(name for name, cls in THREATS.items() if type(threat) is cls)
    return AttackConfig(eps=threat.eps, space=threat.space, clip=threat.clip, **options)
