"""Small classifiers that several tests of AutoAttack use."""

import torch
from torch import nn

from tests.attacks.objectives import generator


def cnn(classes=4, size=8, seed=1):
    """A convolutional network of fixed random weights with logits that differ between images, in evaluation mode."""
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, 2, 1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * (size // 4) ** 2, classes),
    )
    draw = generator(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=draw) * 0.3)
    return net.eval()


def linear(classes, size=8, seed=1):
    """z = W x."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * size * size, classes, bias=False))
    with torch.no_grad():
        net[1].weight.copy_(torch.randn(net[1].weight.shape, generator=generator(seed)))
    return net.eval()


def pictures(n, size=8, seed=0):
    return torch.rand(n, 3, size, size, generator=generator(seed))


def labelled(model, x):
    """The model's own predictions as labels, but for the first image, which is then wrong before any attack."""
    with torch.no_grad():
        logits = model(x).float()
    y = logits.argmax(dim=1)
    y[0] = logits[0].argmin()
    return y
