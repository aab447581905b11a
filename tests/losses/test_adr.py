"""The terms of ADR against loops of the published code."""

from inspect import unwrap

import pytest
import torch
from torch.testing import assert_close

import sparring.losses.distance as distance
from sparring.losses import confidence, global_compactness, local_compactness, local_smoothness
from tests.losses.inputs import DTYPES, TOLERANCE, assert_equals_reference, embeddings, value_and_gradients
from tests.reference import adversarial as reference

LABELS = torch.tensor([0, 1, 0, 2, 1, 0])
PAIRED = pytest.mark.parametrize(
    ("term", "loop"),
    [
        (local_compactness, reference.local_compactness),
        (local_smoothness, reference.local_smoothness),
        (
            lambda h, h_adv: global_compactness(h, h_adv, LABELS),
            lambda h, h_adv: reference.global_compactness(h, h_adv, LABELS.tolist()),
        ),
    ],
    ids=["LC", "LS", "GC"],
)


def pair(dtype=torch.float64):
    return [embeddings(6, 4, dtype=dtype, seed=seed) for seed in (1, 2)]


@DTYPES
@PAIRED
def test_term_is_its_loop_and_the_clean_side_is_a_target(dtype, term, loop):
    clean, adv = pair(dtype)
    assert_equals_reference(lambda adv: term(clean, adv), lambda adv: loop(clean.double(), adv), [adv])
    assert torch.autograd.grad(term(clean, adv), clean, allow_unused=True) == (None,)


@DTYPES
def test_confidence_is_the_entropy_with_its_whole_gradient(dtype):
    assert_equals_reference(confidence, reference.confidence, [embeddings(6, 4, dtype=dtype)])


def test_confidence_of_what_is_known():
    assert_close(confidence(torch.zeros(3, 10)), torch.tensor(10.0).log())
    certain = torch.tensor([[800.0, 0, -800]], requires_grad=True)
    with torch.autograd.set_detect_anomaly(True):
        value, gradient = value_and_gradients(confidence, certain)
    assert value == 0
    assert not gradient.any()


def test_smoothness_is_least_where_predictions_agree():
    """There it is the entropy of the clean prediction, and the adversarial scores have no gradient."""
    clean, _ = pair()
    value, gradient = value_and_gradients(lambda adv: local_smoothness(clean, adv), clean.detach().requires_grad_() - 1)
    assert_close(value, confidence(clean.detach()))
    assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-12)


def test_global_compactness_pulls_within_a_class_and_pushes_a_hundredth_across():
    h, h_adv = torch.zeros(2, 3), torch.ones(2, 3)
    assert_close(global_compactness(h, h_adv, torch.tensor([4, 4])), torch.tensor(1.0))
    across = (2 * 1 + 2 * (1 - 1 / 0.99)) / 4
    assert_close(global_compactness(h, h_adv, torch.tensor([4, 7])), torch.tensor(across))


def test_a_batch_of_one_class_is_finite():
    """The published weights divide by the largest label distance, which is zero there."""
    clean, adv = pair()
    value = global_compactness(clean, adv, torch.zeros(6, dtype=torch.int64))
    assert_close(value, torch.stack([local_compactness(clean.roll(k, 0), adv) for k in range(6)]).mean())


def test_blocks_change_nothing(monkeypatch):
    clean, adv = pair()
    whole = value_and_gradients(lambda adv: global_compactness(clean, adv, LABELS), adv)
    monkeypatch.setattr(distance, "ELEMENTS", 1)
    for x, y in zip(value_and_gradients(lambda adv: global_compactness(clean, adv, LABELS), adv), whole, strict=True):
        assert_close(x, y, rtol=1e-12, atol=1e-12)


@PAIRED
def test_low_precision_is_computed_in_float32_with_and_without_autocast(term, loop):
    clean, adv = (x.to(torch.bfloat16).detach().requires_grad_() for x in pair())
    exact = value_and_gradients(lambda adv: loop(clean.double(), adv), adv.detach().double().requires_grad_())
    plain = value_and_gradients(lambda adv: term(clean, adv), adv)
    with torch.autocast("cpu", torch.bfloat16):
        under_autocast = value_and_gradients(lambda adv: term(clean, adv), adv)
    assert plain[0].dtype == torch.float32
    assert_close(plain[0].double(), exact[0], rtol=TOLERANCE[torch.float32], atol=1e-6)
    for x, y, z in zip(plain, under_autocast, exact, strict=True):
        assert torch.equal(x, y)
        assert_close(x.double(), z, rtol=2**-8, atol=1e-5)


class TestBadInput:
    @pytest.mark.parametrize("shapes", [((4, 3), (4, 2)), ((4, 3), (5, 3)), ((4,), (4,)), ((0, 3), (0, 3))])
    def test_shapes(self, shapes):
        a, b = (torch.zeros(shape) for shape in shapes)
        sentence = r"\[.*\] must be of one two-dimensional shape with at least one image$"
        with pytest.raises(ValueError, match=rf"^h \[.*\] and h_adv {sentence}"):
            unwrap(local_compactness)(a, b)
        with pytest.raises(ValueError, match=rf"^h \[.*\] and h_adv {sentence}"):
            unwrap(global_compactness)(a, b, torch.zeros(len(a), dtype=torch.int64))
        with pytest.raises(ValueError, match=rf"^logits \[.*\] and logits_adv {sentence}"):
            unwrap(local_smoothness)(a, b)

    def test_no_images(self):
        with pytest.raises(
            ValueError, match=r"^logits_adv is \[0, 3\], but it must be \[B, K\] with at least one image"
        ):
            confidence(torch.zeros(0, 3))

    def test_labels(self):
        clean, adv = pair()
        with pytest.raises(ValueError, match=r"^labels is \[5\] for 6 images: one label an image is needed$"):
            unwrap(global_compactness)(clean, adv, LABELS[:5])
