"""Attacks and projections as plain loops and closed forms in float64, one image (a flat list of numbers) at a time."""

import math


def clip(value, low, high):
    return min(max(value, low), high)


def norm(d, p):
    return max(map(abs, d)) if p == math.inf else sum(abs(x) ** p for x in d) ** (1 / p)


def project(v, radius, low, high, p):
    """Nearest point of ball and box: 200 bisections of the KKT multiplier. low and high hold -inf and inf without a box."""
    boxed = [clip(x, lo, hi) for x, lo, hi in zip(v, low, high, strict=True)]
    if norm(boxed, p) <= radius:
        return boxed
    if p == math.inf:
        return [clip(clip(x, -radius, radius), lo, hi) for x, lo, hi in zip(v, low, high, strict=True)]

    def at(multiplier):
        if p == 2:
            moved = [x / (1 + multiplier) for x in v]
        else:
            moved = [math.copysign(max(abs(x) - multiplier, 0), x) for x in v]
        return [clip(x, lo, hi) for x, lo, hi in zip(moved, low, high, strict=True)]

    below, above = 0.0, max(map(abs, v)) * (1 if p == 1 else len(v) / radius) + 1
    for _ in range(200):
        middle = (below + above) / 2
        if norm(at(middle), p) > radius:
            below = middle
        else:
            above = middle
    return at(above)


def linear_optimum(w, radius, low, high, p):
    """The perturbation that maximises sum w_i d_i over ball and box."""
    reach = [hi if x > 0 else -lo for x, lo, hi in zip(w, low, high, strict=True)]
    if p == math.inf:
        length = [min(radius, r) for r in reach]
    elif p == 1:
        length, left = [0.0] * len(w), radius
        for i in sorted(range(len(w)), key=lambda i: -abs(w[i])):
            length[i] = min(left, reach[i])
            left -= length[i]
    else:
        below, above = 0.0, 1e6
        for _ in range(200):
            t = (below + above) / 2
            length = [min(t * abs(x), r) for x, r in zip(w, reach, strict=True)]
            below, above = (t, above) if norm(length, 2) < radius else (below, t)
    return [math.copysign(n, x) if x else 0.0 for n, x in zip(length, w, strict=True)]


def sign(x):
    return (x > 0) - (x < 0)


def steepest(gradient, length, p, sparsity=1.0, room=None):
    """The step of norm `length`. For p = 1: equal parts on the ceil(sparsity d) largest entries; what an entry has no room
    for goes to the next largest."""
    if p == math.inf:
        return [length * sign(g) for g in gradient]
    if p == 2:
        size = norm(gradient, 2)
        return [length * g / size if size else 0.0 for g in gradient]
    part, left = length / math.ceil(sparsity * len(gradient)), length
    step = [0.0] * len(gradient)
    for i in sorted(range(len(gradient)), key=lambda i: -abs(gradient[i])):
        moved = min(part, left, math.inf if room is None else room[i])
        step[i] = moved * sign(gradient[i])
        left -= abs(step[i])
    return step


def pgd(gradient_at, x, start, radius, steps, step_size, low, high, p, sparsity=1.0):
    """Projected gradient ascent on one image's objective. Returns every iterate d, the start first."""
    d = project(start, radius, low, high, p)
    iterates = [d]
    for _ in range(steps):
        gradient = gradient_at([a + b for a, b in zip(x, d, strict=True)])
        room = [hi - a if g > 0 else a - lo for g, a, lo, hi in zip(gradient, d, low, high, strict=True)]
        step = steepest(gradient, step_size, p, sparsity, room)
        d = project([a + b for a, b in zip(d, step, strict=True)], radius, low, high, p)
        iterates.append(d)
    return iterates
