"""Alignment, uniformity and effective rank as loops of their formulas."""

from __future__ import annotations

import math

import numpy as np


def unit(row):
    norm = math.sqrt(sum(value * value for value in row))
    return [value / norm for value in row]


def squared_distance(u, v) -> float:
    return sum((a - b) ** 2 for a, b in zip(u, v, strict=True))


def alignment(z_a, z_b) -> float:
    pairs = list(zip(z_a, z_b, strict=True))
    return sum(squared_distance(unit(a), unit(b)) for a, b in pairs) / len(pairs)


def uniformity(z, t: float) -> float:
    rows = [unit(row) for row in z]
    kernel = [
        math.exp(-t * squared_distance(rows[i], rows[j])) for i in range(len(rows)) for j in range(len(rows)) if i != j
    ]
    return math.log(sum(kernel) / len(kernel))


def effective_rank(z) -> float:
    z = np.asarray(z)
    z = z - z.mean(axis=0)
    singular = np.sqrt(np.clip(np.linalg.eigvalsh(z.T @ z), 0, None))
    share = [value / singular.sum() for value in singular if value > 0]
    return math.exp(-sum(value * math.log(value) for value in share))
