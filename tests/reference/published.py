"""Networks with the layer names of published repositories, written in plain torch; sparring is not imported here."""

import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    """A residual block of two or three convolutions whose shortcut stands under a given name."""

    def __init__(self, inputs, planes, stride, bottleneck, shortcut):
        super().__init__()
        outputs = planes * 4 if bottleneck else planes
        sizes = [(inputs, planes, 1, 1), (planes, planes, 3, stride), (planes, outputs, 1, 1)]
        if not bottleneck:
            sizes = [(inputs, planes, 3, stride), (planes, planes, 3, 1)]
        self.depth, self.shortcut_name = len(sizes), shortcut
        for k, (a, b, size, step) in enumerate(sizes, start=1):
            setattr(self, f"conv{k}", nn.Conv2d(a, b, size, step, size // 2, bias=False))
            setattr(self, f"bn{k}", nn.BatchNorm2d(b))
        changed = stride != 1 or inputs != outputs
        layers = [nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)] if changed else []
        if layers or shortcut == "shortcut":
            setattr(self, shortcut, nn.Sequential(*layers))

    def forward(self, x):
        out = x
        for k in range(1, self.depth + 1):
            out = getattr(self, f"bn{k}")(getattr(self, f"conv{k}")(out))
            out = F.relu(out) if k < self.depth else out
        shortcut = getattr(self, self.shortcut_name, None)
        return F.relu(out + (x if shortcut is None else shortcut(x)))


class ResNet(nn.Module):
    """conv1, bn1, layer1 to layer4; `stem` small, imagenet or padded (SwAV's), `pool` mean or four (RoCL's)."""

    def __init__(
        self, stem="small", shortcut="downsample", bottleneck=False, width=8, blocks=(1, 2, 1, 1), pool="mean"
    ):
        super().__init__()
        self.stem, self.pool = stem, pool
        shapes = {"small": (3, 1, 1), "imagenet": (7, 2, 3), "padded": (7, 2, 2)}
        self.conv1 = nn.Conv2d(3, width, *shapes[stem], bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        inputs = width
        for k, depth in enumerate(blocks):
            planes, layers = width * 2**k, []
            for block in range(depth):
                layers.append(Block(inputs, planes, 2 if k and not block else 1, bottleneck, shortcut))
                inputs = planes * 4 if bottleneck else planes
            setattr(self, f"layer{k + 1}", nn.Sequential(*layers))
        self.features = inputs

    def forward(self, x):
        x = F.pad(x, (1, 1, 1, 1)) if self.stem == "padded" else x
        x = F.relu(self.bn1(self.conv1(x)))
        x = x if self.stem == "small" else F.max_pool2d(x, 3, 2, 1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return F.avg_pool2d(x, 4).flatten(1) if self.pool == "four" else F.adaptive_avg_pool2d(x, 1).flatten(1)


class Simclr(nn.Module):
    """sthalles/SimCLR: everything below `backbone`, the head in place of its fc."""

    def __init__(self):
        super().__init__()
        self.backbone = ResNet("imagenet")
        d = self.backbone.features
        self.backbone.fc = nn.Sequential(nn.Linear(d, d), nn.ReLU(), nn.Linear(d, 6))

    def h(self, x):
        return self.backbone(x)

    def z(self, x):
        return self.backbone.fc(self.h(x))


class EarlierSimclr(nn.Module):
    """sthalles/SimCLR before: a sequential `features` of a ResNet's children, and l1, l2."""

    def __init__(self):
        super().__init__()
        net = ResNet("imagenet")
        d = net.features
        self.features = nn.Sequential(
            net.conv1, net.bn1, nn.ReLU(), nn.MaxPool2d(3, 2, 1), net.layer1, net.layer2, net.layer3, net.layer4
        )
        self.l1, self.l2 = nn.Linear(d, d), nn.Linear(d, 6)

    def h(self, x):
        return self.features(x).mean(dim=(2, 3))

    def z(self, x):
        return self.l2(F.relu(self.l1(self.h(x))))


class Classifier(ResNet):
    """torchvision's names: a ResNet with fc; Google's SimCLR converted to PyTorch has them too."""

    def __init__(self, **options):
        super().__init__("imagenet", **options)
        self.fc = nn.Linear(self.features, 5)

    def h(self, x):
        return ResNet.forward(self, x)

    def logits(self, x):
        return self.fc(self.h(x))


class Supcon(nn.Module):
    """HobbitLong/SupContrast: `encoder` (with `shortcut`) and `head`; several GPUs wrap the encoder alone."""

    def __init__(self, parallel=False, linear=False):
        super().__init__()
        net = ResNet("small", "shortcut")
        d = net.features
        self.encoder = nn.DataParallel(net) if parallel else net
        self.head = (
            nn.Linear(d, 6) if linear else nn.Sequential(nn.Linear(d, d), nn.ReLU(inplace=True), nn.Linear(d, 6))
        )

    def h(self, x):
        return getattr(self.encoder, "module", self.encoder)(x)

    def z(self, x):
        return self.head(self.h(x))


class Swav(ResNet):
    """facebookresearch/swav: a padding layer before the stem, projection_head with a batch norm, prototypes."""

    def __init__(self):
        super().__init__("padded", bottleneck=True, width=4)
        d = self.features
        self.projection_head = nn.Sequential(nn.Linear(d, 10), nn.BatchNorm1d(10), nn.ReLU(), nn.Linear(10, 6))
        self.prototypes = nn.Linear(6, 7, bias=False)

    def h(self, x):
        return ResNet.forward(self, x)

    def z(self, x):
        return self.projection_head(self.h(x))


class Moco(nn.Module):
    """facebookresearch/moco: query and key encoder, the head in place of fc, a queue."""

    def __init__(self):
        super().__init__()
        for name in ("encoder_q", "encoder_k"):
            net = ResNet("imagenet")
            net.fc = nn.Sequential(nn.Linear(net.features, 9), nn.ReLU(), nn.Linear(9, 6))
            setattr(self, name, net)
        self.register_buffer("queue", torch.randn(6, 11))
        self.register_buffer("queue_ptr", torch.zeros(1, dtype=torch.long))

    def h(self, x):
        return self.encoder_q(x)

    def z(self, x):
        return self.encoder_q.fc(self.h(x))


class Rocl(ResNet):
    """Kim-Minseon/RoCL: `shortcut`, an average over 4 x 4 pixels, no normalisation."""

    def __init__(self):
        super().__init__("small", "shortcut", pool="four")

    def h(self, x):
        return ResNet.forward(self, x)


class RoclProjector(nn.Module):
    """RoCL's projector, a module and a file of its own."""

    def __init__(self, features):
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(features, 12), nn.Linear(12, 6)

    def forward(self, h):
        return self.linear_2(F.relu(self.linear_1(h)))


class Norms(nn.Module):
    """ACL's batch norms of several domains in a list."""

    def __init__(self, norm, width, domains):
        super().__init__()
        self.bn_list = nn.ModuleList([norm(width) for _ in domains]) if domains else norm(width)

    def forward(self, x, domain):
        return self.bn_list(x) if domain is None else self.bn_list[domain](x)


class Shortcut(nn.Module):
    def __init__(self, inputs, outputs, stride, domains):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
        self.bn = Norms(nn.BatchNorm2d, outputs, domains)


class AclBlock(nn.Module):
    def __init__(self, inputs, planes, stride, domains):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, planes, 3, stride, 1, bias=False)
        self.bn1 = Norms(nn.BatchNorm2d, planes, domains)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = Norms(nn.BatchNorm2d, planes, domains)
        self.downsample = Shortcut(inputs, planes, stride, domains) if stride != 1 or inputs != planes else None

    def forward(self, x, domain):
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x), domain))), domain)
        return F.relu(out + (x if self.downsample is None else self.downsample.bn(self.downsample.conv(x), domain)))


