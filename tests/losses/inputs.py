"""What the tests of the losses share: embeddings, masks, and how a loss is compared with a loop."""

import pytest
import torch
from torch.testing import assert_close

from sparring.losses import info_nce, instance_discrimination
from sparring.types import Pairs

TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-10}
DTYPES = pytest.mark.parametrize("dtype", TOLERANCE, ids=str)


def embeddings(*shape: int, dtype=torch.float64, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator).to(dtype).requires_grad_()


def two_views(images: int) -> Pairs:
    """The pairs of NT-Xent over [view a; view b], written without the selectors."""
    n = 2 * images
    eye = torch.eye(n, dtype=torch.bool)
    return Pairs(positive=eye.roll(images, dims=1), contrast=~eye)


def random_pairs(n: int, m: int, seed: int = 0) -> Pairs:
    """Any masks with positives among the competing keys; the last anchor has no positive."""
    generator = torch.Generator().manual_seed(seed)
    contrast = torch.rand(n, m, generator=generator) < 0.8
    contrast[:, 0] = True
    positive = contrast & (torch.rand(n, m, generator=generator) < 0.4)
    positive[:, 0] = True
    positive[-1] = False
    return Pairs(positive, contrast)


def value_and_gradients(loss, *inputs):
    value = loss(*inputs)
    return value.detach(), *torch.autograd.grad(value, inputs)


def assert_equals_reference(loss, loop, inputs):
    """Value and gradients with respect to every input, against the loop on the same numbers in float64."""
    tolerance = TOLERANCE[inputs[0].dtype]
    found = value_and_gradients(loss, *inputs)
    expected = value_and_gradients(loop, *(x.detach().double().requires_grad_() for x in inputs))
    assert all(x.dtype == inputs[0].dtype for x in found)
    for x, y in zip(found, expected, strict=True):
        assert_close(x.double(), y, rtol=tolerance, atol=tolerance)


LOSSES = pytest.mark.parametrize(
    "loss",
    [
        lambda z, pairs, temperature: info_nce(z, z, pairs, temperature),
        instance_discrimination,
        lambda z, pairs, temperature: instance_discrimination(z, pairs, temperature, detach_keys=False),
    ],
    ids=["info_nce", "uel", "uel_keys_not_detached"],
)
