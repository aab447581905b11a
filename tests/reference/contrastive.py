"""The contrastive losses as the papers and their published code write them: plain loops over float64 numbers.

Every function takes embeddings `[N, D]` (double, any length) and returns a scalar through which autograd can pass.
"""

from __future__ import annotations

import torch


def unit(row):
    """A row divided by its length."""
    return row / (row * row).sum().sqrt()


def cosines(anchors, keys):
    """A nested list: cosine of anchor i and key k."""
    anchors, keys = [unit(row) for row in anchors], [unit(row) for row in keys]
    return [[(a * k).sum() for k in keys] for a in anchors]


def plain(z_a, z_b, temperature: float):
    """CLAE eq. 10 (eq. 5 with w_k = z_b,k / T), averaged over the anchors: softmax over all B second views."""
    cos = cosines(z_a, z_b)
    total = torch.zeros((), dtype=torch.float64)
    for i in range(len(z_a)):
        denominator = sum((cos[i][k] / temperature).exp() for k in range(len(z_b)))
        total = total - ((cos[i][i] / temperature).exp() / denominator).log()
    return total / len(z_a)


def sup_con_out(anchors, keys, positive, contrast, temperature: float):
    """SupCon eq. 2, the sum over positives outside the log; `positive` and `contrast` are nested lists of booleans."""
    cos = cosines(anchors, keys)
    total = torch.zeros((), dtype=torch.float64)
    for i in range(len(anchors)):
        positives = [p for p in range(len(keys)) if positive[i][p]]
        for p in positives:
            denominator = sum((cos[i][k] / temperature).exp() for k in range(len(keys)) if contrast[i][k])
            total = total - ((cos[i][p] / temperature).exp() / denominator).log() / len(positives)
    return total / len(anchors)


def uel(z, temperature: float, detach_keys: bool = True):
    """The closed form of UEL over 2B rows [view a; view b]; 1 - P is the sum over the other keys, never rounded."""
    images = len(z) // 2
    cos = cosines(z, z.detach() if detach_keys else z)
    total = torch.zeros((), dtype=torch.float64)
    for i in range(2 * images):
        others = [m for m in range(2 * images) if m != i]
        weight = {m: (cos[i][m] / temperature).exp() for m in others}
        total = total - (weight[(i + images) % (2 * images)] / sum(weight.values())).log()
        for k in others:
            if k % images != i % images:
                total = total - (sum(weight[m] for m in others if m != k) / sum(weight.values())).log()
    return total / (2 * images)


def uel_masked(z, positive, contrast, temperature: float):
    """UEL with detached keys and masks as nested lists: log P averaged over positives, every other key pushed away."""
    cos = cosines(z, z.detach())
    total = torch.zeros((), dtype=torch.float64)
    for i in range(len(z)):
        keys = [k for k in range(len(z)) if contrast[i][k]]
        positives = [k for k in keys if positive[i][k]]
        denominator = sum((cos[i][k] / temperature).exp() for k in keys)
        for k in keys if positives else []:
            p = (cos[i][k] / temperature).exp() / denominator
            total = total - (p.log() / len(positives) if k in positives else (1 - p).log())
    return total / len(z)


def nt_xent_acl(z_a, z_b, temperature: float):
    """ACL: rows a1, b1, a2, b2, ...; the self term is subtracted from the full row sum as e^{1/T}."""
    interleaved = [row for pair in zip(z_a, z_b, strict=True) for row in pair]
    cos = cosines(interleaved, interleaved)
    rows = range(len(interleaved))
    total = torch.zeros((), dtype=torch.float64)
    for i in rows:
        neighbour = i + 1 if i % 2 == 0 else i - 1
        row_sum = sum((cos[i][k] / temperature).exp() for k in rows) - torch.tensor(1 / temperature).double().exp()
        total = total - ((cos[i][neighbour] / temperature).exp() / row_sum).log()
    return total / len(interleaved)


def nt_xent_clae(z_a, z_b, temperature: float):
    """CLAE: rows [a; b]; cross-entropy of logits [positive, negatives...] with class 0, sum over rows / 2B."""
    images = len(z_a)
    stacked = [*z_a, *z_b]
    cos = cosines(stacked, stacked)
    total = torch.zeros((), dtype=torch.float64)
    for i in range(2 * images):
        positive = i + images if i < images else i - images
        logits = [cos[i][positive]] + [cos[i][k] for k in range(2 * images) if k not in (i, positive)]
        logits = torch.stack(logits) / temperature
        total = total + torch.nn.functional.cross_entropy(logits[None], torch.tensor([0]), reduction="sum")
    return total / (2 * images)


def nt_xent_rocl(z_a, z_b, temperature: float):
    """RoCL without an adversary: the four blocks of the exponentiated similarity matrix, its diagonal set to zero."""
    images = len(z_a)
    z = torch.stack([unit(row) for row in torch.cat([z_a, z_b])])
    similarity = (z @ z.T / temperature).exp() * (1 - torch.eye(2 * images, dtype=torch.float64))
    minus_log_p = -(similarity / similarity.sum(dim=1, keepdim=True) + torch.eye(2 * images)).log()
    return (minus_log_p[:images, images:].trace() + minus_log_p[images:, :images].trace()) / (2 * images)


def nt_xent_sup_contrast(z_a, z_b, temperature: float):
    """SupContrast with labels None and T = base T: features [B, views, D], mask eye(B), logits minus their maximum."""
    features = torch.stack([z_a, z_b], dim=1)
    features = features / features.norm(dim=2, keepdim=True)
    images = len(features)
    contrast = torch.cat(torch.unbind(features, dim=1))
    logits = contrast @ contrast.T / temperature
    logits = logits - logits.max(dim=1, keepdim=True).values.detach()
    mask = torch.eye(images, dtype=torch.float64).repeat(2, 2)
    not_self = 1 - torch.eye(2 * images, dtype=torch.float64)
    mask = mask * not_self
    log_probability = logits - (logits.exp() * not_self).sum(dim=1, keepdim=True).log()
    return -((mask * log_probability).sum(dim=1) / mask.sum(dim=1)).mean()
