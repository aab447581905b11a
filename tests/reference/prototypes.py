"""Sinkhorn's codes and SwAV's swapped prediction as the paper writes them: numpy and loops over float64 numbers."""

from __future__ import annotations

import math

import numpy as np


def codes(scores, eps: float, steps: int):
    """N Q^T of eq. 3 in Caron et al. 2020, from scores [N, K]: K x N numbers, scaled in turn, no logarithms."""
    n, k = len(scores), len(scores[0])
    q = [[math.exp(scores[b][p] / eps) for b in range(n)] for p in range(k)]
    for _ in range(steps):
        for p in range(k):
            total = sum(q[p])
            q[p] = [value / total / k for value in q[p]]
        for b in range(n):
            total = sum(q[p][b] for p in range(k))
            for p in range(k):
                q[p][b] = q[p][b] / total / n
    return np.array([[n * q[p][b] for p in range(k)] for b in range(n)])


def swapped_prediction(scores, targets, temperature: float):
    """The loss of scores [V][N][K] and its gradient with respect to them; view a < A has the codes targets[a]."""
    views, n, k = scores.shape
    loss, gradient = 0.0, np.zeros_like(scores)
    pairs = [(a, v) for a in range(len(targets)) for v in range(views) if v != a]
    for a, v in pairs:
        weight = 1 / len(targets) / (views - 1) / n
        for b in range(n):
            powers = [math.exp(score / temperature) for score in scores[v][b]]
            p = [power / sum(powers) for power in powers]
            for c in range(k):
                loss -= weight * targets[a][b][c] * math.log(p[c])
                # the derivative of -sum_k q_k log p_k with respect to score c, for codes that sum to 1
                gradient[v][b][c] += weight * (sum(targets[a][b]) * p[c] - targets[a][b][c]) / temperature
    return loss, gradient
