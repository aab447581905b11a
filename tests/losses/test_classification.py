"""VAT and TRADES against their loops and torch's KLDivLoss."""

from inspect import unwrap

import pytest
import torch
from torch.testing import assert_close

from sparring.losses import trades, vat
from tests.losses.inputs import DTYPES, assert_equals_reference, embeddings, value_and_gradients
from tests.reference import adversarial as reference

BOTH = pytest.mark.parametrize("loss", [vat, trades])


def logits(*shape, dtype=torch.float64):
    return [embeddings(*shape, dtype=dtype, seed=seed) for seed in (1, 2)]


@DTYPES
@BOTH
@pytest.mark.parametrize("published", [reference.kl, reference.kl_trades])
def test_is_equation_5_with_gradients_through_both(dtype, loss, published):
    assert_equals_reference(loss, published, logits(5, 7, dtype=dtype))


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_published_vat_is_that_over_the_number_of_classes(classes):
    """The `official` scale: 10 on CIFAR-10."""
    assert_equals_reference(
        lambda a, b: vat(a, b) / a.shape[1],
        reference.kl_published,
        logits(4, classes),
    )


@BOTH
def test_direction_is_from_the_clean_to_the_adversarial(loss):
    clean, adv = torch.tensor([[4.0, 0.0]]), torch.tensor([[0.0, 0.0]])
    p = torch.tensor([4.0, 0.0]).softmax(0)
    assert_close(loss(clean, adv), (p * p.log()).sum() + torch.tensor(2.0).log())
    assert abs(loss(clean, adv) - loss(adv, clean)) > 0.1


@BOTH
def test_equal_scores_are_the_minimum(loss):
    """Also scores that differ by a constant, which are the same probabilities."""
    z = embeddings(4, 5)
    value, gradient_clean, gradient_adv = value_and_gradients(loss, z, z.detach().requires_grad_() + 3)
    assert_close(value, torch.zeros_like(value), rtol=0, atol=1e-12)
    for gradient in (gradient_clean, gradient_adv):
        assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-12)


@BOTH
def test_certain_classifiers_make_no_nan(loss):
    clean = torch.tensor([[500.0, 0, -500], [0, 0, 0]], requires_grad=True)
    adv = torch.tensor([[-500.0, 0, 500], [500, 0, -500]], requires_grad=True)
    with torch.autograd.set_detect_anomaly(True):
        value, *gradients = value_and_gradients(loss, clean, adv)
    assert_close(value, (torch.tensor(1000.0) + 500 - torch.tensor(3.0).log()) / 2)
    assert all(gradient.isfinite().all() for gradient in gradients)


@BOTH
def test_low_precision_scores_are_computed_in_float32_with_and_without_autocast(loss):
    a, b = (x.to(torch.bfloat16).detach().requires_grad_() for x in logits(6, 10))
    exact = value_and_gradients(
        reference.kl, a.detach().double().requires_grad_(), b.detach().double().requires_grad_()
    )
    plain = value_and_gradients(loss, a, b)
    with torch.autocast("cpu", torch.bfloat16):
        under_autocast = value_and_gradients(loss, a, b)
    assert plain[0].dtype == torch.float32
    assert_close(plain[0].double(), exact[0], rtol=1e-6, atol=1e-6)
    for x, y, z in zip(plain, under_autocast, exact, strict=True):
        assert torch.equal(x, y)
        assert_close(x.double(), z, rtol=2**-8, atol=1e-5)


@pytest.mark.parametrize("shapes", [((4, 3), (4, 2)), ((4, 3), (5, 3)), ((4,), (4,)), ((0, 3), (0, 3))])
def test_scores_that_do_not_fit_are_named(shapes):
    a, b = (torch.zeros(shape) for shape in shapes)
    with pytest.raises(
        ValueError, match=r"^logits \[.*\] and logits_adv \[.*\] must both be \[B, K\] with at least one"
    ):
        unwrap(vat)(a, b)
