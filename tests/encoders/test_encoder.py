import copy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sparring import norms
from sparring.encoders import ContrastiveEncoder, Normalize, build_head
from sparring.types import Classifying
from tests.encoders.configs import encoder


def trunk():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def hand_made(**changes):
    torch.manual_seed(0)
    head = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 5))
    return ContrastiveEncoder(trunk(), head, [0.1, 0.2, 0.3], [0.5, 0.25, 0.2], **({"features": 4, "dim": 5} | changes))


@pytest.mark.parametrize("head", ["linear", "mlp", "p2", "none"])
def test_z_is_the_heads_output_of_unit_length_and_h_the_backbones(head):
    net = encoder(head=head).eval()
    x = torch.rand(3, 3, 8, 8)
    h, z = net.represent(x), net(x)
    assert (h.shape, z.shape) == ((3, net.features), (3, net.dim))
    assert net.dim == (64 if head == "none" else 8)
    torch.testing.assert_close(h, net.backbone((x - 0.4) / 0.25))
    torch.testing.assert_close(z, F.normalize(net.head(h)))
    torch.testing.assert_close(z.norm(dim=1), torch.ones(3))


def test_heads_are_the_papers():
    def layers(head):
        return [(type(m).__name__, getattr(m, "in_features", 0), getattr(m, "out_features", 0)) for m in head.modules()]

    assert layers(build_head("linear", 512, 128)[0]) == [("Linear", 512, 128)]
    mlp = [("Linear", 512, 512), ("ReLU", 0, 0), ("Linear", 512, 64)]
    assert layers(build_head("mlp", 512, 64)[0])[1:] == mlp
    assert layers(build_head("mlp", 512, 64, 100)[0])[1:] == [("Linear", 512, 100), mlp[1], ("Linear", 100, 64)]
    p2 = build_head("p2", 512, 128)[0]
    assert layers(p2)[1:] == [("Linear", 512, 200), ("ReLU", 0, 0), ("Linear", 200, 128)]
    assert list(p2.state_dict()) == ["0.weight", "2.weight"]  # no biases: 002, supplement, section 8.1
    assert layers(build_head("p2", 512, 64, 100)[0])[1:] == [("Linear", 512, 100), mlp[1], ("Linear", 100, 64)]
    assert build_head("none", 512, 64)[1] == 512
    for name in ("mlp", "p2"):
        for dim, hidden in ((0, None), (8, 0)):
            with pytest.raises(ValueError, match=f"encoder.dim is {dim} and encoder.hidden {hidden}"):
                build_head(name, 512, dim, hidden)


@pytest.mark.parametrize("shape", [(4,), (2, 3)], ids=["images", "views"])
@pytest.mark.parametrize("head", ["linear", "none"])
def test_outputs_are_h_z_and_the_class_scores_of_h_from_one_forward(head, shape):
    net = encoder(head=head, dual=True, classes=3).train()
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if ".adv.bias" in name:
                parameter.add_(0.5)
    x = torch.rand(*shape, 3, 8, 8)
    seen = []
    net.backbone.register_forward_hook(lambda *_: seen.append(1))
    for domain in ("clean", "adv"):
        out = net.outputs(x, domain)
        assert len(seen) == 1
        h = net.represent(x, domain)
        assert torch.equal(out.h, h)
        assert torch.equal(out.z, net(x, domain))
        assert torch.equal(out.logits, net.classifier(h))
        assert out.logits.shape == (*shape, 3)
        seen.clear()
    assert not torch.allclose(net.outputs(x, "adv").logits, net.outputs(x).logits)
    assert isinstance(net, Classifying)


def test_gradients_of_class_scores_reach_backbone_and_classifier_and_not_the_head():
    net = encoder(classes=3, head="linear")
    F.cross_entropy(net.outputs(torch.rand(4, 3, 8, 8)).logits, torch.tensor([0, 1, 2, 0])).backward()
    for name, parameter in net.named_parameters():
        assert (parameter.grad is not None and parameter.grad.abs().sum() > 0) == (not name.startswith("head.")), name


def test_without_a_classifier_there_are_no_class_scores():
    net = hand_made()
    assert net.classes is None
    with pytest.raises(ValueError, match="this encoder has no classifier, so it gives no class scores; build it with"):
        net.outputs(torch.rand(2, 3, 6, 6))
    classifier = nn.Sequential(nn.Linear(4, 9), nn.ReLU(), nn.Linear(9, 3), nn.Dropout(0.1))
    net = hand_made(classifier=classifier)
    assert net.classes == 3
    assert net.outputs(torch.rand(2, 3, 6, 6)).logits.shape == (2, 3)


def test_normalisation_is_per_channel_and_outside_of_the_state_dict():
    normalize = Normalize([0.1, 0.2], [0.5, 0.25])
    x = torch.rand(3, 2, 2, 2)
    y = normalize(x)
    torch.testing.assert_close(y[:, 0], (x[:, 0] - 0.1) / 0.5)
    torch.testing.assert_close(y[:, 1], (x[:, 1] - 0.2) / 0.25)
    assert not normalize.state_dict()
    assert hand_made().std == (0.5, 0.25, 0.2)


