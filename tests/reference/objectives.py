"""Objectives of attacks on classifiers as loops over one image's logits: (value, gradient with respect to the logits)."""

import math


def cross_entropy(z, y):
    highest = max(z)
    total = sum(math.exp(a - highest) for a in z)
    p = [math.exp(a - highest) / total for a in z]
    return math.log(total) + highest - z[y], [p[k] - (k == y) for k in range(len(z))]


def margin(z, y):
    rival = max((k for k in range(len(z)) if k != y), key=lambda k: z[k])
    return z[rival] - z[y], [(k == rival) - (k == y) for k in range(len(z))]


def dlr(z, y):
    """Quotient rule on margin / (first - third)."""
    order = sorted(range(len(z)), key=lambda k: -z[k])
    weights = {order[0]: 1.0, order[2]: -1.0}
    return quotient(*margin(z, y), z, weights)


def targeted_cross_entropy(z, y, t):
    value, gradient = cross_entropy(z, t)
    return -value, [-g for g in gradient]


def targeted_margin(z, y, t):
    return z[t] - z[y], [(k == t) - (k == y) for k in range(len(z))]


def targeted_dlr(z, y, t):
    """Quotient rule on the targeted margin / (first - half the third - half the fourth)."""
    order = sorted(range(len(z)), key=lambda k: -z[k])
    weights = {order[0]: 1.0, order[2]: -0.5, order[3]: -0.5}
    return quotient(*targeted_margin(z, y, t), z, weights)


def quotient(value, gradient, z, weights):
    """Over the weighted logits and 1e-12, which the published code adds."""
    below = sum(weight * z[k] for k, weight in weights.items()) + 1e-12
    return value / below, [(g * below - value * weights.get(k, 0.0)) / below**2 for k, g in enumerate(gradient)]


def feature_distance(a, b):
    return sum((p - q) ** 2 for p, q in zip(a, b, strict=True)), [2 * (p - q) for p, q in zip(a, b, strict=True)]


def cosine_distance(a, b):
    size = [math.sqrt(sum(p * p for p in v)) for v in (a, b)]
    cos = sum(p * q for p, q in zip(a, b, strict=True)) / (size[0] * size[1])
    return 1 - cos, [-(q / (size[0] * size[1]) - cos * p / size[0] ** 2) for p, q in zip(a, b, strict=True)]
