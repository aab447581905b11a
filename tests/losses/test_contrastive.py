"""info_nce and instance_discrimination against the papers' loops."""

import inspect

import pytest
import torch
from torch.testing import assert_close

from sparring.losses import contrastive, info_nce, instance_discrimination
from sparring.types import Pairs
from tests.losses.inputs import (
    DTYPES,
    assert_equals_reference,
    embeddings,
    random_pairs,
    two_views,
    value_and_gradients,
)
from tests.reference import contrastive as reference


@DTYPES
@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
def test_plain_is_equation_10(dtype, temperature):
    pairs = Pairs(torch.eye(6, dtype=torch.bool), torch.ones(6, 6, dtype=torch.bool))
    assert_equals_reference(
        lambda a, b: info_nce(a, b, pairs, temperature),
        lambda a, b: reference.plain(a, b, temperature),
        [embeddings(6, 5, dtype=dtype, seed=seed) for seed in (1, 2)],
    )


NT_XENT = [
    reference.nt_xent_acl,
    reference.nt_xent_clae,
    reference.nt_xent_rocl,
    reference.nt_xent_sup_contrast,
]


@DTYPES
@pytest.mark.parametrize("published", NT_XENT)
@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_nt_xent_is_each_published_form(dtype, published, temperature):
    """Facts anchor (b)."""
    assert_equals_reference(
        lambda a, b: info_nce(torch.cat([a, b]), torch.cat([a, b]), two_views(5), temperature),
        lambda a, b: published(a, b, temperature),
        [embeddings(5, 4, dtype=dtype, seed=seed) for seed in (1, 2)],
    )


@DTYPES
@pytest.mark.parametrize("shape", [(5, 5), (4, 7), (7, 3)])
def test_any_masks_are_the_sum_outside_the_log(dtype, shape):
    n, m = shape
    pairs = random_pairs(n, m)
    assert_equals_reference(
        lambda a, k: info_nce(a, k, pairs, 0.2),
        lambda a, k: reference.sup_con_out(a, k, pairs.positive.tolist(), pairs.contrast.tolist(), 0.2),
        [embeddings(n, 6, dtype=dtype, seed=1), embeddings(m, 6, dtype=dtype, seed=2)],
    )


@DTYPES
def test_positives_inside_the_log_are_summed_before_it(dtype):
    pairs = random_pairs(5, 7)

    def loop(a, k):
        cos = reference.cosines(a, k)
        total = torch.zeros((), dtype=torch.float64)
        for i in range(5):
            weight = [(c / 0.2).exp() for c in cos[i]]
            positive = [weight[p] for p in range(7) if pairs.positive[i, p]]
            if positive:
                total = total - (sum(positive) / sum(weight[p] for p in range(7) if pairs.contrast[i, p])).log()
        return total / 5

    assert_equals_reference(
        lambda a, k: info_nce(a, k, pairs, 0.2, positives="inside"),
        loop,
        [embeddings(5, 6, dtype=dtype, seed=1), embeddings(7, 6, dtype=dtype, seed=2)],
    )
    with pytest.raises(ValueError, match="positives is 'beside', but it must be one of outside, inside"):
        inspect.unwrap(info_nce)(*[embeddings(5, 6)] * 2, random_pairs(5, 5), 0.2, positives="beside")


@DTYPES
@pytest.mark.parametrize("detach_keys", [True, False])
@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_uel_is_the_closed_form(dtype, detach_keys, temperature):
    """Facts anchor (d)."""
    assert_equals_reference(
        lambda z: instance_discrimination(z, two_views(4), temperature, detach_keys=detach_keys),
        lambda z: reference.uel(z, temperature, detach_keys),
        [embeddings(8, 5, dtype=dtype)],
    )


@DTYPES
def test_uel_of_any_masks_averages_positives_and_pushes_the_rest(dtype):
    pairs = random_pairs(6, 6, seed=3)
    assert_equals_reference(
        lambda z: instance_discrimination(z, pairs, 0.3),
        lambda z: reference.uel_masked(z, pairs.positive.tolist(), pairs.contrast.tolist(), 0.3),
        [embeddings(6, 4, dtype=dtype)],
    )


