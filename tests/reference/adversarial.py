"""The losses of ASCL, TRADES and ADR as their papers and published code write them: plain loops over float64 numbers."""

from __future__ import annotations

import torch


def similarity(a, b, name: str):
    """The similarity of two rows."""
    if name == "cosine":
        return (a * b).sum() / ((a * a).sum().sqrt() * (b * b).sum().sqrt())
    difference = [(a[d] - b[d]).abs() for d in range(len(a))]
    if name == "l1":
        return -sum(difference)
    if name == "l2":
        return -sum(d * d for d in difference).sqrt()
    return -max(difference)


def scl(z, positives, negatives, temperature: float, name: str):
    """ASCL eq. 1-3 over rows [N clean; N adversarial].

    `positives[i]` and `negatives[i]` are Z+ and Z- of row i as sets of rows, without i and without its counterpart,
    which the equations add.
    """
    images = len(z) // 2
    total = torch.zeros((), dtype=torch.float64)
    for i in range(2 * images):
        counterpart = i + images if i < images else i - images
        weight = {
            k: (similarity(z[k], z[i], name) / temperature).exp() for k in positives[i] | {counterpart} | negatives[i]
        }
        anchor = torch.zeros((), dtype=torch.float64)
        for j in positives[i] | {counterpart}:
            anchor = anchor + (weight[j] / sum(weight.values())).log()
        total = total - anchor / (len(positives[i]) + 1)
    return total / images


def scl_published(z, labels, predictions, temperature: float, name: str, strategy: str):
    """tuananhbui89/ASCL: legal rows stay in the softmax, a row's sum over max(its positives, 1), the mean over 2N rows."""
    rows = range(len(z))
    total = torch.zeros((), dtype=torch.float64)
    for i in rows:
        same_label = [j != i and labels[j] == labels[i] for j in rows]
        other_label = [labels[j] != labels[i] for j in rows]
        same_prediction = [j != i and predictions[j] == predictions[i] for j in rows]
        as_label = [predictions[j] == labels[i] for j in rows]
        if strategy == "leaking":
            positive = [s and p for s, p in zip(same_label, same_prediction, strict=True)]
            legal = [p or (o and q) for p, o, q in zip(positive, other_label, same_prediction, strict=True)]
        else:
            positive = same_label
            kept = {"all": [True] * len(z), "hard": as_label, "soft": same_prediction}[strategy]
            legal = [p or (o and q) for p, o, q in zip(positive, other_label, kept, strict=True)]
        if not any(positive):
            continue
        weight = {k: (similarity(z[k], z[i], name) / temperature).exp() for k in rows if legal[k]}
        for j in rows:
            if positive[j]:
                total = total - (weight[j] / sum(weight.values())).log() / sum(positive)
    return total / len(z)


def softmax(row):
    """Probabilities of one row of logits."""
    exp = [x.exp() for x in row]
    return [e / sum(exp) for e in exp]


def kl(logits, logits_adv):
    """ASCL eq. 5 and the regulariser of TRADES: the mean over images of KL(clean || adversarial)."""
    total = torch.zeros((), dtype=torch.float64)
    for row, row_adv in zip(logits, logits_adv, strict=True):
        for p, q in zip(softmax(row), softmax(row_adv), strict=True):
            total = total + p * (p / q).log()
    return total / len(logits)


def kl_published(logits, logits_adv):
    """tuananhbui89/ASCL, ascl.py: torch's KLDivLoss with reduction "mean"."""
    entries = torch.nn.KLDivLoss(reduction="none")(logits_adv.log_softmax(dim=-1), logits.softmax(dim=-1))
    return entries.mean()  # what "mean" does, which torch by now warns of


def kl_trades(logits, logits_adv):
    """yaodongyu/TRADES, trades.py: torch's KLDivLoss with the sum, over the batch."""
    divergence = torch.nn.KLDivLoss(reduction="sum")
    return divergence(logits_adv.log_softmax(dim=1), logits.softmax(dim=1)) / len(logits)


def local_compactness(h, h_adv):
    """LC of ADR."""
    h = h.detach()
    total = torch.zeros((), dtype=torch.float64)
    for i in range(len(h)):
        total = total + sum((h[i, d] - h_adv[i, d]).abs() for d in range(h.shape[1])) / h.shape[1]
    return total / len(h)


def local_smoothness(logits, logits_adv):
    """LS of ADR."""
    total = torch.zeros((), dtype=torch.float64)
    for row, row_adv in zip(logits.detach(), logits_adv, strict=True):
        for p, q in zip(softmax(row), softmax(row_adv), strict=True):
            total = total - p * q.log()
    return total / len(logits)


def global_compactness(h, h_adv, labels):
    """GC of ADR; the weight as published: one-hot labels, their distance over the largest one, a scale of 0.99."""
    h = h.detach()
    rows = range(len(h))
    apart = [[2.0 * (labels[i] != labels[j]) for j in rows] for i in rows]
    largest = max(max(row) for row in apart)
    total = torch.zeros((), dtype=torch.float64)
    for i in rows:
        for j in rows:
            weight = (0.99 - apart[i][j] / largest) / 0.99
            total = total + weight * sum((h[j, d] - h_adv[i, d]).abs() for d in range(h.shape[1])) / h.shape[1]
    return total / len(h) ** 2


def confidence(logits_adv):
    """CF of ADR: an entropy."""
    total = torch.zeros((), dtype=torch.float64)
    for row in logits_adv:
        total = total - sum(q * q.log() for q in softmax(row))
    return total / len(logits_adv)
