"""A threat model in one sentence, for reports."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sparring.attacks.autoattack import AutoAttack
from sparring.attacks.classifier import ClassifierAttack, MultiTargeted, Untargeted
from sparring.attacks.gradient import FFGSM, PGD, GradientAttack
from sparring.attacks.threat import L1, L2, Linf, Threat


def describe(attack: GradientAttack | ClassifierAttack, std: Sequence[float] | None = None) -> str:
    """As "FGSM, Linf, eps 0.03 in normalised units (3.8/255 to 3.9/255 in pixels), not clipped".

    For attacks on classifiers also what they maximise, as "..., maximises cross-entropy, 5 restarts".
    """
    if isinstance(attack, Untargeted):
        parts = [describe(attack.attack, std)]
        parts += [f"maximises {UNTARGETED[attack.objective]}"] * bool(attack.attack.step_lengths)
        parts += [f"{attack.restarts} restarts"] * (attack.restarts > 1)
    elif isinstance(attack, MultiTargeted):
        classes = {None: "every wrong class in turn", 1: "the highest-scored wrong class"}.get(
            attack.targets, f"the {attack.targets} highest-scored wrong classes in turn"
        )
        parts = [f"multi-targeted {describe(attack.attack, std)}", f"towards {classes}"]
        parts += [f"maximises {TARGETED[attack.objective]}"]
    elif isinstance(attack, AutoAttack):
        parts = autoattack(attack, std)
    elif isinstance(attack, GradientAttack):
        parts = gradient_attack(attack, std)
    else:
        parts = [type(attack).__name__, *within(attack.threat, std)]
    return ", ".join(parts)


UNTARGETED = {"cross_entropy": "cross-entropy", "margin": "the margin of the highest wrong logit", "dlr": "DLR"}
TARGETED = {"cross_entropy": "the target's log-probability", "margin": "the target's margin", "dlr": "targeted DLR"}


def gradient_attack(attack: GradientAttack, std: Sequence[float] | None) -> list[str]:
    """Name, threat, steps and start."""
    threat = attack.threat
    parts = [type(attack).__name__, *within(threat, std)]
    if isinstance(attack, PGD):
        steps = f"{attack.steps} step{'s' * (attack.steps > 1)} of {amount(threat, attack.step_lengths[0])}"
        parts += [steps, start(attack)]
        parts += [f"{attack.restarts} restarts"] * (attack.restarts > 1)
    if isinstance(attack, FFGSM):
        parts.append(f"step {amount(threat, attack.step_lengths[0])}")
    if isinstance(threat, L1) and attack.step_lengths:
        parts.append(f"steps move {threat.sparsity:.3g} of the coordinates")
    parts.append("clipped to [0, 1]" if threat.clip else "not clipped")
    if attack.update_statistics:
        parts.append("running statistics updated")
    return parts


def start(attack: PGD) -> str:
    """Where it starts."""
    if not attack.random_start:
        return "start at x"
    beyond = "" if attack.clip_start or not attack.threat.clip else " that may leave [0, 1]"
    return "random start" + ("" if attack.start_std is None else f" N(0, {attack.start_std:g}^2)") + beyond


def autoattack(attack: AutoAttack, std: Sequence[float] | None) -> list[str]:
    """Standard or not, threat, members and budgets."""
    published = AutoAttack(attack.threat)
    budgets = ("members", "iterations", "queries")
    standard = all(getattr(attack, name) == getattr(published, name) for name in budgets)
    parts = ["AutoAttack standard" if standard else "members of AutoAttack", *within(attack.threat, std)]
    parts.append(" then ".join(attack.members))
    parts += [f"{attack.iterations} iterations"] * (set(attack.members) != {"square"})
    parts += [f"{attack.queries} queries"] * ("square" in attack.members)
    return [*parts, f"seed {attack.seed}", "clipped to [0, 1]"]


def within(threat: Threat, std: Sequence[float] | None) -> list[str]:
    """Norm and radius."""
    return [threat.norm, f"eps {amount(threat, threat.eps, std)}"]


def amount(threat: Threat, length: float, std: Sequence[float] | None = None) -> str:
    """A length in the threat's unit; normalised units with the pixels beside them if std is known."""
    if threat.space == "pixel":
        return pixels(threat, length)
    text = f"{length:.3g} in normalised units"
    if std is None:
        return text
    low, high = (pixels(threat, length * unit, digits=2) for unit in (min(std), max(std)))
    return f"{text} ({low if low == high else f'{low} to {high}'} in pixels)"


def pixels(threat: Threat, length: float, digits: int = 4) -> str:
    """255ths for Linf, plain numbers for the norms that sum over pixels."""
    return f"{255 * length:.{digits}g}/255" if isinstance(threat, Linf) else f"{length:.{digits}g}"


def check_radius(field: str, eps: float | int, norm: str, unit: float | int | None = None) -> None:
    """A ValueError for an Linf radius as large as the range of a pixel, such as 8 for 8/255.

    `unit` is one of normalised units in pixels; None is pixels. L2 and L1 depend on the size of images: see `beyond_box`.
    """
    if norm.lower() != "linf" or eps * (unit or 1) < 1:
        return
    words = "pixels of [0, 1]" if unit is None else f"normalised units, 1 of them {unit:g} in pixels"
    space = "" if unit is None else " with --space pixel"
    raise ValueError(
        f"{field} must be smaller than the range of an image, not {eps:g} (in {words}); for {eps:g} of 255 grey levels "
        f"write {eps:g}/255{space}"
    )


def beyond_box(threat: Threat, shape: Sequence[int] | None = None) -> str | None:
    """What it means that the ball around any image holds every image in [0, 1], as a sentence; None if it does not.

    For images of d coordinates it does from eps 1 (Linf), sqrt(d) (L2) or d (L1), in pixels. L2 and L1 need `shape`
    [C, H, W] to tell; None without it, and for normalised units.
    """
    d = None if shape is None else math.prod(shape)
    if isinstance(threat, Linf):
        reach = 1.0
    elif d is not None:
        reach = math.sqrt(d) if isinstance(threat, L2) else float(d)
    else:
        return None
    if threat.space != "pixel" or threat.eps < reach:
        return None
    return (
        f"{threat.norm} eps {amount(threat, threat.eps)} is as large as the box ({pixels(threat, reach)}): every image "
        "in [0, 1] can be reached from every other, so that no classifier can be right more often than by always "
        "answering the same class."
    )
