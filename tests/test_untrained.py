"""The probe for untrained encoders: it fires on random weights of every kind, and not on trained ones."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from sparring import norms
from sparring.data import ImageSet
from sparring.encoders import ContrastiveEncoder
from sparring.untrained import fresh_twin, untrained

FIRST = "first statistics (mean 0, variance 1)"


def images(n: int, seed: int) -> ImageSet:
    """Four classes of stripes, horizontal or vertical and of two widths, at any phase, contrast and brightness, in noise."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 4
    grid = torch.arange(16.0)
    phase, contrast = 6.3 * torch.rand(n, 1, generator=generator), 20 + 30 * torch.rand(n, 1, generator=generator)
    wave = contrast * torch.sin(grid * torch.where(labels < 2, 0.8, 1.6)[:, None] + phase)
    stripes = torch.where((labels % 2 == 0)[:, None, None], wave[:, None, :], wave[:, :, None]).expand(n, 16, 16)
    pixels = 128 + stripes[:, None] + 45 * torch.randn(n, 3, 16, 16, generator=generator)
    return ImageSet(pixels.clamp(0, 255).to(torch.uint8), labels, ("a", "b", "c", "d"), "stripes")


def new_encoder():
    torch.manual_seed(1)
    layers, width = [], 3
    for outputs in (8, 16, 16):
        layers += [nn.Conv2d(width, outputs, 3, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
        width = outputs
    backbone = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return ContrastiveEncoder(
        backbone, nn.Identity(), [0.5] * 3, [0.25] * 3, features=16, dim=16, classifier=nn.Linear(16, 4)
    )


@pytest.fixture(scope="module")
def train():
    return images(400, 0)


@pytest.fixture(scope="module")
def test():
    return images(200, 1)


@pytest.fixture(scope="module")
def trained(train):
    encoder = new_encoder().train()
    optimizer = torch.optim.Adam(encoder.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(120):
        index = torch.randint(0, 400, (64,), generator=generator)
        loss = functional.cross_entropy(encoder.outputs(train.images[index].float() / 255).logits, train.labels[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return encoder.eval()


def test_a_trained_encoder_passes(trained, train, test):
    check = untrained(trained, train, test)
    assert check.colour == "green", check.sentence
    assert check.figures["knn"] > check.figures["knn_twin"] + 0.1 and not check.figures[FIRST]
    assert "95 % interval" in check.sentence and "effective rank" in check.sentence


def test_first_weights_are_red_and_their_batch_norms_named(train, test):
    check = untrained(new_encoder(), train, test)
    assert check.colour == "red" and check.sentence.startswith("The encoder looks untrained")
    assert check.figures[FIRST] and "every batch norm has its first statistics" in check.sentence


@pytest.mark.parametrize("seed", range(5))
def test_random_weights_with_statistics_of_the_images_are_red_too(train, test, seed):
    encoder = fresh_twin(new_encoder(), train.images, seed=100 + seed)
    for part in encoder.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.bias.data.normal_(0, 0.05)
    check = untrained(encoder, train, test)
    assert check.colour == "red" and "every batch norm" not in check.sentence, check.sentence


def test_only_the_asked_domain_counts(trained, train, test):
    dual = norms.convert(copy.deepcopy(trained))
    for part in dual.modules():
        if isinstance(part, norms.DualBatchNorm):
            part.adv.reset_parameters()
    assert untrained(dual, train, test).colour == "green"
    assert untrained(dual, train, test, domain="adv").figures[FIRST]


def test_trained_weights_without_their_statistics_are_not_green(trained, train, test):
    encoder = copy.deepcopy(trained)
    for part in encoder.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.reset_running_stats()
    assert untrained(encoder, train, test).colour in ("yellow", "red")


def test_images_that_any_network_tells_apart_say_nothing(trained, train, test):
    colours = torch.tensor([[250, 5, 5], [5, 250, 5], [5, 5, 250], [250, 250, 250]], dtype=torch.uint8)

    def plain(images):
        return replace(images, images=colours[images.labels][:, :, None, None].expand(-1, 3, 16, 16).contiguous())

    check = untrained(trained, plain(train), plain(test))
    assert check.colour == "yellow" and check.figures["knn_twin"] > 0.9 and "so easy" in check.sentence
    assert untrained(new_encoder(), plain(train), plain(test)).colour == "red"  # its batch norms tell


def test_without_labels_the_batch_norms_speak(trained, train, test):
    nameless = ImageSet(train.images, None, (), "nameless")
    assert untrained(new_encoder(), nameless, test).colour == "red"
    assert untrained(trained, nameless, test).colour == "grey"


def test_the_encoder_and_the_random_state_stay_as_they_were(trained, train, test):
    before = {key: value.clone() for key, value in trained.state_dict().items()}
    state = torch.random.get_rng_state()
    first = untrained(trained, train, test)
    assert torch.equal(state, torch.random.get_rng_state()) and not trained.training
    assert all(torch.equal(before[key], value) for key, value in trained.state_dict().items())
    assert untrained(trained, train, test) == first
