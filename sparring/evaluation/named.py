"""Attacks by the names that the command line and `RobustnessConfig` use."""

from __future__ import annotations

import re
from difflib import get_close_matches

from sparring.attacks import FGSM, L1, L2, PGD, AutoAttack, Linf, MultiTargeted, RandomNoise, Untargeted
from sparring.attacks.classifier import ClassifierAttack
from sparring.attacks.presets import PRESETS, preset
from sparring.measuring import RobustnessConfig

NORMS = {"linf": Linf, "l2": L2, "l1": L1}

ATTACKS = {
    "fgsm": "one step of length eps",
    "pgd": "projected gradient ascent from a random start; pgd-250 takes 250 steps",
    "mpgd": "multi-targeted PGD: towards every wrong class; robust only if all fail; mpgd-250 takes 250 steps",
    "autoattack": "AutoAttack standard: APGD-CE, targeted APGD, targeted FAB, Square",
    "square": "Square, a random search that needs no gradient",
    "noise": "random noise as large as the ball allows: the control",
}
STEPS = re.compile(r"(m?pgd)-(\d+)")


def attack_names() -> dict[str, str]:
    """Every attack on a classifier with one line about it, the papers' presets last."""
    return ATTACKS | PRESETS


def named_attack(name: str, config: RobustnessConfig) -> ClassifierAttack:
    """The attack that `name` means under `config`; a preset has its paper's radius, norm and steps.

    Raises ValueError for an unknown name, naming the nearest, and for settings that are no attack.
    """
    if name in PRESETS:
        return preset(name)
    counted = STEPS.fullmatch(name)
    if name not in ATTACKS and not counted:
        near = get_close_matches(name.lower(), attack_names(), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(
            f"robustness.attack must be one of {', '.join(ATTACKS)}, pgd-N, mpgd-N or a preset (sparring list "
            f"evaluation-attacks), not {name!r}{hint}"
        )
    if counted and not int(counted[2]):
        raise ValueError(f"robustness.attack is {name}, which takes no step; the number must be at least 1")
    threat = NORMS[config.norm](config.eps)
    kind, steps = (counted[1], int(counted[2])) if counted else (name, config.steps)
    if kind == "fgsm":
        return Untargeted(FGSM(threat), config.objective)
    if kind == "pgd":
        return Untargeted(PGD(threat, steps, config.step_size), config.objective, config.restarts)
    if kind == "mpgd":
        return MultiTargeted(PGD(threat, steps, config.step_size), targets=config.targets)
    if kind == "noise":
        return Untargeted(RandomNoise(threat))
    if kind == "square":
        return AutoAttack(threat, config.seed, ("square",), queries=config.square_queries, batch_size=config.batch_size)
    return AutoAttack(threat, config.seed, batch_size=config.batch_size)
