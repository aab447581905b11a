"""Corruption errors and the line through the origin as plain loops of their formulas."""

from __future__ import annotations


def corruption_error(error, baseline, clean: float = 0.0, baseline_clean: float = 0.0) -> float:
    """Mean over corruptions of sum_s (E - E_clean) / sum_s (E_baseline - E_baseline_clean)."""
    total = 0.0
    for name in error:
        above = below = 0.0
        for s in range(5):
            above += error[name][s] - clean
            below += baseline[name][s] - baseline_clean
        total += above / below
    return total / len(error)
