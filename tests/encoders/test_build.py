import inspect
import subprocess
import sys

import pytest
import torch
from torch import nn

from sparring import norms
from sparring.config import EncoderConfig
from sparring.encoders import ResNet20, build_encoder, build_head, check_name, cifar_resnet, encoder_names, rebuild
from tests.encoders.configs import config, encoder

OURS = {"resnet20": 64, "resnet18": 512, "resnet34": 512, "resnet50": 2048, "resnet101": 2048}


@pytest.mark.parametrize("name", OURS)
def test_every_backbone_of_ours_encodes_32_pixel_images(name):
    net = encoder(name, image_size=32, dual=True, head="linear")
    z = net(torch.rand(2, 3, 32, 32), domain="adv")
    assert (net.features, net.dim, z.shape) == (OURS[name], 8, (2, 8))
    with torch.device("meta"):
        plain = ResNet20() if name == "resnet20" else cifar_resnet(name)
    keys = [k for k in net.backbone.state_dict() if ".adv." not in k]
    assert [k.replace(".clean.", ".") for k in keys] == list(plain.state_dict())


def test_every_name_has_a_line():
    names = encoder_names()
    assert set(names) == {*OURS, "torchvision:NAME", "timm:NAME", "python:MODULE.FUNCTION"}
    assert all(line and "\n" not in line for line in names.values())
    assert all(f"{width} features" in names[name] for name, width in OURS.items())


def test_grayscale():
    net = encoder(channels=1, dual=True)
    assert net(torch.rand(2, 1, 8, 8)).shape == (2, 8)
    assert net.std == (0.25,)
    with pytest.raises(ValueError, match="this encoder takes"):
        net(torch.rand(2, 3, 8, 8))


def test_the_seed_decides_the_weights_and_a_second_norm_changes_none():
    states = []
    for seed, dual in ((0, False), (0, True), (1, False)):
        torch.manual_seed(seed)
        states.append({k.replace(".clean.", "."): v for k, v in encoder(dual=dual).state_dict().items()})
    plain, dual, other = states
    assert all(torch.equal(v, dual[k]) for k, v in plain.items())
    assert not torch.equal(plain["backbone.stem.0.weight"], other["backbone.stem.0.weight"])


def test_the_adversarial_momentum_is_the_configurations():
    net = encoder(dual=True, adv_momentum=0.2)
    pairs = [(m.clean.momentum, m.adv.momentum) for m in net.modules() if isinstance(m, norms.DualBatchNorm)]
    assert set(pairs) == {(0.1, 0.2)}


@pytest.mark.parametrize("dual", [False, True])
def test_the_architecture_rebuilds_the_encoder(dual):
    net = encoder(channels=1, dual=dual, head="mlp", hidden=12, adv_momentum=0.05)
    again = rebuild(net.architecture)
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in net.state_dict().items()}
    assert again.architecture == net.architecture
    assert (again.std, again.features, again.dim) == (net.std, net.features, net.dim)


def test_the_architecture_follows_a_conversion():
    net = encoder(dual=True)
    assert net.architecture["dual"]
    plain = norms.extract(net, "adv")
    assert plain.architecture == {**net.architecture, "dual": False}
    assert norms.convert(plain).architecture["dual"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "resnet19"}, "encoder.name is 'resnet19'; it must be one of resnet20.*; did you mean 'resnet"),
        ({"name": "timm:"}, "encoder.name is 'timm:'; it must be one of .*; did you mean 'timm:NAME'"),
        ({"name": "torchvision:NAME"}, "torchvision has no model 'NAME'"),
        ({"name": "hub:resnet18"}, "encoder.name is 'hub:resnet18'"),
        ({"name": None}, "encoder.name, head and dim must be given, not None, mlp, 8"),
        ({"dim": None}, "must be given, not resnet20, mlp, None"),
        ({"dim": 0}, "encoder.dim is 0"),
        ({"mean": [0.5]}, r"encoder.mean is \[0.5\] and encoder.std .* need 3 values each"),
        ({"std": None}, "encoder.std None; the images need 3 values each"),
        ({"std": [0.2, 0.0, 0.2]}, "std above 0"),
    ],
)
def test_bad_configurations(changes, message):
    with pytest.raises(ValueError, match=message):
        build_encoder(config(**({"name": "resnet20"} | changes)), channels=3, image_size=8, dual=False)


def test_a_bad_head_and_bad_images_and_a_bad_momentum():
    unchecked = inspect.unwrap(build_head)  # as without the type check of the tests
    with pytest.raises(ValueError, match=r"encoder.head is 'conv'; it must be one of linear, mlp, none"):
        unchecked("conv", 64, 8)
    for channels, size in ((0, 8), (3, 0)):
        with pytest.raises(ValueError, match=f"at least one channel and one pixel, not {channels} x {size}"):
            build_encoder(config(), channels=channels, image_size=size, dual=False)
    with pytest.raises(ValueError, match=r"resnet20 cannot have two batch norms: adv_momentum is 2.0"):
        build_encoder(config(adv_momentum=2.0), channels=3, image_size=8, dual=True)


def test_names_are_checked_without_building():
    for name in ("resnet18", "torchvision:resnet18", "timm:test_resnet", "python:tests.encoders.backbones.small"):
        check_name(name)
    with pytest.raises(ValueError, match="did you mean 'resnet101'"):
        check_name("resnet110")


def test_a_network_without_batch_norm_cannot_be_dual():
    with pytest.raises(ValueError, match=r"encoder.name timm:test_vit cannot have two batch norms: .* no batch norm"):
        encoder("timm:test_vit", image_size=32, dual=True)


@pytest.mark.slow
def test_importing_encoders_does_not_import_timm():
    program = "import sys, sparring.encoders; print('timm' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "False"


def test_modes_after_building_are_training():
    assert all(m.training for m in encoder("python:tests.encoders.backbones.small").modules())
    assert isinstance(encoder("python:tests.encoders.backbones.small").backbone.network, nn.Sequential)
    assert EncoderConfig().adv_momentum == 0.01
