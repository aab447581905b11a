"""Weighted kNN and logistic regression as plain loops of their formulas."""

from __future__ import annotations

import math

import torch


def weighted_knn(train, labels, test, k: int, temperature: float, classes: int) -> list[int]:
    """exp(cos / T) votes of the k most similar rows, one test row at a time, in float64."""

    def cosine(u, v) -> float:
        dot = sum(a * b for a, b in zip(u, v, strict=True))
        return dot / math.sqrt(sum(a * a for a in u) * sum(b * b for b in v))

    predictions = []
    for row in test.double().tolist():
        similarity = [(cosine(row, other), -index) for index, other in enumerate(train.double().tolist())]
        score = [0.0] * classes
        for value, minus_index in sorted(similarity, reverse=True)[:k]:
            score[int(labels[-minus_index])] += math.exp(value / temperature)
        predictions.append(score.index(max(score)))
    return predictions


def logistic_adam(x, labels, classes: int, batches, lr: float, weight, bias):
    """The same batches through autograd and torch.optim.Adam."""
    layer = torch.nn.Linear(x.shape[1], classes)
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    optimizer = torch.optim.Adam(layer.parameters(), lr=lr)
    for batch in batches:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(layer(x[batch]), labels[batch]).backward()
        optimizer.step()
    return layer


def soft_votes(train, labels, test, k: int, temperature: float, classes: int) -> list[list[float]]:
    """log of a class's votes, less the highest; without a vote, of half of its nearest training row's vote."""
    rows = []
    for row in test.double():
        cosine = [float(row @ other / row.norm() / other.norm()) for other in train.double()]
        order = sorted(range(len(cosine)), key=lambda j: (-cosine[j], j))
        vote = [math.exp((c - max(cosine)) / temperature) for c in cosine]
        value = []
        for c in range(classes):
            among = [vote[j] for j in order[:k] if int(labels[j]) == c]
            value.append(sum(among) or 0.5 * max(vote[j] for j in order if int(labels[j]) == c))
        rows.append([math.log(v / max(value)) for v in value])
    return rows
