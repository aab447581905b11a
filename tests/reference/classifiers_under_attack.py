"""Attacks on a small classifier, one image (a flat list of numbers) at a time: z = V tanh(W x), PGD from x itself."""

import math

from tests.reference.attacks import pgd


def logits(w, v, x):
    hidden = [math.tanh(sum(a * b for a, b in zip(row, x, strict=True))) for row in w]
    return [sum(a * b for a, b in zip(row, hidden, strict=True)) for row in v]


def gradient(w, v, x, by_logit):
    """Of sum_k by_logit_k z_k with respect to x."""
    hidden = [math.tanh(sum(a * b for a, b in zip(row, x, strict=True))) for row in w]
    by_hidden = [
        sum(g * row[j] for g, row in zip(by_logit, v, strict=True)) * (1 - h * h) for j, h in enumerate(hidden)
    ]
    return [sum(g * row[i] for g, row in zip(by_hidden, w, strict=True)) for i in range(len(x))]


def highest(z):
    return z.index(max(z))


def climb(w, v, x, objective, radius, steps, step_size, p):
    """Where PGD ends that starts at x and maximises objective(z) = (value, gradient)."""
    d = pgd(
        lambda at: gradient(w, v, at, objective(logits(w, v, at))[1]),
        x,
        [0.0] * len(x),
        radius,
        steps,
        step_size,
        [-a for a in x],
        [1 - a for a in x],
        p,
        sparsity=0.1,
    )[-1]
    return [a + b for a, b in zip(x, d, strict=True)]


def untargeted(w, v, x, y, objective, **budget):
    """x if it is wrong, else the end point."""
    if highest(logits(w, v, x)) != y:
        return x
    return climb(w, v, x, lambda z: objective(z, y), **budget)


def multi_targeted(w, v, x, y, objective, targets, **budget):
    """Towards the wrong classes, the highest-scored first; the first end point that is wrong, else that of largest margin."""
    clean = logits(w, v, x)
    if highest(clean) != y:
        return x
    wrong = sorted((k for k in range(len(clean)) if k != y), key=lambda k: -clean[k])
    ends = []
    for t in wrong[:targets]:
        end = climb(w, v, x, lambda z, t=t: objective(z, y, t), **budget)
        z = logits(w, v, end)
        if highest(z) != y:
            return end
        ends.append((max(a for k, a in enumerate(z) if k != y) - z[y], end))
    return max(ends)[1]
