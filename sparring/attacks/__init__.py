"""Adversarial attacks on any objective: threat models, and the gradient attacks that move within them."""

from sparring.attacks.describe import describe
from sparring.attacks.gradient import FFGSM, FGSM, PGD, RFGSM, RandomNoise
from sparring.attacks.threat import L1, L2, Linf, Threat

__all__ = ["FFGSM", "FGSM", "L1", "L2", "PGD", "RFGSM", "Linf", "RandomNoise", "Threat", "describe"]
