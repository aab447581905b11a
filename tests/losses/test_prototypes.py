"""Sinkhorn's codes and the swapped prediction against loops of the paper's equations."""

import math
from inspect import unwrap

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from sparring.losses import sinkhorn, swapped_prediction
from tests.losses.inputs import DTYPES, TOLERANCE
from tests.reference import prototypes as reference


def cosines(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    *views, rows, prototypes = shape
    z = F.normalize(torch.randn(*views, rows, 6, generator=generator, dtype=torch.float64), dim=-1)
    c = F.normalize(torch.randn(prototypes, 6, generator=generator, dtype=torch.float64), dim=-1)
    return (z @ c.T).to(dtype)


@pytest.mark.parametrize(("rows", "prototypes"), [(12, 5), (5, 12)])
def test_many_steps_give_both_marginals(rows, prototypes):
    q = sinkhorn(cosines(rows, prototypes), eps=0.2, steps=2000)
    assert_close(q.sum(dim=1), torch.ones(rows, dtype=q.dtype))
    assert_close(q.sum(dim=0), torch.full((prototypes,), rows / prototypes, dtype=q.dtype))


def test_the_published_three_steps_give_the_rows_marginal_exactly_and_the_prototypes_nearly():
    q = sinkhorn(cosines(64, 10))
    assert_close(q.sum(dim=1), torch.ones(64, dtype=q.dtype), rtol=0, atol=1e-14)
    shares = q.sum(dim=0) / 6.4
    assert 0.5 < shares.min() < 0.999 and 1.001 < shares.max() < 1.5
    greedy = F.one_hot(cosines(64, 10).argmax(1), 10).sum(0) / 6.4
    assert (greedy - 1).abs().max() > 2 * (shares - 1).abs().max()


@DTYPES
@pytest.mark.parametrize(("eps", "steps"), [(0.05, 3), (0.3, 1), (1.0, 10)])
def test_codes_are_the_papers_loop(eps, steps, dtype):
    scores = cosines(7, 4, dtype=dtype)
    expected = reference.codes(scores.double().numpy(), eps, steps)
    atol = 10 * TOLERANCE[dtype]
    assert_close(sinkhorn(scores, eps, steps).double(), torch.from_numpy(expected), rtol=0, atol=atol)


def test_codes_maximise_what_eq_7_says():
    """Tr(Q^T C^T Z) + eps H(Q) is larger than at any other Q of the same marginals."""
    scores, eps = cosines(4, 4), 0.3
    q = sinkhorn(scores, eps, 5000) / 4

    def objective(q):
        return (q * scores).sum() - eps * (q * q.log()).sum()

    generator = torch.Generator().manual_seed(1)
    for _ in range(20):
        swap = torch.zeros(4, 4, dtype=torch.float64)
        i, j = torch.randperm(4, generator=generator)[:2], torch.randperm(4, generator=generator)[:2]
        swap[i[0], j[0]] = swap[i[1], j[1]] = 1
        swap[i[0], j[1]] = swap[i[1], j[0]] = -1
        for size in (1e-3, 1e-2):
            other = q + size * q.min() * swap
            assert objective(other) < objective(q)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_sharp_codes_stay_finite(dtype):
    """exp(1 / 0.05) is above what float16 holds, exp(1 / 0.005) above float32."""
    scores = torch.tensor([[1.0, -1.0, 0.5], [-1.0, 1.0, 0.0], [1.0, 0.9, -1.0]], dtype=dtype)
    for eps in (0.05, 0.005, 1e-4):
        q = sinkhorn(scores, eps)
        assert q.dtype == torch.float32 and q.isfinite().all()
        assert_close(q.sum(dim=1), torch.ones(3))


def test_absent_rows_take_no_share():
    scores, absent = cosines(9, 4), torch.tensor([0, 1, 0, 0, 1, 1, 0, 0, 0], dtype=torch.bool)
    assert_close(sinkhorn(scores, present=~absent)[~absent], sinkhorn(scores[~absent]))
    assert not torch.allclose(sinkhorn(scores)[~absent], sinkhorn(scores[~absent]), atol=1e-3)


def test_codes_carry_no_gradient():
    scores = cosines(2, 6, 4).requires_grad_()
    assert not sinkhorn(scores[0]).requires_grad
    other = scores.detach().clone().requires_grad_()
    codes = torch.stack([sinkhorn(other[0]), sinkhorn(other[1])])
    leak = (other * codes).softmax(-1)  # even codes that someone left attached are targets
    loss = swapped_prediction(scores, leak, 0.1)
    assert torch.autograd.grad(loss, other, allow_unused=True, retain_graph=True) == (None,)
    assert torch.autograd.grad(loss, scores)[0].abs().max() > 0


@DTYPES
@pytest.mark.parametrize("views", [2, 5], ids=["two views", "three further crops"])
def test_loss_and_gradient_are_the_papers_loop(views, dtype):
    scores = cosines(views, 6, 4, dtype=dtype).requires_grad_()
    codes = torch.stack([sinkhorn(view) for view in scores[:2]])
    loss = swapped_prediction(scores, codes, 0.1)
    (gradient,) = torch.autograd.grad(loss, scores)
    targets = np.stack([reference.codes(view.detach().double().numpy(), 0.05, 3) for view in scores[:2]])
    expected, expected_gradient = reference.swapped_prediction(scores.detach().double().numpy(), targets, 0.1)
    assert loss.item() == pytest.approx(expected, rel=10 * TOLERANCE[dtype])
    atol = 20 * TOLERANCE[dtype]
    assert_close(gradient.double(), torch.from_numpy(expected_gradient), rtol=0, atol=atol)


def test_clusters_that_agree_cost_nothing_and_collapse_costs_log_k():
    apart = torch.eye(8, dtype=torch.float64).repeat(4, 1)  # 32 embeddings on 8 prototypes, 4 each
    clustered = torch.stack([apart, apart])
    codes = torch.stack([sinkhorn(view) for view in clustered])
    assert_close(codes, clustered, rtol=0, atol=1e-7)
    assert swapped_prediction(clustered, codes, 0.1) < 1e-3
    collapsed = torch.full((2, 32, 8), 0.3, dtype=torch.float64)
    uniform = torch.stack([sinkhorn(view) for view in collapsed])
    assert swapped_prediction(collapsed, uniform, 0.1).item() == pytest.approx(math.log(8))
    pointing = collapsed.clone()
    pointing[..., 0] = 0.9  # all at one prototype: the codes stay equal shares, so it costs more than log K
    assert_close(sinkhorn(pointing[0]), uniform[0])
    assert swapped_prediction(pointing, uniform, 0.1) > math.log(8) + 1


def test_under_autocast_the_loss_is_float32():
    with torch.autocast("cpu", torch.bfloat16):
        scores = cosines(2, 6, 4, dtype=torch.bfloat16)
        codes = torch.stack([sinkhorn(view) for view in scores])
        assert codes.dtype == swapped_prediction(scores, codes, 0.1).dtype == torch.float32


REFUSED = {
    r"scores is \[0, 3\]; it must be \[N, K\]": lambda s: sinkhorn(s[0, :0]),
    r"eps is 0\.0 and steps 3; eps must be positive": lambda s: sinkhorn(s[0], 0.0),
    r"eps is 0\.05 and steps 0": lambda s: sinkhorn(s[0], 0.05, 0),
    r"scores \[1, 6, 3\] must be \[V, N, K\] of at least two views": lambda s: swap(s[:1], s[:1], 0.1),
    r"codes \[3, 6, 3\] \[A, N, K\] of the first A": lambda s: swap(s, torch.cat([s, s[:1]]), 0.1),
    r"codes \[2, 6, 2\]": lambda s: swap(s, s[..., :2], 0.1),
    r"temperature is 0\.0; it must be positive": lambda s: swap(s, s, 0.0),
}
swap = unwrap(swapped_prediction)


@pytest.mark.parametrize("sentence", REFUSED)
def test_what_does_not_fit_is_one_sentence(sentence):
    with pytest.raises(ValueError, match=sentence):
        REFUSED[sentence](cosines(2, 6, 3))