@pytest.mark.parametrize(
    ("mean", "std"), [([], []), ([0.5], [0.5, 0.5]), ([0.5], [0.0]), ([0.5], [-1.0]), ([float("nan")], [0.5])]
)
def test_bad_normalisation_constants(mean, std):
    with pytest.raises(ValueError, match="must have one value a channel, std above 0"):
        Normalize(mean, std)


def test_views_are_one_joint_forward():
    net = hand_made().train()
    again = copy.deepcopy(net)
    views = torch.rand(2, 4, 3, 6, 6)
    z, h = net(views), net.represent(views)
    assert (z.shape, h.shape) == ((2, 4, 5), (2, 4, 4))
    joint = again(torch.cat([views[0], views[1]]))
    assert torch.equal(z.flatten(0, 1), joint)
    assert net.backbone[1].num_batches_tracked == 2
    separate = copy.deepcopy(again)(views[0])
    assert not torch.allclose(z[0], separate)  # batch norm sees both views


def test_gradients_reach_the_pixels_and_every_parameter():
    net = encoder(head="mlp", dual=True)
    x = torch.rand(4, 3, 8, 8, requires_grad=True)
    for domain in ("clean", "adv"):
        z = net(x, domain=domain)
        (gradient,) = torch.autograd.grad(z[:, 0].sum(), x, retain_graph=True)
        assert gradient.abs().sum() > 0
        z[:, 0].sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_the_domain_chooses_every_norm_the_heads_too():
    net = norms.convert(hand_made())
    assert sum(isinstance(m, norms.DualBatchNorm) for m in net.modules()) == 2
    before = {k: v.clone() for k, v in net.named_buffers()}
    net(torch.rand(4, 3, 6, 6), domain="adv")
    changed = {k for k, v in net.named_buffers() if not torch.equal(v, before[k])}
    assert changed == {k for k in before if ".adv." in k}
    assert norms.domain_of(net) == "clean"
    with pytest.raises(ValueError, match="there is no domain 'adv'"):
        hand_made()(torch.rand(4, 3, 6, 6), domain="adv")


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.rand(2, 1, 6, 6), r"shape \[2, 1, 6, 6\]; this encoder takes \[B, 3, H, W\]"),
        (torch.rand(2, 2, 4, 6, 6), r"takes \[B, 3, H, W\] or \[V, B, 3, H, W\]"),
        (torch.rand(3, 6, 6), "this encoder takes"),
    ],
)
def test_images_of_another_shape(x, message):
    net = hand_made()
    with pytest.raises(ValueError, match=message):
        net(x)
    with pytest.raises(ValueError, match=message):
        net.represent(x)


def test_integer_pixels():
    with pytest.raises(ValueError, match=r"torch.uint8; this encoder takes float pixels in \[0, 1\]"):
        hand_made()._backbone_features(torch.zeros(2, 3, 6, 6, dtype=torch.uint8))


def test_bf16_autocast_gives_float32_embeddings_near_the_exact_ones():
    net = encoder("resnet20", dual=True, classes=3).eval()
    x = torch.rand(4, 3, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        z = net(x, domain="adv")
        _, also_z, logits = net.outputs(x, domain="adv")
    assert z.dtype == also_z.dtype == logits.dtype == torch.float32
    assert torch.equal(also_z, z)
    torch.testing.assert_close(logits, net.outputs(x, domain="adv").logits, rtol=0.05, atol=0.05)
    torch.testing.assert_close(z.norm(dim=1), torch.ones(4))
    assert (z * net(x, domain="adv")).sum(dim=1).min() > 0.98


def test_double_precision_and_channels_last():
    net, x = hand_made().eval(), torch.rand(3, 3, 6, 6)
    z = net(x)
    exact = copy.deepcopy(net).double()(x.double())
    assert exact.dtype == torch.float64
    torch.testing.assert_close(z.double(), exact, rtol=1e-4, atol=1e-5)
    last = net.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
    torch.testing.assert_close(last, z)


def test_a_hand_made_encoder_describes_no_architecture():
    assert hand_made().architecture == {}


COMPILED = """
import torch
from tests.encoders.configs import encoder

torch.manual_seed(0)
net = encoder(dual=True).eval()
for name, parameter in net.named_parameters():
    if ".adv.bias" in name:
        parameter.data.add_(0.5)
compiled, x = torch.compile(net, fullgraph=True), torch.rand(4, 3, 8, 8)
for domain in ("clean", "adv", "clean"):
    torch.testing.assert_close(compiled(x, domain=domain), net(x, domain=domain))
assert not torch.allclose(net(x), net(x, domain="adv"))
with torch.no_grad():
    torch.testing.assert_close(compiled(x[None].repeat(2, 1, 1, 1, 1)), net(x)[None].repeat(2, 1, 1))
"""


@pytest.mark.slow
def test_a_compiled_encoder_is_one_graph_and_gives_the_same_embeddings_in_each_domain():
    # in a process of its own: the type check of the tests cannot be compiled
    subprocess.run([sys.executable, "-c", COMPILED], cwd=Path(__file__).parents[2], check=True)
