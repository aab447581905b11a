import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sparring.encoders import CNN
from tests.encoders.configs import encoder

# Carlini & Wagner 2017, table 1: MNIST and CIFAR-10.
TABLE = {"cnn": [32, 32, 64, 64, 200, 200], "cnn-cifar": [64, 64, 128, 128, 256, 256]}


def layers(network):
    return [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


@pytest.mark.parametrize("name", TABLE)
def test_equals_the_papers_table_written_without_modules(name):
    network = CNN(name).double()
    ours = layers(network)
    assert [layer.weight.shape[0] for layer in ours] == TABLE[name]
    with torch.no_grad():
        for layer in ours:
            layer.bias.uniform_(-0.2, 0.2)
    x = torch.rand(3, 3, 32, 32, dtype=torch.float64)
    y = x
    for k, layer in enumerate(ours):
        if k < 4:
            y = F.relu(F.conv2d(y, layer.weight, layer.bias))
            y = F.max_pool2d(y, 2) if k % 2 else y
        else:
            y = F.relu(y.flatten(1) @ layer.weight.T + layer.bias)
        if k == 3:
            assert y.shape[1:] == (TABLE[name][3], 5, 5)
    torch.testing.assert_close(network(x), y)


@pytest.mark.parametrize(("name", "features"), [("cnn", 200), ("cnn-cifar", 256)])
def test_with_a_classifier_there_are_three_linear_layers_and_h_is_what_the_last_one_reads(name, features):
    net = encoder(name, image_size=32, head="none", classes=10)
    linear = [m for m in net.modules() if isinstance(m, nn.Linear)]
    assert [(m.in_features, m.out_features) for m in linear[1:]] == [(features, features), (features, 10)]
    out = net.outputs(torch.rand(2, 3, 32, 32))
    assert out.h.shape == (2, features)
    assert out.h.min() >= 0
    torch.testing.assert_close(out.logits, F.linear(out.h, linear[2].weight, linear[2].bias))


def test_known_number_of_parameters():
    """cnn of MNIST, ten classes: 312,202, the sum over the layers of table 1."""
    mnist = sum(p.numel() for p in CNN("cnn", channels=1, image_size=28).parameters()) + 2010
    convolutions = (9 + 1) * 32 + (9 * 32 + 1) * 32 + (9 * 32 + 1) * 64 + (9 * 64 + 1) * 64
    assert mnist == convolutions + (1024 + 1) * 200 + 201 * 200 + 201 * 10 == 312_202


@pytest.mark.parametrize("size", [16, 17, 19, 20, 28, 33])
def test_other_image_sizes(size):
    assert CNN("cnn", 1, size)(torch.rand(2, 1, size, size)).shape == (2, 200)


def test_first_weights():
    for layer in layers(CNN("cnn-cifar")):
        if isinstance(layer, nn.Conv2d):
            expected = (2 / layer.weight[0].numel()) ** 0.5
            spread = 4 * expected / (2 * layer.weight.numel()) ** 0.5
            assert layer.weight.std().item() == pytest.approx(expected, abs=spread)
            assert not layer.bias.any()


def test_what_there_is_not():
    with pytest.raises(ValueError, match=r"encoder.name cnn needs images of at least 16 pixels a side, not 15"):
        CNN("cnn", 3, 15)
    with pytest.raises(ValueError, match=r"encoder.name is 'cnn-big'; the small networks are cnn, cnn-cifar"):
        CNN("cnn-big")
