"""Loops for the measures of susceptibility of paper 003; sparring is not imported here."""

import math


def slope(x, y):
    """The m that minimises sum (y - m x)^2, by ternary search."""
    low, high = -100.0, 100.0
    for _ in range(300):
        a, b = low + (high - low) / 3, high - (high - low) / 3
        costs = [sum((yi - m * xi) ** 2 for xi, yi in zip(x, y, strict=True)) for m in (a, b)]
        low, high = (low, b) if costs[0] < costs[1] else (a, high)
    return (low + high) / 2


def class_distances(rows, labels, distance):
    """mean[a][b] over pairs of different instances, and the mean over a of the mean over b != a of mean[a][b] / mean[a][a]."""
    if distance != "l2":
        rows = [[v / math.sqrt(sum(w * w for w in row)) for v in row] for row in rows]
    classes = sorted(set(labels))
    mean = []
    for a in classes:
        line = []
        for b in classes:
            found = []
            for i in range(len(rows)):
                for j in range(len(rows)):
                    if i == j or labels[i] != a or labels[j] != b:
                        continue
                    if distance == "cosine":
                        found.append(1 - sum(u * v for u, v in zip(rows[i], rows[j], strict=True)))
                    else:
                        found.append(math.sqrt(sum((u - v) ** 2 for u, v in zip(rows[i], rows[j], strict=True))))
            line.append(sum(found) / len(found))
        mean.append(line)
    ratios = []
    for a in range(len(classes)):
        inter = [mean[a][b] for b in range(len(classes)) if b != a]
        ratios.append(sum(inter) / len(inter) / mean[a][a])
    return mean, sum(ratios) / len(ratios)