class AclHead(nn.Module):
    """fc1, bn1, ReLU, fc2, bn2; fc3 and bn3 are made, saved and never reached."""

    def __init__(self, width, domains):
        super().__init__()
        for k in (1, 2, 3):
            setattr(self, f"fc{k}", nn.Linear(width, width, bias=k == 1))
            setattr(self, f"bn{k}", Norms(nn.BatchNorm1d, width, domains))

    def forward(self, h, domain):
        return self.bn2(self.fc2(F.relu(self.bn1(self.fc1(h), domain))), domain)


class Acl(nn.Module):
    """VITA-Group/Adversarial-Contrastive-Learning: `normalize` with buffers, lists of batch norms, head in place of fc."""

    def __init__(self, domains=("normal", "pgd"), classes=None, width=8):
        super().__init__()
        self.normalize = nn.Module()
        self.normalize.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]))
        self.normalize.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]))
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn1 = Norms(nn.BatchNorm2d, width, domains)
        inputs = width
        for k, depth in enumerate((1, 2, 1, 1)):
            layers = []
            for block in range(depth):
                layers.append(AclBlock(inputs, width * 2**k, 2 if k and not block else 1, domains))
                inputs = width * 2**k
            setattr(self, f"layer{k + 1}", nn.Sequential(*layers))
        self.fc = AclHead(inputs, domains) if classes is None else nn.Linear(inputs, classes)

    def h(self, x, domain):
        x = (x - self.normalize.mean[:, None, None]) / self.normalize.std[:, None, None]
        x = F.relu(self.bn1(self.conv1(x), domain))
        for k in (1, 2, 3, 4):
            for block in getattr(self, f"layer{k}"):
                x = block(x, domain)
        return x.mean(dim=(2, 3))

    def z(self, x, domain):
        return self.fc(self.h(x, domain), domain)


def lived_in(network, seed=0):
    """The network as after training: every batch norm with statistics, scales and shifts of its own; in evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            for tensor, low, high in (
                (part.weight.data, 0.5, 1.5),
                (part.bias.data, -0.5, 0.5),
                (part.running_mean, -0.3, 0.3),
                (part.running_var, 0.5, 2.0),
            ):
                tensor.copy_(low + (high - low) * torch.rand(tensor.shape, generator=generator))
    return network.eval()
