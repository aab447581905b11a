"""ASCL's supervised contrastive loss: eq. 1-3 with each similarity and selection, and distances that keep no N x M x D."""

from inspect import unwrap

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import sparring.losses.distance as module
from sparring.losses import info_nce
from sparring.losses.distance import distances
from sparring.pairs import hard, leaked, leaked_official, same_label, soft
from sparring.types import Pairs, Rows
from tests.losses.inputs import (
    DTYPES,
    assert_equals_reference,
    embeddings,
    random_pairs,
    two_views,
    value_and_gradients,
)
from tests.reference import adversarial as reference
from tests.reference import contrastive, selection

SIMILARITIES = pytest.mark.parametrize("similarity", ["cosine", "l1", "l2", "linf"])
DISTANCES = pytest.mark.parametrize("norm", ["l1", "l2", "linf"])
PAPER = {"global": same_label, "hard": hard, "soft": soft, "leaked": leaked}
PUBLISHED = {"all": same_label, "hard": hard, "soft": soft, "leaking": leaked_official}
LABELS = [0, 1, 1, 0, 2]
PREDICTIONS = [0, 1, 2, 1, 2, 0, 1, 1, 1, 0]


def rows() -> Rows:
    labels = torch.tensor(LABELS)
    return Rows(torch.arange(5).repeat(2), labels.repeat(2), prediction=torch.tensor(PREDICTIONS))


def table_1(strategy: str) -> tuple[list[set], list[set]]:
    """Z+ and Z- of every row, the counterpart left out as the paper writes them."""
    both = [selection.positives_and_negatives(strategy, LABELS, PREDICTIONS, i) for i in range(10)]
    return [positives - {(i + 5) % 10} for i, (positives, _) in enumerate(both)], [negatives for _, negatives in both]


@DTYPES
@SIMILARITIES
@pytest.mark.parametrize("strategy", PAPER)
def test_twice_the_mean_over_rows_is_equation_3(dtype, similarity, strategy):
    """The sum over rows over N images is twice the mean over 2N rows."""
    assert_equals_reference(
        lambda z: 2 * info_nce(z, z, PAPER[strategy](rows()), 0.5, similarity),
        lambda z: reference.scl(z, *table_1(strategy), 0.5, similarity),
        [embeddings(10, 4, dtype=dtype)],
    )


@SIMILARITIES
@pytest.mark.parametrize("strategy", PUBLISHED)
def test_the_mean_over_rows_is_the_published_code(similarity, strategy):
    assert_equals_reference(
        lambda z: info_nce(z, z, PUBLISHED[strategy](rows()), 0.5, similarity),
        lambda z: reference.scl_published(z, LABELS * 2, PREDICTIONS, 0.5, similarity, strategy),
        [embeddings(10, 4)],
    )


@pytest.mark.parametrize("strategy", ["global", "hard", "soft"])
def test_paper_and_published_code_differ_by_two(strategy):
    """Where they select the same pairs; the published scripts' weight 1 is the paper's 1/2."""
    z = embeddings(10, 4).detach()
    paper = reference.scl(z, *table_1(strategy), 0.07, "cosine")
    published = "all" if strategy == "global" else strategy
    assert_close(paper, 2 * reference.scl_published(z, LABELS * 2, PREDICTIONS, 0.07, "cosine", published))


