"""What must hold of the losses for any embeddings, at low precision, and for bad input."""

from inspect import unwrap

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.testing import assert_close

from sparring.losses import info_nce, instance_discrimination
from sparring.types import Pairs
from tests.losses.inputs import DTYPES, LOSSES, embeddings, random_pairs, two_views, value_and_gradients
from tests.reference import contrastive as reference


@LOSSES
def test_anchors_without_positives_contribute_zero_and_stay_in_the_mean(loss):
    z, pairs = embeddings(8, 5), two_views(4)
    lonely = Pairs(pairs.positive.clone(), pairs.contrast.clone())
    lonely.positive[[1, 6]] = False
    lonely.contrast[6] = False  # not even a denominator
    others = torch.tensor([0, 2, 3, 4, 5, 7])
    of_each = torch.stack([loss_of_one(loss, z, pairs, i) for i in others])
    value, gradient = value_and_gradients(lambda z: loss(z, lonely, 0.1), z)
    assert_close(value, of_each.sum() / 8, rtol=1e-12, atol=1e-12)
    assert gradient.isfinite().all()


@LOSSES
def test_no_step_of_the_backward_pass_makes_a_nan(loss):
    """Anomaly detection, a debugging aid of every trainer, refuses NaNs on the way even where a mask drops them later."""
    z, pairs = embeddings(8, 5), two_views(4)
    pairs.positive[[1, 6]] = False
    pairs.contrast[6] = False
    with torch.autograd.set_detect_anomaly(True):
        loss(z, pairs, 0.1).backward()


def loss_of_one(loss, z, pairs: Pairs, anchor: int):
    """Anchor's own part, from a loss in which only this anchor has positives."""
    only = Pairs(torch.zeros_like(pairs.positive), pairs.contrast)
    only.positive[anchor] = pairs.positive[anchor]
    return loss(z, only, 0.1).detach() * len(z)


@LOSSES
def test_no_positives_at_all_is_zero_with_zero_gradient(loss):
    z = embeddings(6, 4)
    pairs = Pairs(torch.zeros(6, 6, dtype=torch.bool), ~torch.eye(6, dtype=torch.bool))
    value, gradient = value_and_gradients(lambda z: loss(z, pairs, 0.1), z)
    assert value == 0
    assert not gradient.any()


@LOSSES
@settings(max_examples=25, deadline=None)
@given(order=st.permutations(range(8)), seed=st.integers(0, 1000))
def test_order_of_rows_does_not_matter(loss, order, seed):
    z, pairs = embeddings(8, 4, seed=seed), random_pairs(8, 8, seed=seed)
    shuffled = Pairs(pairs.positive[order][:, order], pairs.contrast[order][:, order])
    value, gradient = value_and_gradients(lambda z: loss(z, pairs, 0.1), z)
    moved = z.detach()[order].requires_grad_()
    other_value, other_gradient = value_and_gradients(lambda z: loss(z, shuffled, 0.1), moved)
    assert_close(other_value, value, rtol=1e-10, atol=1e-10)
    assert_close(other_gradient, gradient[order], rtol=1e-9, atol=1e-9)


@LOSSES
def test_length_of_embeddings_does_not_matter(loss):
    z, pairs = embeddings(8, 4), two_views(4)
    scale = torch.logspace(-3, 3, 8, dtype=torch.float64)[:, None]
    assert_close(loss(z * scale, pairs, 0.1), loss(z, pairs, 0.1), rtol=1e-10, atol=1e-10)


