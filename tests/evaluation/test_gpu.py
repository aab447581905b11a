"""On a CUDA device: classifiers on features, attacks on representations and finetuning give the CPU's figures."""

import copy

import pytest
import torch
from torch import nn

from sparring.attacks import PGD, Linf
from sparring.attacks.classifier import Untargeted
from sparring.evaluation import AFF, ALF, SLF, OnFeatures, Semi10, SoftKNN, check_classifier, features, movement
from tests.encoders.configs import encoder

pytestmark = pytest.mark.gpu


@pytest.fixture
def images():
    return torch.randint(0, 256, (40, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_soft_knn_and_its_attack(images):
    labels, x = torch.arange(40) % 4, images.float() / 255
    model = encoder(dual=True)
    bank = features(model, images, domain="adv")
    here = SoftKNN(model, bank, labels, k=8, temperature=0.1, domain="adv")(x)
    soft = SoftKNN(model.cuda(), bank, labels, k=8, temperature=0.1, domain="adv")
    there = soft(x.cuda())
    assert there.is_cuda
    torch.testing.assert_close(there.cpu(), here, atol=1e-2, rtol=1e-2)
    assert check_classifier(soft, x, labels, 4) == 4
    x_adv = Untargeted(PGD(Linf(8 / 255), steps=5))(soft, x.cuda(), labels.cuda())
    assert (soft(x_adv).argmax(1).cpu() == labels).sum() < (there.argmax(1).cpu() == labels).sum()


def test_features_in_16_bits_give_float32_logits(images):
    model = OnFeatures(encoder(), nn.Linear(64, 3)).cuda()
    x = images.cuda().float() / 255
    with torch.autocast("cuda", torch.bfloat16):
        assert model(x).dtype == torch.float32
    model.encoder.bfloat16()
    assert model(x).dtype == torch.float32


def test_movement_and_slf(images):
    labels, x, model = torch.arange(40) % 4, images.float() / 255, encoder(dual=True)
    here = movement(model, x, Linf(4 / 255), domain="adv")["attacks"]
    fitted = SLF("adv", epochs=2).fit(model, images, labels).classifier.weight.clone()
    there = movement(model.cuda(), x, Linf(4 / 255), domain="adv")["attacks"]
    for name in here:  # random starts are drawn on the device and differ
        assert there[name]["ratio"] == pytest.approx(here[name]["ratio"], rel=0.2)
        assert there[name]["between"] == pytest.approx(here[name]["between"], rel=1e-3)
    on_device = SLF("adv", epochs=2).fit(model, images, labels)
    assert on_device.classifier.weight.is_cuda
    torch.testing.assert_close(on_device.classifier.weight.cpu(), fitted, atol=1e-4, rtol=1e-2)


def test_finetuning(images):
    """The attacks of ALF and AFF start at the image here: random starts are drawn on the device and differ."""
    labels, attack = torch.arange(40) % 4, PGD(Linf(8 / 255), steps=2, random_start=False)
    here_encoder = encoder(dual=True)
    there_encoder = copy.deepcopy(here_encoder).cuda()
    for protocol in (
        ALF("adv", epochs=2, attack=attack),
        AFF("adv", epochs=2, lr=1e-3, attack=attack),
        Semi10("adv", epochs=2, lr=1e-3, attack=attack),
    ):
        here = protocol.fit(here_encoder, images, labels)
        there = protocol.fit(there_encoder, images, labels)
        assert there.classifier.weight.is_cuda
        torch.testing.assert_close(there.classifier.weight.cpu(), here.classifier.weight, atol=1e-3, rtol=1e-1)
