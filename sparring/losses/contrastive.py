"""Contrastive losses of embeddings and pair masks: InfoNCE in all its uses, and UEL's instance discrimination.

Both work on the similarities s_ik = sim(anchor_i, key_k) / T, which is all that they keep for the backward pass: memory
is O(N M), never N x M x D. They take the anchors in blocks, so that what is needed only for a moment (a masked copy, an
exponential) is as large as a block and not as large as the whole matrix.

Everything is computed in float32, or in float64 if an input is, also under autocast and also in a backward pass that
runs under autocast (an attack's does). On a GPU, `torch.set_float32_matmul_precision` other than "highest" makes the
similarities coarser, as it does for every float32 product.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sparring.losses.distance import distances
from sparring.types import Pairs

Positives = Literal["outside", "inside"]
"""Where an anchor's positives are summed: outside its logarithm, or inside."""
Similarity = Literal["cosine", "l1", "l2", "linf"]
"""How alike two embeddings are: the cosine of their angle, or minus their distance in a norm."""
BLOCK = 1024
"""Anchors a block."""


def info_nce(
    anchors: Float[Tensor, "N D"],
    keys: Float[Tensor, "M D"],
    pairs: Pairs,
    temperature: float,
    similarity: Similarity = "cosine",
    *,
    positives: Positives = "outside",
) -> Float[Tensor, ""]:
    """InfoNCE over masks: anchors recognise their positives among the keys that compete. In nats.

        L = (1/N) sum_i -(1/|P(i)|) sum_{p in P(i)} log( exp(s_ip) / sum_{k in A(i)} w_ik exp(s_ik) )
        s_ik = cos(anchor_i, key_k) / T  or, for similarity l1, l2, linf,  s_ik = -||anchor_i - key_k||_p / T

    With `positives="inside"`, -log( sum_{p in P(i)} exp(s_ip) / sum_{k in A(i)} w_ik exp(s_ik) ) for each anchor.

    P(i) = `pairs.positive[i]`, A(i) = `pairs.contrast[i]`, both `[N, M]`; w = `pairs.weight` `[N, M]`, or 1. An anchor
    without positives contributes zero and stays in the mean. Gradients flow through anchors and keys; rows that
    coincide have none in l1, l2 and linf.

    With two stacked views as both anchors and keys: NT-Xent for `same_image` (Chen et al. 2020, eq. 1) and L_out for
    `same_label` (Khosla et al. 2020, eq. 2). With one view as anchors, the other as keys and A(i) all keys: Plain
    (Ho & Vasconcelos 2020, eq. 5 and 10). With [clean; adversarial] rows and any selector of `sparring.pairs`: half of
    ASCL's L_SCL (Bui et al. 2021, eq. 1-3), whose 1/N counts images where this mean is over both rows of each. With
    positives inside: L_in of Khosla et al. 2020, eq. 3, up to its ln |P(i)|, and the loss in RoCL's paper.

    Raises ValueError if the shapes do not fit each other, `temperature` is not positive and finite, or `similarity` or
    `positives` is none of those above.

    Differs from:
    - Khosla et al. 2020 sum over the anchors where the mean is taken here, as in HobbitLong/SupContrast;
    - HobbitLong/SupContrast multiplies by T / 0.07;
    - for the cosine, inputs are normalised here, so they need not be of unit length; a distance is that of the rows as
      they are (Bui et al., eq. 1), where tuananhbui89/ASCL normalises first (`hidden_norm`): pass it unit rows for that.
    """
    if similarity not in get_args(Similarity):
        raise ValueError(f"similarity is {similarity!r}, but it must be one of {', '.join(get_args(Similarity))}")
    if positives not in get_args(Positives):
        raise ValueError(f"positives is {positives!r}, but it must be one of {', '.join(get_args(Positives))}")
    loss = _info_nce if positives == "outside" else _info_nce_inside
    return _mean_over_anchors(loss, anchors, keys, pairs, temperature, similarity)


