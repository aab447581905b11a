"""WideResNets: WRN-d-k has d = 6 n + 4 layers, n pre-activation blocks a stage, and k times the width.

A 3x3 stem of 16 channels, three stages of n blocks with 16 k, 32 k and 64 k channels (the second and third halve the
image), BN-ReLU, the average over the whole image: h has 64 k features. A block is BN-ReLU-conv3x3-BN-ReLU-conv3x3 added
to its input; where the width changes, the input goes through the first BN-ReLU and a 1x1 convolution. No dropout.
With a linear layer of ten classes: WRN-34-10 46.16, WRN-28-10 36.48, WRN-16-8 10.96 million parameters.

Paper: Zagoruyko & Komodakis 2016, "Wide Residual Networks", table 1 and section 2; the robust models of TRADES and ASCL
       are WRN-34-10.
Code:  yaodongyu/TRADES, models/wideresnet.py (and tuananhbui89/ASCL, wideresnet.py, the same network).
Differs from: the published file also builds a `sub_block1` that no forward uses (and weight decay shrinks), so it counts
more parameters; it averages over 8x8 pixels, which is the whole map at 32 pixels alone.
"""

from __future__ import annotations

import re

from jaxtyping import Float
from torch import Tensor, nn

from sparring.encoders.resnet import convolution

NAME = re.compile(r"wrn-(\d+)-(\d+)")


class WideResNet(nn.Module):
    """WRN-`depth`-`width`, without its classifier. Raises ValueError unless depth is 6 n + 4 and width at least 1."""

    def __init__(self, depth: int, width: int, channels: int = 3):
        super().__init__()
        depth_and_width(f"wrn-{depth}-{width}")
        widths = [16, 16 * width, 32 * width, 64 * width]
        self.stem = convolution(channels, 16, 3)
        self.stages = nn.Sequential(
            *(stage(widths[k], widths[k + 1], depth // 6, stride=1 if k == 0 else 2) for k in range(3))
        )
        self.last = nn.Sequential(nn.BatchNorm2d(widths[3]), nn.ReLU(inplace=True))
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D"]:
        """Pooled features."""
        return self.pool(self.last(self.stages(self.stem(x))))


class PreActivationBlock(nn.Module):
    """x + conv(ReLU(BN(conv(ReLU(BN(x)))))); a changed width or size is met by a 1x1 convolution of ReLU(BN(x))."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.first = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(inplace=True))
        self.rest = nn.Sequential(
            convolution(inputs, outputs, 3, stride),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            convolution(outputs, outputs, 3),
        )
        same = stride == 1 and inputs == outputs
        self.shortcut = None if same else convolution(inputs, outputs, 1, stride)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B O h w"]:
        """Feature maps."""
        activated = self.first(x)
        return self.rest(activated) + (x if self.shortcut is None else self.shortcut(activated))


def stage(inputs: int, outputs: int, blocks: int, stride: int) -> nn.Sequential:
    """`blocks` blocks, the first one with `stride`."""
    return nn.Sequential(
        PreActivationBlock(inputs, outputs, stride),
        *(PreActivationBlock(outputs, outputs, 1) for _ in range(blocks - 1)),
    )


def depth_and_width(name: str) -> tuple[int, int]:
    """What `wrn-DEPTH-WIDTH` says. Raises ValueError for another name, and unless depth is 6 n + 4, width at least 1."""
    found = NAME.fullmatch(name)
    if not found:
        raise ValueError(f"encoder.name is {name!r}; a WideResNet is wrn-DEPTH-WIDTH, such as wrn-34-10")
    depth, width = int(found[1]), int(found[2])
    if depth < 10 or depth % 6 != 4 or width < 1:
        raise ValueError(
            f"encoder.name is {name!r}; a WideResNet's depth is 10, 16, 22, 28, 34 or another 6 n + 4, its width at least 1"
        )
    return depth, width
