"""What the tests of RoCL and ACL share: an encoder that counts what it is shown, a batch, a total beside a loop."""

import copy
from dataclasses import dataclass

import pytest
import torch
from torch.nn import functional

from sparring.attacks import PGD, Linf
from sparring.pairs import Precision
from sparring.types import Batch
from tests.methods.networks import SmallEncoder
from tests.methods.supervised import assert_equal_with_gradients, buffers, total
from tests.reference import supervised as reference

EPS, STEP, STEPS, T = 0.03, 0.01, 3, 0.5
ATTACK = PGD(Linf(EPS), steps=STEPS, step_size=STEP, random_start=False)
REMOVED = Precision(every=1)
"""Removes two images in epoch 2."""

__all__ = [
    "ATTACK",
    "REMOVED",
    "T",
    "assert_equal_with_gradients",
    "batch",
    "buffers",
    "dual",
    "pgd",
    "single",
    "total",
]


class Watched(SmallEncoder):
    """Notes domain, number of images, mode and gradient of each forward, and the pixels of the last."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.seen, self.extremes = [], []

    def forward(self, x, domain="clean"):
        self.seen.append((domain, len(x), self.training, torch.is_grad_enabled()))
        self.extremes.append(tuple(float(v) for v in x.detach().aminmax()))
        return functional.normalize(self.head(self.represent(x, domain)), dim=-1)


def watched(dual):
    encoder = Watched(dual=dual).double().train()
    x = torch.rand(40, 3, 6, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    for domain in (
        ("clean", "adv") if dual else ("clean",)
    ):  # running statistics that differ from the batch's and each other
        for _ in range(30):
            encoder.represent(x * (0.9 if domain == "adv" else 1), domain)
    return encoder


@pytest.fixture
def single():
    return watched(dual=False)


@pytest.fixture
def dual():
    return watched(dual=True)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    views = torch.rand(2, 6, 3, 6, 6, generator=generator, dtype=torch.float64)
    return Batch(views, labels=torch.tensor([0, 1, 0, 2, 1, 0]), epoch=2, generator=torch.Generator().manual_seed(11))


def pgd(value, encoder, x):
    """What `value(a copy of the encoder in evaluation mode, images)` leads to from x, by hand."""
    twin = copy.deepcopy(encoder).eval()
    return reference.pgd(lambda at: value(twin, at), x, 0 * x, EPS, STEP, STEPS)


@dataclass
class Asked:
    """A selector that counts how often it is asked, and remembers about which embeddings."""

    selector: Precision
    times: int = 0
    z: torch.Tensor | None = None

    @property
    def replacement(self):
        return self.selector.replacement

    def __call__(self, rows):
        self.times, self.z = self.times + 1, rows.z
        return self.selector(rows)


def leaves_no_trace(perturb, encoder):
    """Parameters without gradients, statistics and modes as they were: after the attack, and after one that failed."""
    encoder.head.eval()
    modes, before = [m.training for m in encoder.modules()], buffers(encoder)

    def same():
        after = buffers(encoder)
        assert all(torch.equal(before[name], after[name]) for name in before)
        assert all(p.grad is None for p in encoder.parameters())
        assert [m.training for m in encoder.modules()] == modes

    images = perturb(encoder)
    same()
    encoder.head.weight.data[0, 0] = torch.nan
    with pytest.raises(FloatingPointError):
        perturb(encoder)
    same()
    return images
