"""A robust evaluation that doubts itself: a dozen checks for broken attacks and broken evaluations, and a verdict."""

from sparring.evaluation.trust.check import Against, Check, verdict
from sparring.evaluation.trust.run import Trust, trust_checks, trust_each

__all__ = ["Against", "Check", "Trust", "trust_checks", "trust_each", "verdict"]
