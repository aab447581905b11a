"""A threat model in one sentence, for reports."""

from __future__ import annotations

from collections.abc import Sequence

from sparring.attacks.gradient import FFGSM, PGD, GradientAttack
from sparring.attacks.threat import L1, Linf, Threat


def describe(attack: GradientAttack, std: Sequence[float] | None = None) -> str:
    """As "FGSM, Linf, eps 0.03 in normalised units (3.8/255 to 3.9/255 in pixels), not clipped"."""
    threat = attack.threat
    parts = [type(attack).__name__, threat.norm, f"eps {amount(threat, threat.eps, std)}"]
    if isinstance(attack, PGD):
        steps = f"{attack.steps} step{'s' * (attack.steps > 1)} of {amount(threat, attack.step_lengths[0])}"
        parts += [steps, "random start" if attack.random_start else "start at x"]
        parts += [f"{attack.restarts} restarts"] * (attack.restarts > 1)
    if isinstance(attack, FFGSM):
        parts.append(f"step {amount(threat, attack.step_lengths[0])}")
    if isinstance(threat, L1) and attack.step_lengths:
        parts.append(f"steps move {threat.sparsity:.3g} of the coordinates")
    parts.append("clipped to [0, 1]" if threat.clip else "not clipped")
    if attack.update_statistics:
        parts.append("running statistics updated")
    return ", ".join(parts)


def amount(threat: Threat, length: float, std: Sequence[float] | None = None) -> str:
    """A length in the threat's unit; normalised units with the pixels beside them if std is known."""
    if threat.space == "pixel":
        return pixels(threat, length)
    text = f"{length:.3g} in normalised units"
    if std is None:
        return text
    low, high = pixels(threat, length * min(std)), pixels(threat, length * max(std))
    return f"{text} ({low if low == high else f'{low} to {high}'} in pixels)"


def pixels(threat: Threat, length: float) -> str:
    """255ths for Linf, plain numbers for the norms that sum over pixels."""
    if not isinstance(threat, Linf):
        return f"{length:.3g}"
    levels = 255 * length
    return f"{levels:.2g}/255" if levels < 10 else f"{levels:.3g}/255"