def test_detached_keys_leave_only_the_anchors_gradient():
    z = embeddings(8, 5)
    full, detached = (
        torch.autograd.grad(instance_discrimination(z, two_views(4), 0.1, detach_keys=keys), z)[0]
        for keys in (False, True)
    )
    assert not torch.allclose(full, detached)


def test_default_of_uel_is_detached_keys():
    z = embeddings(8, 5)
    (gradient,) = torch.autograd.grad(instance_discrimination(z, two_views(4), 0.1), z)
    (loop,) = torch.autograd.grad(reference.uel(z, 0.1, detach_keys=True), z)
    assert_close(gradient, loop, rtol=1e-10, atol=1e-10)


def test_blocks_of_anchors_change_nothing(monkeypatch):
    z, pairs = embeddings(11, 4), random_pairs(11, 11)
    for loss in (
        lambda z: info_nce(z, z, pairs, 0.1),
        lambda z: instance_discrimination(z, pairs, 0.1, detach_keys=False),
    ):
        whole = value_and_gradients(loss, z)
        with monkeypatch.context() as patch:
            patch.setattr(contrastive, "BLOCK", 4)
            blocks = value_and_gradients(loss, z)
        for x, y in zip(whole, blocks, strict=True):
            assert_close(x, y, rtol=1e-12, atol=1e-12)


def test_memory_is_that_of_the_similarities():
    """Nothing of N x N x D, and what info_nce keeps for backward is one float matrix beside its masks."""
    z, pairs = embeddings(64, 32, dtype=torch.float32), two_views(32)
    for loss, matrices in ((info_nce, 1.0), (lambda a, _, *rest: instance_discrimination(a, *rest), 8.0)):
        kept: dict[int, int] = {}

        def keep(x, kept=kept):
            kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
            return x

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            value = loss(z, z, pairs, 0.1)
        matrix, masks, rows = 64 * 64 * 4, 2 * 64 * 64, 8 * 64 * 32 * 4
        assert max(kept.values()) == matrix
        assert matrix < sum(kept.values()) <= matrices * matrix + masks + rows
        value.backward()


def test_first_and_second_derivatives_are_those_of_finite_differences():
    a, k, pairs = embeddings(4, 3, seed=1), embeddings(5, 3, seed=2), random_pairs(4, 5)
    assert torch.autograd.gradcheck(lambda a, k: info_nce(a, k, pairs, 0.5), (a, k))
    assert torch.autograd.gradgradcheck(lambda a, k: info_nce(a, k, pairs, 0.5), (a, k))
    z, square = embeddings(5, 3), random_pairs(5, 5)
    assert torch.autograd.gradcheck(lambda z: instance_discrimination(z, square, 0.5, detach_keys=False), z)


@pytest.mark.parametrize("images", [1, 3, 8])
def test_identical_embeddings_give_log_of_the_number_of_keys(images):
    """Uninformative embeddings: log(2B - 1) for NT-Xent, log B for Plain."""
    z = torch.ones(2 * images, 4)
    n = torch.tensor(2.0 * images)
    assert_close(info_nce(z, z, two_views(images), 0.5), (n - 1).log())
    plain = Pairs(torch.eye(images, dtype=torch.bool), torch.ones(images, images, dtype=torch.bool))
    assert_close(info_nce(z[:images], z[images:], plain, 0.5), (n / 2).log())


def test_plain_has_no_keys_of_the_anchors_own_view():
    """Moving the anchors of other images changes NT-Xent of an anchor, not its Plain loss."""
    a, b, moved = embeddings(4, 5, seed=1), embeddings(4, 5, seed=2), embeddings(4, 5, seed=3)
    moved = torch.cat([a[:1], moved[1:]])
    plain = Pairs(torch.eye(4, dtype=torch.bool)[:1], torch.ones(1, 4, dtype=torch.bool))
    assert_close(info_nce(a[:1], b, plain, 0.1), info_nce(moved[:1], b, plain, 0.1), rtol=0, atol=0)
    first = two_views(4)[:1, :]
    before, after = (info_nce(x[:1], torch.cat([x, b]), first, 0.1) for x in (a, moved))
    assert abs(before - after) > 1e-3
    whole = Pairs(torch.eye(4, dtype=torch.bool), torch.ones(4, 4, dtype=torch.bool))
    z = torch.cat([a, b])
    assert abs(info_nce(a, b, whole, 0.1) - info_nce(z, z, two_views(4), 0.1)) > 1e-2
