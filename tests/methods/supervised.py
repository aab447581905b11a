"""What the tests of supervised methods share: a classifier in float64, a batch, and how a total is compared with a loop."""

import pytest
import torch

from sparring.attacks import PGD, Linf
from sparring.types import Batch
from tests.methods.networks import SmallClassifier

EPS, STEP, STEPS = 0.03, 0.01, 3
ATTACK = PGD(Linf(EPS), steps=STEPS, step_size=STEP, random_start=False)
LABELS = torch.tensor([0, 1, 0, 2, 1, 0])


@pytest.fixture
def encoder():
    network = SmallClassifier().double().train()
    with torch.no_grad():  # so that it predicts every class, and adversarial images another one now and then
        x = torch.rand(50, 3, 6, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
        network.classifier.weight *= 20
        network.classifier.bias -= network.outputs(x).logits.mean(dim=0)
    network.calls.clear()
    network.trunk[1].reset_running_stats()
    return network


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(1, 6, 3, 6, 6, generator=generator, dtype=torch.float64)
    return Batch(x, labels=LABELS, generator=torch.Generator().manual_seed(11))


def total(terms):
    return torch.stack(list(terms.values())).sum()


def gradients(value, encoder):
    return torch.autograd.grad(value, list(encoder.parameters()), allow_unused=True)


def assert_equal_with_gradients(ours, theirs, encoder, tolerance=1e-10):
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)
    compared = 0
    for g, h in zip(gradients(ours, encoder), gradients(theirs, encoder), strict=True):
        assert (g is None) == (h is None)
        if g is not None and h is not None:
            torch.testing.assert_close(g, h, rtol=100 * tolerance, atol=tolerance)
            compared += bool(h.abs().max() > 1e-6)
    assert compared >= 4


def buffers(encoder):
    return {name: buffer.clone() for name, buffer in encoder.named_buffers()}