def instance_discrimination(
    z: Float[Tensor, "N D"], pairs: Pairs, temperature: float, *, detach_keys: bool = True
) -> Float[Tensor, ""]:
    """UEL: every row is recognised as its own image and as no other. In nats.

        L = -(1/N) sum_i [ (1/|P(i)|) sum_{p in P(i)} log P(p|i) + sum_{k in A(i) - P(i)} w_ik log(1 - P(k|i)) ],
        P(k|i) = exp(s_ik) / sum_{m in A(i)} w_im exp(s_im),  s_ik = cos(z_i, sg[z_k]) / T

    P(i) = `pairs.positive[i]`, A(i) = `pairs.contrast[i]`, both `[N, N]`; w = `pairs.weight`, or 1: a key of weight 2 is
    two keys. An anchor without positives contributes zero,
    its second sum included, and stays in the mean. With `detach_keys` no gradient flows through the keys (sg above).

    Raises ValueError if the shapes do not fit each other or `temperature` is not positive and finite.

    Paper: Ye et al. 2019, "Invariant and Spreading Instance Feature". Code: chihhuiho/CLAE, UEL/BatchAverage.py; with
    `same_image` over two stacked views this is its value and its gradient.
    Differs from:
    - several positives (their average) and any masks are allowed; the published weight m of the second sum is 1;
    - log(1 - P) stays exact when P rounds to 1, where the published code takes the logarithm of zero.
    """
    keys = z.detach() if detach_keys else z
    return _mean_over_anchors(_instance_discrimination, z, keys, pairs, temperature)


def _info_nce(s: Float[Tensor, "n M"], pairs: Pairs) -> Float[Tensor, " n"]:
    """The loss of each anchor."""
    return _log_sum(s, pairs.contrast, pairs.weight)[:, 0] - _mean_over_positives(s, pairs)


def _info_nce_inside(s: Float[Tensor, "n M"], pairs: Pairs) -> Float[Tensor, " n"]:
    """The loss of each anchor with its positives summed inside the logarithm."""
    return (_log_sum(s, pairs.contrast, pairs.weight) - _log_sum(s, pairs.positive, None))[:, 0]


def _instance_discrimination(s: Float[Tensor, "n M"], pairs: Pairs) -> Float[Tensor, " n"]:
    """The loss of each anchor."""
    keys = pairs.contrast if pairs.weight is None else pairs.contrast & (pairs.weight > 0)
    s = _where(keys, s)
    log_p = s - _log_sum(s, keys, pairs.weight)
    # Only the nearest key can have P > 1/2. There 1 - P may round to zero, so its log comes from the other keys:
    # 1 - P = sigmoid(log sum of the others' exp - s). For every other key log1p is exact.
    s_nearest, nearest = s.max(dim=1, keepdim=True)
    is_nearest = torch.zeros_like(s, dtype=torch.bool).scatter(1, nearest, True)
    others = None if pairs.weight is None else pairs.weight - is_nearest.to(pairs.weight)  # its copies are other keys
    s_others = _log_sum(s, keys & ~is_nearest if others is None else keys, others)
    pushed = keys & ~pairs.positive
    weight = torch.ones_like(s) if pairs.weight is None else pairs.weight.to(s.dtype)
    push_nearest = torch.where(pushed & is_nearest, weight * F.logsigmoid(s_others - s_nearest), 0.0).sum(dim=1)
    push_others = weight * torch.where(pushed & ~is_nearest, log_p.exp(), 0.0).neg().log1p()
    return -(_mean_over_positives(log_p, pairs) + push_nearest + push_others.sum(dim=1))


