"""The small convolutional networks of Carlini and Wagner: four convolutions, three fully connected layers.

    cnn:        conv 32, conv 32, pool, conv 64,  conv 64,  pool, linear 200, linear 200, (classifier)
    cnn-cifar:  conv 64, conv 64, pool, conv 128, conv 128, pool, linear 256, linear 256, (classifier)

Convolutions are 3x3 without padding, pools are maxima over 2x2, a ReLU follows every layer but the classifier, which is
the encoder's own. h is what the classifier reads: the penultimate features, 200 or 256. There is no batch norm.

Paper: Carlini & Wagner 2017, "Towards Evaluating the Robustness of Neural Networks", table 1: the first is the network
       of MNIST, the second that of CIFAR-10. ASCL, supplement, names this paper for its "standard CNN" and gives no
       widths; the CNN of CIFAR-10 in tuananhbui89/Adversarial-Divergence-Reduction, by the same authors, has the second's.
Code:  carlini/nn_robust_attacks, setup_mnist.py and setup_cifar.py; yaodongyu/TRADES, models/small_cnn.py.
Differs from: tuananhbui89/ASCL, small_cnn.py takes the flattened maps of the last pool for the representation; here it is
the layer before the classifier, as that paper says. Dropout of 0.5 behind the first linear layer is left out: an image
and its adversarial copy go through one network. Convolutions are He normal (fan in) with biases 0, as in TRADES' file.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

WIDTHS = {"cnn": (32, 64, 200), "cnn-cifar": (64, 128, 256)}
"""Channels before the first pool, channels before the second, width of the linear layers."""
SMALLEST = 16
"""Pixels a side that leave one pixel behind the second pool."""


class CNN(nn.Module):
    """The network `name` of `WIDTHS` without its classifier, for images of one size: its linear layers depend on it.

    Raises ValueError for another name and for images of less than 16 pixels a side, of which nothing would be left.
    """

    def __init__(self, name: str, channels: int = 3, image_size: int = 32):
        super().__init__()
        if name not in WIDTHS:
            raise ValueError(f"encoder.name is {name!r}; the small networks are {', '.join(WIDTHS)}")
        if image_size < SMALLEST:
            raise ValueError(
                f"encoder.name {name} needs images of at least {SMALLEST} pixels a side, not {image_size}: its "
                "convolutions have no padding"
            )
        first, second, width = WIDTHS[name]
        self.maps = nn.Sequential(*convolutions(channels, first), *convolutions(first, second), nn.Flatten())
        side = ((image_size - 4) // 2 - 4) // 2
        self.linear = nn.Sequential(
            nn.Linear(second * side**2, width),
            nn.ReLU(inplace=True),
            nn.Linear(width, width),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Float[Tensor, "B C S S"]) -> Float[Tensor, "B D"]:
        """Penultimate features, at least 0."""
        return self.linear(self.maps(x))


def convolutions(inputs: int, outputs: int) -> list[nn.Module]:
    """Two convolutions and a pool."""
    layers = [nn.Conv2d(inputs, outputs, 3), nn.Conv2d(outputs, outputs, 3)]
    for conv in layers:
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        assert conv.bias is not None
        nn.init.zeros_(conv.bias)
    return [layers[0], nn.ReLU(inplace=True), layers[1], nn.ReLU(inplace=True), nn.MaxPool2d(2)]
