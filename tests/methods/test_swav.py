"""SwAV: the equation over an encoder, the queue, further crops, and what a look at the encoder attacks."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from sparring.encoders import Prototypes
from sparring.losses import sinkhorn
from sparring.methods import SwAV
from sparring.types import Batch
from tests.methods.networks import SmallClustering
from tests.reference import prototypes as reference


def new_encoder(queue=0):
    return SmallClustering(prototypes=5, queue=queue).double().train()


def new_batch(seed=1, images=6, crops=0, **known):
    generator = torch.Generator().manual_seed(seed)
    views = torch.rand(2, images, 3, 6, 6, generator=generator, dtype=torch.float64)
    small = torch.rand(crops, images, 3, 3, 3, generator=generator, dtype=torch.float64) if crops else None
    return Batch(views, crops=small, **known)


def scores_of(encoder, x):
    z = F.normalize(encoder.head(encoder.represent(x.flatten(0, 1))), dim=1)
    return (z @ encoder.prototypes.weight.T).unflatten(0, x.shape[:2])


@pytest.mark.parametrize("crops", [0, 3])
def test_the_call_is_the_papers_loop_with_its_gradient(crops):
    encoder, batch = new_encoder(), new_batch(crops=crops)
    (loss,) = SwAV(crops=crops)(encoder, batch).values()
    scores = scores_of(encoder, batch.views)
    codes = np.stack([reference.codes(view.tolist(), 0.05, 3) for view in scores])
    if crops:
        scores = torch.cat([scores, scores_of(encoder, batch.crops)])
    value, gradient = reference.swapped_prediction(scores.detach().numpy(), codes, 0.1)
    assert loss.item() == pytest.approx(value, rel=1e-12)
    ours = torch.autograd.grad(loss, list(encoder.parameters()), retain_graph=True)
    theirs = torch.autograd.grad(scores, list(encoder.parameters()), torch.from_numpy(gradient))
    for g, h in zip(ours, theirs, strict=True):
        assert_close(g, h, rtol=1e-9, atol=1e-12)
    assert sum(bool(g.abs().max() > 1e-6) for g in ours) >= 4


def test_how_many_prototypes_are_nearest_to_a_view_is_counted():
    encoder, batch = new_encoder(), new_batch()
    SwAV()(encoder, batch)
    nearest = scores_of(encoder, batch.views).argmax(-1)
    assert batch.counts["prototypes_used"] == len(nearest.unique())


def test_the_queue_is_first_in_first_out():
    prototypes = Prototypes(3, 2, queue=5)
    rows = F.normalize(torch.randn(2, 9, 2), dim=-1)
    for start in (0, 3, 6):
        prototypes.remember(rows[:, start : start + 3])
        assert prototypes.present.sum() == 2 * min(start + 3, 5)
    # newest batch in front, each in its own order; of the one before, the two that stood in front
    assert torch.equal(prototypes.queue, rows[:, [6, 7, 8, 3, 4]])
    prototypes.remember(rows)
    assert torch.equal(prototypes.queue, rows[:, :5])
    assert not prototypes.queue.requires_grad and "queue" in prototypes.state_dict()


def test_the_queue_is_filled_and_used_from_its_epoch_on():
    method, encoder, plain = SwAV(queue_from=2), new_encoder(queue=10), new_encoder()
    for epoch in (0, 1, 2):  # in its first epoch the queue is still empty: the same codes
        batch = new_batch(epoch=epoch)
        assert_close(method(encoder, batch), method(plain, new_batch()), rtol=1e-12, atol=0)
        assert encoder.prototypes.present.sum() == (12 if epoch == 2 else 0)
    z = encoder(batch.views.flatten(0, 1)).unflatten(0, (2, 6)).detach()
    assert_close(encoder.prototypes.queue[:, :6], z)
    other = new_batch(seed=2, epoch=2)
    assert abs(method(encoder, other)["swapped_prediction"] - method(plain, other)["swapped_prediction"]) > 1e-4


def test_rows_of_the_queue_share_the_prototypes_with_the_batch():
    method, encoder = SwAV(queue_from=0), new_encoder(queue=9)
    earlier = F.normalize(torch.randn(2, 4, 8, dtype=torch.float64), dim=-1)
    encoder.prototypes.remember(earlier)
    scores = scores_of(encoder, new_batch().views).detach()
    codes = method.codes(encoder.prototypes, scores, queued=True)
    for view in (0, 1):
        rows = torch.cat([earlier[view] @ encoder.prototypes.weight.detach().T, scores[view]])
        assert_close(codes[view], sinkhorn(rows)[-6:])
    assert not torch.allclose(codes, method.codes(encoder.prototypes, scores, queued=False), atol=1e-3)


def test_without_room_in_the_queue_nothing_is_remembered():
    encoder = new_encoder()
    assert_close(SwAV(queue_from=0)(encoder, new_batch()), SwAV(queue_from=9)(new_encoder(), new_batch()))
    assert encoder.prototypes.queue.shape == (2, 0, 8)


def test_what_an_analysis_attacks_is_the_loss_between_two_views_without_the_queue():
    encoder, batch = new_encoder(queue=9), new_batch()
    encoder.prototypes.remember(F.normalize(torch.randn(2, 9, 8, dtype=torch.float64), dim=-1))
    before = encoder.prototypes.queue.clone()
    z_a, z_b = encoder(batch.views.flatten(0, 1)).unflatten(0, (2, 6))
    assert_close(SwAV().loss_on(encoder)(z_a, z_b, batch), SwAV()(encoder, batch)["swapped_prediction"])
    assert torch.equal(encoder.prototypes.queue, before)


def test_prototypes_start_and_are_kept_at_unit_length():
    prototypes = Prototypes(40, 8)
    ones = torch.ones(40)
    assert_close(prototypes.weight.norm(dim=1), ones)
    torch.optim.SGD(prototypes.parameters(), lr=1.0).step(lambda: _backward(prototypes))
    assert (prototypes.weight.norm(dim=1) - 1).abs().max() > 0.1
    direction = prototypes.weight.detach() / prototypes.weight.detach().norm(dim=1, keepdim=True)
    prototypes.normalize_()
    assert_close(prototypes.weight.detach(), direction)


def _backward(prototypes):
    loss = (prototypes(torch.randn(3, 8)) * torch.randn(3, 40)).sum()
    loss.backward()
    return loss


def test_scores_are_float32_under_autocast():
    prototypes, z = Prototypes(4, 8), F.normalize(torch.randn(3, 8), dim=1)
    with torch.autocast("cpu", torch.bfloat16):
        scores = prototypes(z)
    assert scores.dtype == torch.float32
    assert_close(scores, (z.double() @ prototypes.weight.double().T).float())


@pytest.mark.parametrize(("count", "queue"), [(1, 0), (3, -1)])
def test_impossible_prototypes_are_refused(count, queue):
    with pytest.raises(ValueError, match=rf"prototypes is {count} and queue {queue}; at least 2"):
        Prototypes(count, 8, queue)