def _mean_over_anchors(
    loss: Callable[[Tensor, Pairs], Tensor],
    anchors: Tensor,
    keys: Tensor,
    pairs: Pairs,
    temperature: float,
    similarity: Similarity = "cosine",
) -> Tensor:
    """The mean of `loss` over the anchors, zero for those without positives, block by block."""
    _check(anchors, keys, pairs, temperature)
    dtype = torch.promote_types(torch.promote_types(anchors.dtype, keys.dtype), torch.float32)
    with torch.autocast(anchors.device.type, enabled=False):
        k = keys.to(dtype)
        # Rows that are both are converted once, so a bf16 gradient is the rounded sum, not a sum of rounded ones.
        a = k if anchors is keys else anchors.to(dtype)
        if similarity == "cosine":
            a, k = F.normalize(a, dim=1) / temperature, F.normalize(k, dim=1)
        losses = []
        for start in range(0, len(a), BLOCK):
            block = slice(start, start + BLOCK)
            block_pairs = pairs[block, :]
            if similarity == "cosine":
                s = _Product.apply(a[block], k)
            else:
                s = distances(a[block], k, similarity) / -temperature
            losses.append(torch.where(block_pairs.positive.any(dim=1), loss(s, block_pairs), 0.0))
        return torch.cat(losses).mean()


def _mean_over_positives(x: Tensor, pairs: Pairs) -> Tensor:
    """The mean of x over the positives of each anchor, zero where there are none."""
    return torch.where(pairs.positive, x, 0.0).sum(dim=1) / pairs.positive.sum(dim=1).clamp(min=1)


def _log_sum(s: Tensor, keys: Tensor, weight: Tensor | None) -> Tensor:
    """log sum_k w_ik exp(s_ik) over the keys of each anchor, [n, 1]."""
    if weight is not None:
        keys, s = keys & (weight > 0), s + weight.to(s.dtype).log()
    return _where(keys, s).logsumexp(dim=1, keepdim=True)


def _where(mask: Tensor, s: Tensor) -> Tensor:
    """`s` where the mask is true, elsewhere so low that exp gives zero; finite, so that an empty row makes no NaN."""
    return torch.where(mask, s, torch.finfo(s.dtype).min)


class _Product(torch.autograd.Function):
    """`a @ k.T` whose backward pass ignores autocast too.

    Autograd's own formula would round gradients to bf16 when it runs under autocast, as it does in an attack inside a
    mixed-precision step; with opposing terms of size 1/T that is an error of many per cent.
    """

    @staticmethod
    def forward(a: Tensor, k: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return a @ k.T

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, grad):  # pyright: ignore[reportIncompatibleMethodOverride]
        a, k = ctx.saved_tensors
        need_a, need_k = ctx.needs_input_grad
        with torch.autocast(grad.device.type, enabled=False):
            return grad @ k if need_a else None, grad.T @ a if need_k else None


def _check(anchors: Tensor, keys: Tensor, pairs: Pairs, temperature: float) -> None:
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature is {temperature}, but it must be positive and finite")
    if anchors.ndim != 2 or keys.ndim != 2 or anchors.shape[1] != keys.shape[1]:
        raise ValueError(
            f"anchors {list(anchors.shape)} and keys {list(keys.shape)} must be [N, D] and [M, D] with the same D"
        )
    if not len(anchors) or not len(keys):
        raise ValueError(
            f"there are {len(anchors)} anchors and {len(keys)} keys, but a loss needs at least one of each"
        )
    for name, mask in (("positive", pairs.positive), ("contrast", pairs.contrast)):
        if mask.shape != (len(anchors), len(keys)) or mask.dtype != torch.bool:
            raise ValueError(
                f"pairs.{name} is {mask.dtype} {list(mask.shape)}, but {len(anchors)} anchors and {len(keys)} keys "
                f"need torch.bool [{len(anchors)}, {len(keys)}]"
            )
    if pairs.weight is not None and pairs.weight.shape != pairs.contrast.shape:
        raise ValueError(
            f"pairs.weight is {list(pairs.weight.shape)}, but {len(anchors)} anchors and {len(keys)} keys need "
            f"[{len(anchors)}, {len(keys)}]"
        )
