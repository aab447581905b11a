"""Adversarial attacks on any objective: threat models, the gradient attacks that move within them, and what an attack on
a classifier makes of them."""

from sparring.attacks.autoattack import AutoAttack, AutoAttacked
from sparring.attacks.classifier import ClassifierAttack, MultiTargeted, Untargeted
from sparring.attacks.describe import beyond_box, check_radius, describe
from sparring.attacks.gradient import FFGSM, FGSM, PGD, RFGSM, RandomNoise
from sparring.attacks.presets import PRESETS, preset
from sparring.attacks.threat import L1, L2, Linf, Threat

__all__ = [
    "FFGSM",
    "FGSM",
    "L1",
    "L2",
    "PGD",
    "PRESETS",
    "RFGSM",
    "AutoAttack",
    "AutoAttacked",
    "ClassifierAttack",
    "Linf",
    "MultiTargeted",
    "RandomNoise",
    "Threat",
    "Untargeted",
    "beyond_box",
    "check_radius",
    "describe",
    "preset",
]
