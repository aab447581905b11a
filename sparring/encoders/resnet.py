"""ResNets for small images.

`cifar_resnet`: ResNet-18/34/50/101 with a 3x3 stem of stride 1 and no max-pooling, averaged over the whole image, as CLAE,
RoCL, ACL and SupCon use them on CIFAR; h has 512 (18, 34) or 2048 (50, 101) features, 11.17 / 21.28 / 23.50 / 42.49
million parameters. `ResNet20`: the CIFAR network of He et al., widths 16-32-64, h of 64 features, 0.27 million.

Paper: He et al. 2016, "Deep Residual Learning for Image Recognition", sections 3.3 and 4.2.
Code:  blocks and stages are torchvision's (stride in the 3x3 convolution of a bottleneck).
Differs from: chihhuiho/CLAE leaves convolutions at PyTorch's default initialisation; here they are He normal (fan out),
as in the paper. ResNet-20's shortcuts are 1x1 convolutions with batch norm (option B), not padding with zeros (A).
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

LAYERS: dict[str, tuple[type[BasicBlock | Bottleneck], list[int]]] = {
    "resnet18": (BasicBlock, [2, 2, 2, 2]),
    "resnet34": (BasicBlock, [3, 4, 6, 3]),
    "resnet50": (Bottleneck, [3, 4, 6, 3]),
    "resnet101": (Bottleneck, [3, 4, 23, 3]),
}


def cifar_resnet(name: str, channels: int = 3) -> nn.Module:
    """ResNet `name` with the stem for small images; returns features, not class scores.

    Raises ValueError for a name that is not in `LAYERS`.
    """
    if name not in LAYERS:
        raise ValueError(f"there is no ResNet {name!r} for small images; there are {', '.join(LAYERS)}")
    network = ResNet(*LAYERS[name])
    network.conv1 = convolution(channels, 64, 3)
    network.maxpool = nn.Identity()  # pyright: ignore[reportAttributeAccessIssue]
    network.fc = nn.Identity()  # pyright: ignore[reportAttributeAccessIssue]
    return network


class ResNet20(nn.Module):
    """Three stages of three basic blocks each: 1 + 18 layers, the 20th being the classifier that is left out."""

    def __init__(self, channels: int = 3):
        super().__init__()
        self.stem = nn.Sequential(convolution(channels, 16, 3), nn.BatchNorm2d(16), nn.ReLU(inplace=True))
        self.stages = nn.Sequential(stage(16, 16, stride=1), stage(16, 32, stride=2), stage(32, 64, stride=2))
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B 64"]:
        """Pooled features."""
        return self.pool(self.stages(self.stem(x)))


def stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Three basic blocks, the first one with `stride`."""
    shortcut = None
    if stride != 1 or inputs != outputs:
        shortcut = nn.Sequential(convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))
    return nn.Sequential(
        BasicBlock(inputs, outputs, stride, shortcut), BasicBlock(outputs, outputs), BasicBlock(outputs, outputs)
    )


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """A bias-free convolution that keeps the size at stride 1, with He initialisation."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv
