import copy

import pytest
import torch
from torch import nn

from sparring import norms
from sparring.encoders import ResNet20, cifar_resnet

# Closed forms, in parameters. A 3x3 stem has 27 x 64 weights in place of torchvision's 147 x 64 (see DIFFERENCE), and no
# classifier (512 or 2048 x 1000 + 1000): torchvision's published totals less both.
TORCHVISION = {"resnet18": 11_689_512, "resnet34": 21_797_672, "resnet50": 25_557_032, "resnet101": 44_549_160}
FEATURES = {"resnet18": 512, "resnet34": 512, "resnet50": 2048, "resnet101": 2048}
DIFFERENCE = (147 - 27) * 64


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def norms_of(module):
    return [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]


@pytest.mark.parametrize("name", FEATURES)
def test_parameters(name):
    with torch.device("meta"):
        network = cifar_resnet(name)
    assert parameters(network) == TORCHVISION[name] - DIFFERENCE - 1000 * (FEATURES[name] + 1)


def test_resnet18_has_the_known_size():
    assert parameters(cifar_resnet("resnet18")) == 11_168_832  # 11.17 million


def test_resnet20_is_the_papers():
    network = ResNet20()
    # 272,474 with the classifier of ten classes and projections (64 x 10 + 10 of them): 0.27 million, as in the paper
    assert parameters(network) + 650 == 272_474
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert len([c for c in convolutions if c.kernel_size == (3, 3)]) == 19
    assert {c.out_channels for c in convolutions} == {16, 32, 64}
    assert network(torch.rand(2, 3, 32, 32)).shape == (2, 64)


@pytest.mark.parametrize(("name", "sizes"), [("resnet18", [32, 32, 16, 8, 4]), ("resnet50", [32, 32, 16, 8, 4])])
def test_a_32_pixel_image_is_halved_three_times(name, sizes):
    network, seen = cifar_resnet(name), []
    for part in (network.conv1, network.layer1, network.layer2, network.layer3, network.layer4):
        part.register_forward_hook(lambda _module, _inputs, out: seen.append(out.shape[-1]))
    network(torch.rand(2, 3, 32, 32))
    assert seen == sizes


def test_the_stem_and_the_shortcuts_have_norms_and_the_pool_is_an_average():
    network = cifar_resnet("resnet18").eval()
    assert len(norms_of(network)) == 1 + 16 + 3
    maps = []
    network.layer4.register_forward_hook(lambda _module, _inputs, out: maps.append(out))
    h = network(torch.rand(2, 3, 40, 24))
    torch.testing.assert_close(h, maps[0].mean(dim=(2, 3)))
    assert len(norms_of(ResNet20())) == 19 + 2


@pytest.mark.parametrize("channels", [1, 4])
def test_other_numbers_of_channels(channels):
    assert ResNet20(channels)(torch.rand(2, channels, 8, 8)).shape == (2, 64)
    assert cifar_resnet("resnet18", channels)(torch.rand(2, channels, 8, 8)).shape == (2, 512)


def test_he_initialisation():
    torch.manual_seed(1)
    for network in (ResNet20(), cifar_resnet("resnet18")):
        for m in network.modules():
            if isinstance(m, nn.Conv2d):
                expected = (2 / (m.out_channels * m.kernel_size[0] ** 2)) ** 0.5
                spread = 4 * expected / (2 * m.weight.numel()) ** 0.5
                assert m.weight.std().item() == pytest.approx(expected, abs=spread)


@pytest.mark.parametrize("build", [ResNet20, lambda: cifar_resnet("resnet18"), lambda: cifar_resnet("resnet50")])
def test_every_norm_gets_a_twin(build):
    network = build()
    plain = copy.deepcopy(network)
    count = len(norms_of(network))
    norms.convert(network)
    assert sum(isinstance(m, norms.DualBatchNorm) for m in network.modules()) == count
    x = torch.rand(2, 3, 8, 8)
    assert torch.equal(network.eval()(x), plain.eval()(x))
    assert list(norms.extract(network, "adv").state_dict()) == list(plain.state_dict())


def test_an_unknown_resnet():
    with pytest.raises(ValueError, match="no ResNet 'resnet19' for small images; there are resnet18, resnet34"):
        cifar_resnet("resnet19")
