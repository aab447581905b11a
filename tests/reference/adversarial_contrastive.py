"""RoCL and ACL as their papers and published code write them: loops over float64 numbers, on embeddings `[B, D]`."""

from __future__ import annotations

import torch

from tests.reference.contrastive import cosines


def term(cos, i, p, keys, temperature: float, weight=None):
    """-log( exp(s_ip) / sum over the keys of w_k exp(s_ik) ); every w_k is 1 if `weight` is None."""
    denominator = sum((1 if weight is None else weight[k]) * (cos[i][k] / temperature).exp() for k in keys)
    return -((cos[i][p] / temperature).exp() / denominator).log()


def competing(i, rows, images, removed):
    """Every row but i itself and the views of the images that are removed from the negatives of i's image.

    `removed[i]`: the images removed for row i of the clean views [a; b]; a third view stands for the first.
    """
    gone = removed[i % (2 * images)] if removed else set()
    return [k for k in range(rows) if k != i and k % images not in gone]


def rescaled_weights(i, keys, rows, images):
    """1 for the views of i's image; the remaining negatives share what all of another B - 1 images would weigh."""
    left = [k for k in keys if k % images != i % images]
    return {k: (rows - rows // images) / len(left) if k in left else 1.0 for k in keys}


def rocl(views, temperature: float, detach_keys: bool = True, removed=(), rescaled: bool = False):
    """The six ordered pairs of the three views [t, t', x^], each over all 3B rows but the anchor, divided by 3B."""
    images, rows = len(views[0]), torch.cat(list(views))
    cos = cosines(rows, rows.detach() if detach_keys else rows)
    total = torch.zeros((), dtype=torch.float64)
    for u in range(3):
        for v in range(3):
            for image in range(images if u != v else 0):
                i, p = u * images + image, v * images + image
                keys = competing(i, 3 * images, images, removed)
                weight = rescaled_weights(i, keys, 3 * images, images) if rescaled else None
                total = total + term(cos, i, p, keys, temperature, weight)
    return total / (3 * images)


def rocl_paper(views, temperature: float, detach_keys: bool = True):
    """Anchors t(x) alone; both positives are summed inside the log."""
    images, rows = len(views[0]), torch.cat(list(views))
    cos = cosines(rows[:images], rows.detach() if detach_keys else rows)
    total = torch.zeros((), dtype=torch.float64)
    for i in range(images):
        weight = [(cos[i][k] / temperature).exp() for k in range(3 * images)]
        positive = weight[i + images] + weight[i + 2 * images]
        negative = sum(weight[k] for k in range(3 * images) if k % images != i)
        total = total - (positive / (positive + negative)).log()
    return total / images


def nt_xent(z_a, z_b, temperature: float, detach_keys: bool = False, removed=(), rescaled: bool = False):
    """Both directions of one pair of views over their 2B rows, with some negatives removed."""
    images, rows = len(z_a), torch.cat([z_a, z_b])
    cos = cosines(rows, rows.detach() if detach_keys else rows)
    total = torch.zeros((), dtype=torch.float64)
    for i in range(2 * images):
        keys = competing(i, 2 * images, images, removed)
        weight = rescaled_weights(i, keys, 2 * images, images) if rescaled else None
        total = total + term(cos, i, (i + images) % (2 * images), keys, temperature, weight)
    return total / (2 * images)


def nearest(z_a, z_b, count: int):
    """For each row of [a; b], the `count` other images one of whose two views is most similar."""
    images, rows = len(z_a), torch.cat([z_a, z_b])
    cos = cosines(rows, rows)
    found = []
    for i in range(2 * images):
        others = [j for j in range(images) if j != i % images]
        similarity = {j: max(float(cos[i][j]), float(cos[i][j + images])) for j in others}
        found.append(set(sorted(others, key=lambda j: -similarity[j])[:count]))
    return found
