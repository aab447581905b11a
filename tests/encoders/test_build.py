import inspect
import subprocess
import sys

import pytest
import torch
from torch import nn

from sparring import norms
from sparring.encoders import ResNet20, build_encoder, build_head, check_name, cifar_resnet, encoder_names, rebuild
from tests.encoders.configs import config, encoder

RESNETS = {"resnet20": 64, "resnet18": 512, "resnet34": 512, "resnet50": 2048, "resnet101": 2048}
OURS = RESNETS | {"wrn-34-10": 640, "wrn-28-10": 640, "cnn": 200, "cnn-cifar": 256}


@pytest.mark.parametrize("name", RESNETS)
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
    assert set(names) == {*OURS, "wrn-DEPTH-WIDTH", "torchvision:NAME", "timm:NAME", "python:MODULE.FUNCTION"}
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


@pytest.mark.parametrize("head", ["mlp", "none"])
def test_a_classifier_changes_no_other_first_weight(head):
    states = []
    for classes in (None, 7):
        torch.manual_seed(3)
        states.append(encoder(head=head, classes=classes).state_dict())
    without, classifying = states
    assert all(torch.equal(v, classifying[k]) for k, v in without.items())
    assert {k: tuple(v.shape) for k, v in classifying.items() if k not in without} == {
        "classifier.weight": (7, 64),
        "classifier.bias": (7,),
    }


def test_the_classifier_has_pytorchs_first_weights_drawn_after_the_heads():
    torch.manual_seed(3)
    encoder()
    expected = nn.Linear(64, 7).state_dict()
    torch.manual_seed(3)
    found = encoder(dual=True, classes=7).classifier.state_dict()
    assert all(torch.equal(v, found[k]) for k, v in expected.items())


def test_the_adversarial_momentum_is_the_configurations():
    net = encoder(dual=True, adv_momentum=0.2)
    pairs = [(m.clean.momentum, m.adv.momentum) for m in net.modules() if isinstance(m, norms.DualBatchNorm)]
    assert set(pairs) == {(0.1, 0.2)}
    unsaid = [m for m in encoder(dual=True).modules() if isinstance(m, norms.DualBatchNorm)]
    assert {m.adv.momentum for m in unsaid} == {0.01}


def test_the_head_of_acl_has_three_layers_each_with_a_norm_of_both_domains():
    net = encoder(dual=True, head="mlp3-bn", dim=6, hidden=10)
    linear = [m for m in net.head if isinstance(m, nn.Linear)]
    assert [(m.in_features, m.out_features, m.bias is not None) for m in linear] == [
        (64, 10, True),
        (10, 10, False),
        (10, 6, False),
    ]
    assert [type(m).__name__ for m in net.head] == ["Linear", "DualBatchNorm", "ReLU"] * 2 + ["Linear", "DualBatchNorm"]
    x, before = torch.rand(4, 3, 8, 8), net.head[7].clean.running_mean.clone()
    net(x, domain="adv")
    assert torch.equal(net.head[7].clean.running_mean, before)
    assert not torch.equal(net.head[7].adv.running_mean, before)
    assert encoder(head="mlp3-bn", dim=6).head[3].out_features == 64


@pytest.mark.parametrize("classes", [None, 4])
@pytest.mark.parametrize("dual", [False, True])
def test_the_architecture_rebuilds_the_encoder(dual, classes):
    net = encoder(channels=1, dual=dual, classes=classes, head="mlp", hidden=12, adv_momentum=0.05)
    assert net.architecture["classes"] == net.classes == classes
    again = rebuild(net.architecture)
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in net.state_dict().items()}
    assert again.architecture == net.architecture
    assert (again.std, again.features, again.dim) == (net.std, net.features, net.dim)


def test_an_architecture_of_before_there_were_classifiers_has_none():
    old = encoder().architecture
    del old["classes"]
    assert rebuild(old).classes is None


def test_the_architecture_follows_a_conversion():
    net = encoder(dual=True, classes=3)
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
        (
            {"name": "wrn-33-10"},
            "encoder.name is 'wrn-33-10'; a WideResNet's depth is 10, 16, 22, 28, 34 or another 6 n",
        ),
        ({"name": "wrn-4-1"}, "a WideResNet's depth is 10"),
        ({"name": "wrn-10-0"}, "its width at least 1"),
        ({"name": "wrn-34"}, "encoder.name is 'wrn-34'; a WideResNet is wrn-DEPTH-WIDTH, such as wrn-34-10"),
        ({"name": "wrn-DEPTH-WIDTH"}, "a WideResNet is wrn-DEPTH-WIDTH"),
        ({"name": "cnn"}, "encoder.name cnn needs images of at least 16 pixels a side, not 8"),
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
    with pytest.raises(
        ValueError, match=r"encoder.head is 'conv'; it must be one of linear, mlp, mlp-bn, mlp3-bn, p2, none"
    ):
        unchecked("conv", 64, 8)
    for channels, size in ((0, 8), (3, 0)):
        with pytest.raises(ValueError, match=f"at least one channel and one pixel, not {channels} x {size}"):
            build_encoder(config(), channels=channels, image_size=size, dual=False)
    for classes in (1, 0, -3):
        with pytest.raises(ValueError, match=f"classes is {classes}; a classifier tells at least 2 apart"):
            encoder(classes=classes)
    with pytest.raises(ValueError, match=r"resnet20 cannot have two batch norms: adv_momentum is 2.0"):
        build_encoder(config(adv_momentum=2.0), channels=3, image_size=8, dual=True)


def test_names_are_checked_without_building():
    for name in (
        "resnet18",
        "wrn-16-8",
        "wrn-70-16",
        "cnn",
        "cnn-cifar",
        "torchvision:resnet18",
        "timm:test_resnet",
        "python:tests.encoders.backbones.small",
    ):
        check_name(name)
    with pytest.raises(ValueError, match="did you mean 'resnet101'"):
        check_name("resnet110")


def test_a_network_without_batch_norm_cannot_be_dual():
    with pytest.raises(ValueError, match=r"encoder.name timm:test_vit cannot have two batch norms: .* no batch norm"):
        encoder("timm:test_vit", image_size=32, dual=True)
    with pytest.raises(ValueError, match=r"encoder.name cnn cannot have two batch norms: .* no batch norm"):
        encoder("cnn", image_size=16, dual=True)


@pytest.mark.slow
def test_importing_encoders_does_not_import_timm():
    program = "import sys, sparring.encoders; print('timm' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "False"


def test_modes_after_building_are_training():
    assert all(m.training for m in encoder("python:tests.encoders.backbones.small").modules())
    assert isinstance(encoder("python:tests.encoders.backbones.small").backbone.network, nn.Sequential)
