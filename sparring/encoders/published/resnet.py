"""A ResNet of the shape that a state dict has: any depth and width, either block, either stem."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

DEPTHS: dict[tuple[bool, tuple[int, ...]], str] = {
    (False, (2, 2, 2, 2)): "ResNet-18",
    (False, (3, 4, 6, 3)): "ResNet-34",
    (True, (3, 4, 6, 3)): "ResNet-50",
    (True, (3, 4, 23, 3)): "ResNet-101",
    (True, (3, 8, 36, 3)): "ResNet-152",
}


class PublishedResNet(nn.Module):
    """Four stages of residual blocks under torchvision's names, averaged over the image: features [B, D].

    `stem` 3 is a 3x3 convolution (small images), 7 a 7x7 one with stride 2 and a maximum over 3x3 with stride 2. SwAV pads
    before its first convolution and RoCL averages over 4x4 pixels at the end: for whole images, and for RoCL's 32 pixels,
    the same function.
    """

    def __init__(
        self, channels: int, width: int, blocks: Sequence[int], *, bottleneck: bool, inner: int, groups: int, stem: int
    ):
        super().__init__()
        kind = Bottleneck if bottleneck else BasicBlock
        self.conv1 = nn.Conv2d(channels, width, stem, stride=2 if stem == 7 else 1, padding=stem // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if stem == 7 else nn.Identity()
        inputs = width
        for stage, depth in enumerate(blocks):
            planes, layers = width * 2**stage, []
            for block in range(depth):
                stride = 2 if stage and not block else 1
                shortcut = None
                if stride != 1 or inputs != planes * kind.expansion:
                    shortcut = nn.Sequential(
                        nn.Conv2d(inputs, planes * kind.expansion, 1, stride, bias=False),
                        nn.BatchNorm2d(planes * kind.expansion),
                    )
                # torchvision's base_width is the inner width of a bottleneck over groups, at 64 planes
                base = 64 * inner // (width * groups)
                layers.append(kind(inputs, planes, stride, shortcut, groups, base))
                inputs = planes * kind.expansion
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layers))
        self.features = inputs
        self.words = DEPTHS.get((bottleneck, tuple(blocks)), f"ResNet of {'+'.join(map(str, blocks))} blocks")
        self.words += f" of width {width}" if width != 64 else ""
        self.words += f", bottlenecks of {inner} channels in {groups} groups" if inner != width else ""
        self.words += f", {stem}x{stem} stem, {inputs:,} features"

    def forward(self, x: Tensor) -> Tensor:
        """Pooled features."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)  # pyright: ignore[reportCallIssue]
        return x.mean(dim=(2, 3))


def resnet_of(tensors: Mapping[str, Tensor]) -> PublishedResNet:
    """The ResNet whose state dict has these shapes (torchvision's names, one batch norm or two).

    Raises ValueError for the first key of a ResNet that is missing, and a stem that is neither 3x3 nor 7x7.
    """
    blocks = [0, 0, 0, 0]
    for key in tensors:
        found = re.match(r"layer([1-4])\.(\d+)\.", key)
        if found:
            blocks[int(found[1]) - 1] = max(blocks[int(found[1]) - 1], int(found[2]) + 1)
    needed = ["conv1.weight", *(f"layer{k}.0.conv1.weight" for k in (1, 2, 3, 4)), "layer1.0.conv2.weight"]
    for key in needed:
        if key not in tensors or tensors[key].ndim != 4:
            raise ValueError(f"the file holds no ResNet: {key} is missing or no convolution")
    width, channels, stem, _ = tensors["conv1.weight"].shape
    if stem not in (3, 7):
        raise ValueError(f"the file holds a ResNet with a stem of {stem}x{stem}; stems of 3x3 and 7x7 are known")
    bottleneck = "layer1.0.conv3.weight" in tensors
    inner = tensors["layer1.0.conv1.weight"].shape[0]
    groups = inner // tensors["layer1.0.conv2.weight"].shape[1] if bottleneck else 1
    try:
        return PublishedResNet(
            channels,
            width,
            blocks,
            bottleneck=bottleneck,
            inner=inner if bottleneck else width,
            groups=max(groups, 1),
            stem=stem,
        )
    except (ValueError, NotImplementedError) as error:
        raise ValueError(f"the file holds a ResNet that cannot be built: {error}") from error


def head_of(tensors: Mapping[str, Tensor]) -> nn.Module:
    """The head whose state dict this is: one linear layer, or a sequential in which every place without weights is a ReLU."""
    if "weight" in tensors:
        return _layer(tensors)
    places = {int(key.split(".")[0]) for key in tensors}
    layers: list[nn.Module] = []
    for place in range(max(places) + 1):
        inside = {key.split(".", 1)[1]: value for key, value in tensors.items() if key.startswith(f"{place}.")}
        layers.append(_layer(inside) if inside else nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def _layer(tensors: Mapping[str, Tensor]) -> nn.Module:
    one = {key.removeprefix("clean."): value for key, value in tensors.items() if not key.startswith("adv.")}
    weight = one.get("weight")
    if weight is not None and weight.ndim == 2:
        return nn.Linear(weight.shape[1], weight.shape[0], bias="bias" in one)
    norm = one.get("running_mean", weight)
    if norm is None or norm.ndim != 1:
        raise ValueError(f"the file's head has a layer that is neither linear nor a batch norm: {', '.join(one)}")
    return nn.BatchNorm1d(len(norm), affine=weight is not None)
