"""SwAV's loss: which prototypes one view belongs to is predicted from another view.

Scores `[.., N, K]` are cosines of N embeddings with K prototypes; a code is a distribution over the prototypes. Computed
in float32 at least, from logarithms, so that no eps or temperature makes an infinity.

Paper: Caron et al. 2020 (SwAV), eq. 1-5; as eq. 7-8 in Gupta et al. 2022, "On Higher Adversarial Susceptibility of
       Contrastive Self-Supervised Learning" (003, section H).
Code:  facebookresearch/swav, main_swav.py.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@torch.no_grad()
def sinkhorn(
    scores: Float[Tensor, "N K"], eps: float | int = 0.05, steps: int = 3, present: Bool[Tensor, " N"] | None = None
) -> Float[Tensor, "N K"]:
    """Codes of N rows that share K prototypes equally: each row sums to 1, each prototype gets about N/K rows.

        Q* = argmax_Q Tr(Q^T C^T Z) + eps H(Q)   subject to   Q 1 = 1/K,  Q^T 1 = 1/N
        Q = exp(scores / eps);  `steps` times: make every prototype's sum 1/K, then every row's 1/N

    `scores` is (C^T Z)^T and the result N Q^T: the rows' marginal is exact, the prototypes' reached as steps grow. A smaller
    eps makes codes sharper. Rows that are not `present` get codes but take no share (places of a queue that is not yet
    full). No gradient.

    Raises ValueError unless scores are [N, K] with at least one each, eps is positive and finite and steps at least 1.
    Differs from: the published code takes exp(scores / eps) itself, which float16 cannot hold; here it is its logarithm.
    """
    if scores.ndim != 2 or not scores.numel():
        raise ValueError(f"scores is {list(scores.shape)}; it must be [N, K] with at least one row and one prototype")
    if not 0 < eps < math.inf or steps < 1:
        raise ValueError(f"eps is {eps} and steps {steps}; eps must be positive and finite, steps at least 1")
    log_q = _exact(scores) / eps
    share = log_q.new_zeros(len(log_q), 1)
    if present is not None:
        share = share.masked_fill(~present[:, None], -math.inf)
    for _ in range(steps):
        log_q = log_q - (log_q + share).logsumexp(dim=0, keepdim=True)
        log_q = log_q - log_q.logsumexp(dim=1, keepdim=True)
    return log_q.exp()


def swapped_prediction(
    scores: Float[Tensor, "V N K"], codes: Float[Tensor, "A N K"], temperature: float | int
) -> Float[Tensor, ""]:
    """Every view predicts the codes of the other views; the first A of the V views have codes. In nats.

        L = (1/A) sum_{a < A} (1/(V - 1)) sum_{v != a} -(1/N) sum_n sum_k q^a_nk log p^v_nk,  p^v_n = softmax(s^v_n / T)

    Codes are targets: no gradient flows through them. All scores alike give log K.

    Raises ValueError unless there are at least two views, at most V codes of the same N and K, and T is positive and finite.
    Differs from: nothing.
    """
    views, assigned = len(scores), len(codes)
    if scores.ndim != 3 or views < 2 or not 1 <= assigned <= views or scores.shape[1:] != codes.shape[1:]:
        raise ValueError(
            f"scores {list(scores.shape)} must be [V, N, K] of at least two views, codes {list(codes.shape)} [A, N, K] of "
            "the first A of them"
        )
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature is {temperature}; it must be positive and finite")
    log_p = (_exact(scores) / temperature).log_softmax(dim=-1)
    targets = codes.detach().to(log_p.dtype)
    losses = [-(targets[a] * log_p[v]).sum(dim=1).mean() for a in range(assigned) for v in range(views) if v != a]
    return torch.stack(losses).mean()


def _exact(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