def test_global_selection_with_the_cosine_is_supcon_exactly():
    """Facts anchor (e): the same value and the same gradient, to the bit."""
    z = embeddings(10, 6, dtype=torch.float32)
    masks = same_label(rows())
    ascl = value_and_gradients(lambda z: info_nce(z, z, masks, 0.07, similarity="cosine"), z)
    supcon = value_and_gradients(lambda z: info_nce(z, z, masks, 0.07), z)
    assert all(torch.equal(a, b) for a, b in zip(ascl, supcon, strict=True))
    loop = contrastive.sup_con_out(
        z.detach().double(), z.detach().double(), masks.positive.tolist(), masks.contrast.tolist(), 0.07
    )
    assert_close(ascl[0].double(), loop, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("similarity", ["l1", "l2", "linf"])
class TestDistanceAsSimilarity:
    def test_rows_are_not_normalised(self, similarity):
        z, masks = embeddings(8, 4), two_views(4)
        assert_close(info_nce(3 * z, 3 * z, masks, 3.0, similarity), info_nce(z, z, masks, 1.0, similarity))
        unit = F.normalize(z, dim=1)
        assert abs(info_nce(z, z, masks, 1.0, similarity) - info_nce(unit, unit, masks, 1.0, similarity)) > 1e-2

    def test_blocks_of_rows_change_nothing(self, similarity, monkeypatch):
        z, masks = embeddings(11, 4), random_pairs(11, 11)
        whole = value_and_gradients(lambda z: info_nce(z, z, masks, 0.1, similarity), z)
        monkeypatch.setattr(module, "ELEMENTS", 3 * 11 * 4)
        blocks = value_and_gradients(lambda z: info_nce(z, z, masks, 0.1, similarity), z)
        for x, y in zip(whole, blocks, strict=True):
            assert_close(x, y, rtol=1e-12, atol=1e-12)

    def test_autocast_changes_neither_value_nor_gradient(self, similarity):
        z, masks = embeddings(16, 8, dtype=torch.float32), two_views(8)
        expected = value_and_gradients(lambda z: info_nce(z, z, masks, 0.1, similarity), z)
        with torch.autocast("cpu", torch.bfloat16):
            found = value_and_gradients(lambda z: info_nce(z, z, masks, 0.1, similarity), z)
        for x, y in zip(found, expected, strict=True):
            assert_close(x, y, rtol=0, atol=0)

    def test_bf16_rows_against_the_float64_loop(self, similarity):
        z = embeddings(10, 6).to(torch.bfloat16).detach().requires_grad_()
        found = value_and_gradients(lambda z: info_nce(z, z, leaked_official(rows()), 0.05, similarity), z)
        loop = value_and_gradients(
            lambda z: reference.scl_published(z, LABELS * 2, PREDICTIONS, 0.05, similarity, "leaking"),
            z.detach().double().requires_grad_(),
        )
        assert found[0].dtype == torch.float32
        assert_close(found[0].double(), loop[0], rtol=1e-6, atol=1e-6)
        if similarity != "linf":  # where the largest differences of 8-bit numbers tie, the loop takes the first
            assert_close(found[1].double(), loop[1], rtol=2**-8, atol=1e-5)

    def test_rows_that_coincide_make_no_nan(self, similarity):
        """As an image and an adversarial example that the attack could not move."""
        z = torch.eye(4).repeat(2, 1).requires_grad_()
        with torch.autograd.set_detect_anomaly(True):
            value = info_nce(z, z, two_views(4), 0.01, similarity)
            (gradient,) = torch.autograd.grad(value, z)
        assert value.isfinite()
        assert gradient.isfinite().all()

    def test_large_distances_at_a_low_temperature_stay_finite(self, similarity):
        z = (1000 * embeddings(8, 4, dtype=torch.float32)).detach().requires_grad_()
        value, gradient = value_and_gradients(lambda z: info_nce(z, z, two_views(4), 0.01, similarity), z)
        assert value.isfinite()
        assert gradient.isfinite().all()


@DISTANCES
def test_derivatives_are_those_of_finite_differences(norm):
    a, b = embeddings(3, 4, seed=1), embeddings(5, 4, seed=2)
    assert torch.autograd.gradcheck(lambda a, b: distances(a, b, norm), (a, b))
    assert torch.autograd.gradgradcheck(lambda a, b: distances(a, b, norm), (a, b))


@DISTANCES
def test_rows_that_nearly_coincide_keep_their_distance(norm):
    """By inner products it would drown: 1e-6 beside squared lengths of 64 in float32."""
    a = torch.ones(1, 64)
    b = a.clone()
    b[0, 0] += 2**-20
    a.requires_grad_()
    d = distances(a, b, norm)
    assert_close(d, torch.full((1, 1), 2**-20), rtol=1e-6, atol=0)
    (gradient,) = torch.autograd.grad(d.sum(), a)
    assert_close(gradient, torch.eye(64)[:1] * -1.0)


def test_subgradients_where_there_is_no_gradient():
    """At distance zero: zero. Where two coordinates tie for linf: half each, an element of the subdifferential."""
    a, b = torch.zeros(1, 3, requires_grad=True), torch.tensor([[-2.0, 2.0, 1.0]])
    for norm in ("l1", "l2", "linf"):
        assert not torch.autograd.grad(distances(a, a.detach(), norm).sum(), a)[0].any()
    assert_close(torch.autograd.grad(distances(a, b, "linf").sum(), a)[0], torch.tensor([[0.5, -0.5, 0.0]]))


class Largest(TorchDispatchMode):
    """Numbers in the largest tensor that any operation returns."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        new = [x.untyped_storage().nbytes() // x.element_size() for x in tree_leaves(out) if torch.is_tensor(x)]
        self.elements = max(self.elements, *new, 0)
        return out


@pytest.mark.parametrize("similarity", ["l1", "l2", "linf"])
def test_memory_is_that_of_the_similarities_and_one_small_block(similarity, monkeypatch):
    n, d = 64, 32
    z, masks = embeddings(n, d, dtype=torch.float32), two_views(n // 2)
    monkeypatch.setattr(module, "ELEMENTS", 4 * n * d)
    kept: dict[int, int] = {}

    def keep(x):
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with Largest() as largest, torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        info_nce(z, z, masks, 0.1, similarity).backward()
    assert largest.elements == 4 * n * d < n * n * d
    assert max(kept.values()) <= 4 * n * n
    assert sum(kept.values()) <= 2 * 4 * n * n + 2 * n * n + 8 * n * d * 4


@SIMILARITIES
def test_nothing_depends_on_values_in_python(similarity):
    """Tensors without values: a branch on data, which would make a GPU wait, raises here."""
    with FakeTensorMode():
        z = torch.empty(8, 4, requires_grad=True)
        info_nce(z, z, two_views(4), 0.1, similarity).backward()
        assert z.grad is not None


@pytest.mark.gpu
@SIMILARITIES
def test_a_gpu_gives_what_the_cpu_gives_without_being_waited_for(similarity):
    z, masks = embeddings(64, 32, dtype=torch.float32), two_views(32)
    expected = value_and_gradients(lambda z: info_nce(z, z, masks, 0.5, similarity), z)
    on_gpu, masks = z.detach().cuda().requires_grad_(), Pairs(masks.positive.cuda(), masks.contrast.cuda())
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = value_and_gradients(lambda z: info_nce(z, z, masks, 0.5, similarity), on_gpu)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for x, y in zip(found, expected, strict=True):
        assert_close(x.cpu(), y, rtol=1e-5, atol=1e-5)


def test_a_similarity_that_is_none_is_named():
    z = embeddings(4, 3)
    with pytest.raises(ValueError, match=r"^similarity is 'dot', but it must be one of cosine, l1, l2, linf$"):
        unwrap(info_nce)(z, z, two_views(2), 0.1, "dot")


def test_masks_are_checked_with_a_distance_too():
    z, mask = embeddings(4, 3), torch.ones(5, 4, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"^pairs.positive is torch.bool \[5, 4\]"):
        info_nce(z, z, Pairs(mask, mask), 0.1, "l2")