class TestLowPrecision:
    """Temperature 0.01: similarities run from -100 to 100, and exp(100) overflows float32."""

    def test_bf16_embeddings_against_the_float64_loop(self):
        z = embeddings(12, 16).to(torch.bfloat16).detach().requires_grad_()
        exact = z.detach().double().requires_grad_()
        nt_xent = value_and_gradients(lambda z: info_nce(z, z, two_views(6), 0.01), z)
        loop = value_and_gradients(lambda z: reference.nt_xent_clae(z[:6], z[6:], 0.01), exact)
        self.assert_close_to_loop(nt_xent, loop)
        uel = value_and_gradients(lambda z: instance_discrimination(z, two_views(6), 0.01), z)
        self.assert_close_to_loop(uel, value_and_gradients(lambda z: reference.uel(z, 0.01), exact))

    def assert_close_to_loop(self, found, loop):
        assert found[0].dtype == torch.float32
        assert found[1].dtype == torch.bfloat16
        assert_close(found[0].double(), loop[0], rtol=1e-6, atol=1e-6)
        # The gradient is rounded once, to the dtype of the embeddings.
        assert_close(found[1].double(), loop[1], rtol=2**-8, atol=1e-6)

    @LOSSES
    def test_autocast_changes_neither_value_nor_gradient(self, loss):
        """Also when the backward pass runs under autocast, as an attack's does."""
        z, pairs = embeddings(16, 8, dtype=torch.float32), two_views(8)
        expected = value_and_gradients(lambda z: loss(z, pairs, 0.1), z)
        with torch.autocast("cpu", torch.bfloat16):
            found = value_and_gradients(lambda z: loss(z, pairs, 0.1), z)
        for x, y in zip(found, expected, strict=True):
            assert_close(x, y, rtol=0, atol=0)

    @LOSSES
    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64], ids=str)
    @pytest.mark.parametrize("kind", ["identical", "positives_identical", "negatives_nearest", "opposite", "zero"])
    def test_nothing_becomes_nan(self, loss, dtype, kind):
        z = {
            "identical": torch.ones(8, 4),
            "positives_identical": torch.eye(4).repeat(2, 1),
            "negatives_nearest": torch.eye(4).repeat_interleave(2, dim=0),
            "opposite": torch.ones(8, 4) * torch.tensor([1.0, -1, 1, -1, 1, -1, 1, -1])[:, None],
            "zero": torch.zeros(8, 4),
        }[kind]
        z = z.to(dtype).requires_grad_()
        value, gradient = value_and_gradients(lambda z: loss(z, two_views(4), 0.01), z)
        assert value.isfinite()
        assert gradient.isfinite().all()

    @DTYPES
    def test_a_pushed_key_with_probability_one(self, dtype):
        """Row 0's nearest key is of another image: 1 - P = e^-100 and less, far below the rounding of P."""
        z = torch.tensor([[1.0, 0, 0], [1, 1e-4, 0], [-1, 0, 1], [0, -1, 1]], dtype=dtype)
        z.requires_grad_()
        found = value_and_gradients(lambda z: instance_discrimination(z, two_views(2), 0.01), z)
        expected = value_and_gradients(lambda z: reference.uel(z, 0.01), z.detach().double().requires_grad_())
        assert found[0] > 50
        for x, y in zip(found, expected, strict=True):
            tolerance = {torch.float32: 1e-6, torch.float64: 1e-10}[dtype]
            assert_close(x.double(), y, rtol=tolerance, atol=tolerance * 100)

    def test_mixed_dtypes_meet_in_the_wider_one(self):
        a, k = embeddings(4, 3, dtype=torch.float16), embeddings(4, 3)
        pairs = random_pairs(4, 4)
        assert info_nce(a, k, pairs, 0.1).dtype == torch.float64
        assert info_nce(a, k.half(), pairs, 0.1).dtype == torch.float32


class TestBadInput:
    @pytest.mark.parametrize("temperature", [0.0, -0.5, float("nan"), float("inf")])
    def test_temperature(self, temperature):
        z = embeddings(4, 3)
        for loss in (
            lambda: info_nce(z, z, two_views(2), temperature),
            lambda: instance_discrimination(z, two_views(2), temperature),
        ):
            with pytest.raises(
                ValueError, match=rf"^temperature is {temperature}, but it must be positive and finite$"
            ):
                loss()

    @pytest.mark.parametrize("shape", [(5, 4), (4, 5), (6, 6)])
    def test_masks_of_another_shape(self, shape):
        z, mask = embeddings(4, 3), torch.ones(shape, dtype=torch.bool)
        with pytest.raises(
            ValueError, match=r"^pairs.positive is torch.bool \[\d, \d\], but 4 anchors and 4 keys need"
        ):
            info_nce(z, z, Pairs(mask, mask), 0.1)
        with pytest.raises(
            ValueError, match=r"^pairs.positive is torch.bool \[\d, \d\], but 4 anchors and 4 keys need"
        ):
            instance_discrimination(z, Pairs(mask, mask), 0.1)

    def test_masks_that_are_no_masks(self):
        z, pairs = embeddings(4, 3), two_views(2)
        object.__setattr__(pairs, "contrast", pairs.contrast.float())  # Pairs(...) itself is checked in the test run
        with pytest.raises(
            ValueError, match=r"^pairs.contrast is torch.float32 \[4, 4\], but .* need torch.bool \[4, 4\]$"
        ):
            info_nce(z, z, pairs, 0.1)

    @pytest.mark.parametrize("shapes", [((4, 3), (4, 2)), ((4, 3, 1), (4, 3)), ((4,), (4,))])
    def test_embeddings_that_do_not_fit(self, shapes):
        a, k = (torch.ones(shape) for shape in shapes)
        with pytest.raises(
            ValueError, match=r"^anchors \[.*\] and keys \[.*\] must be \[N, D\] and \[M, D\] with the same D$"
        ):
            unwrap(info_nce)(a, k, two_views(2), 0.1)

    def test_no_rows(self):
        pairs = Pairs(torch.ones(0, 4, dtype=torch.bool), torch.ones(0, 4, dtype=torch.bool))
        with pytest.raises(ValueError, match=r"^there are 0 anchors and 4 keys"):
            info_nce(torch.ones(0, 3), torch.ones(4, 3), pairs, 0.1)


@LOSSES
def test_nothing_depends_on_values_in_python(loss):
    """Tensors without values: an `.item()` or a branch on data, which would make a GPU wait, raises here."""
    with FakeTensorMode():
        z, pairs = torch.empty(8, 4, requires_grad=True), two_views(4)
        loss(z, pairs, 0.1).backward()
        assert z.grad is not None


@pytest.mark.gpu
@LOSSES
def test_no_synchronisation_with_the_device(loss):
    z, pairs = embeddings(8, 4, dtype=torch.float32).detach().cuda().requires_grad_(), two_views(4)
    pairs = Pairs(pairs.positive.cuda(), pairs.contrast.cuda())
    loss(z, pairs, 0.1).backward()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        loss(z, pairs, 0.1).backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
