import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sparring import norms
from sparring.encoders import WideResNet
from sparring.encoders.wide_resnet import depth_and_width

# With a linear layer of ten classes; the paper prints 36.5, 11.0 and 8.9 million for the last three.
KNOWN = {(34, 10): 46_160_474, (28, 10): 36_479_194, (16, 8): 10_961_370, (40, 4): 8_949_210}


def parameters(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("size", KNOWN, ids=lambda size: "-".join(map(str, size)))
def test_parameters_are_those_of_the_published_networks(size):
    with torch.device("meta"):
        network = WideResNet(*size)
    depth, width = size
    assert parameters(network) + 10 * (64 * width + 1) == KNOWN[size]
    weights = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert len([c for c in weights if c.kernel_size == (3, 3)]) == depth - 3  # less three shortcuts, and the classifier
    assert len([c for c in weights if c.kernel_size == (1, 1)]) == 3
    assert len([m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]) == depth - 3
    assert not [m for m in network.modules() if isinstance(m, nn.Dropout)]


def by_the_paper(state, x, depth, width):
    """The network as section 2 and table 1 write it, from the flat list of its weights, with no module."""
    convolutions = iter([v for v in state.values() if v.ndim == 4])
    scales = iter([k for k in state if k.endswith("running_mean")])

    def norm(x):
        name = next(scales).removesuffix("running_mean")
        mean, var, gamma, beta = (state[name + part] for part in ("running_mean", "running_var", "weight", "bias"))
        y = (x - mean.view(-1, 1, 1)) / (var.view(-1, 1, 1) + 1e-5).sqrt()
        return F.relu(y * gamma.view(-1, 1, 1) + beta.view(-1, 1, 1))

    x = F.conv2d(x, next(convolutions), padding=1)
    for group in range(3):
        for block in range((depth - 4) // 6):
            stride = 2 if group > 0 and block == 0 else 1
            activated = norm(x)
            y = F.conv2d(activated, next(convolutions), stride=stride, padding=1)
            y = F.conv2d(norm(y), next(convolutions), padding=1)
            changes = x.shape[1] != y.shape[1] or stride == 2
            x = y + (F.conv2d(activated, next(convolutions), stride=stride) if changes else x)
            assert x.shape[1] == 16 * 2**group * width
    h = norm(x).mean(dim=(2, 3))
    assert next(convolutions, None) is next(scales, None) is None  # every weight has been used
    return h


@pytest.mark.parametrize(("depth", "width"), [(10, 1), (16, 2)])
def test_equals_the_papers_network_written_without_modules(depth, width):
    network = WideResNet(depth, width).double()
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.ndim == 1:
                noise = torch.rand(value.shape, generator=generator, dtype=torch.float64)
                value.copy_(noise + (0.5 if "var" in name or "weight" in name else -0.5))
    x = torch.rand(2, 3, 12, 12, generator=generator, dtype=torch.float64)
    h = network.eval()(x)
    assert h.shape == (2, 64 * width)
    torch.testing.assert_close(h, by_the_paper(network.state_dict(), x, depth, width), rtol=1e-9, atol=1e-12)


def test_a_32_pixel_image_is_halved_twice_and_averaged_whole():
    network, seen = WideResNet(10, 1), []
    for part in (network.stem, *network.stages, network.last):
        part.register_forward_hook(lambda _module, _inputs, out: seen.append(out))
    h = network(torch.rand(2, 3, 32, 32))
    assert [maps.shape[-1] for maps in seen] == [32, 32, 16, 8, 8]
    torch.testing.assert_close(h, seen[-1].mean(dim=(2, 3)))
    assert h.min() >= 0  # a ReLU comes before the pool
    assert WideResNet(10, 1, channels=1)(torch.rand(2, 1, 7, 9)).shape == (2, 64)


def test_he_initialisation():
    for m in WideResNet(10, 2).modules():
        if isinstance(m, nn.Conv2d):
            expected = (2 / (m.out_channels * m.kernel_size[0] ** 2)) ** 0.5
            assert m.weight.std().item() == pytest.approx(expected, abs=4 * expected / (2 * m.weight.numel()) ** 0.5)


def test_two_batch_norms_keep_their_statistics_apart():
    network = norms.convert(WideResNet(10, 1)).train()
    assert sum(isinstance(m, norms.DualBatchNorm) for m in network.modules()) == 7
    before = {k: v.clone() for k, v in network.named_buffers()}
    with norms.use_domain(network, "adv"):
        network(torch.rand(2, 3, 8, 8))
    changed = {k for k, v in network.named_buffers() if not torch.equal(v, before[k])}
    assert changed == {k for k in before if ".adv." in k}


def test_backward_leaves_the_input_of_a_block_whole():
    """ReLUs work in place; the sum of a block needs its input as it was."""
    network = WideResNet(10, 1).double().train()
    x = torch.rand(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: network(x)[:, :2].sum(dim=0), (x,), eps=1e-7, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("depth", "width"), [(33, 10), (4, 1), (0, 1), (10, 0)])
def test_depths_that_are_no_wide_resnets(depth, width):
    with pytest.raises(ValueError, match=f"encoder.name is 'wrn-{depth}-{width}'; a WideResNet's depth is 10, 16"):
        WideResNet(depth, width)
    with pytest.raises(ValueError, match="such as wrn-34-10"):
        depth_and_width("wrn-ten-1")
