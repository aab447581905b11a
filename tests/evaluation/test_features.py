from __future__ import annotations

import inspect

import pytest
import torch
from torch import nn

from sparring.evaluation import features


class Tiny(nn.Module):
    """An encoder small enough to write down: batch norm, dropout, a linear layer, one domain that adds 1 to h."""

    std = (1.0, 1.0, 1.0)

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.frozen = nn.BatchNorm2d(3).eval()
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(3, 2)

    def represent(self, x, domain="clean"):
        if x.amax() > 0.999:
            raise RuntimeError("a white pixel")
        return self.dropout(self.frozen(self.norm(x)).mean(dim=(2, 3))) + (domain == "adv")

    def forward(self, x, domain="clean"):
        return nn.functional.normalize(self.head(self.represent(x, domain)), dim=1)


@pytest.fixture
def images():
    return torch.randint(0, 250, (11, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def by_hand(encoder, images):
    norm = encoder.norm
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    pixels = (images.float() / 255 - norm.running_mean.view(1, 3, 1, 1)) * scale.view(1, 3, 1, 1)
    return (pixels + norm.bias.view(1, 3, 1, 1)).mean(dim=(2, 3)).detach() / (1 + 1e-5) ** 0.5


def test_h_and_z_in_evaluation_mode(images):
    encoder = Tiny()
    encoder.norm.running_mean.fill_(0.4)
    encoder.norm.running_var.fill_(0.2)
    encoder.train()
    h = features(encoder, images, batch_size=4)
    torch.testing.assert_close(h, by_hand(encoder, images))
    torch.testing.assert_close(features(encoder, images, domain="adv"), h + 1)
    z = features(encoder, images, layer="z", batch_size=3)
    torch.testing.assert_close(z, nn.functional.normalize(encoder.head(h), dim=1).detach())
    assert h.dtype == z.dtype == torch.float32
    assert not h.requires_grad and h.device.type == "cpu"
    assert encoder.norm.num_batches_tracked == 0


@pytest.mark.parametrize("fails", [False, True])
def test_modes_are_restored_part_by_part(images, fails):
    encoder = Tiny()
    encoder.train()
    encoder.frozen.eval()
    modes = {name: part.training for name, part in encoder.named_modules()}
    if fails:
        images[-1] = 255
        with pytest.raises(RuntimeError, match="a white pixel"):
            features(encoder, images, batch_size=4)
    else:
        features(encoder, images)
    assert {name: part.training for name, part in encoder.named_modules()} == modes
    assert torch.is_grad_enabled()


def test_batches_are_taken_as_they_come(images):
    encoder = Tiny()
    torch.testing.assert_close(features(encoder, iter(images.split(5))), features(encoder, images))


def test_bf16_is_off_unless_asked(images):
    encoder = Tiny()
    exact, coarse = features(encoder, images, layer="z"), features(encoder, images, layer="z", precision="bf16")
    assert coarse.dtype == torch.float32
    assert not torch.equal(exact, coarse)
    torch.testing.assert_close(exact, coarse, atol=2e-2, rtol=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"layer": "head"}, "layer must be"), ({"batch_size": 0}, "batch_size must be at least 1, not 0")],
)
def test_bad_settings_are_one_sentence(images, changes, message):
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(features)(Tiny(), images, **changes)


def test_no_images_and_float_images_are_errors(images):
    with pytest.raises(ValueError, match="there are none"):
        features(Tiny(), images[:0])
    with pytest.raises(ValueError, match=r"must be uint8.*float32"):
        features(Tiny(), iter([torch.rand(2, 3, 4, 4)]))
