import sys

import pytest
import torch
from torch import nn

from sparring import norms
from sparring.encoders.bridge import PooledFeatures, feature_width
from tests.encoders import backbones
from tests.encoders.configs import encoder

HERE = "python:tests.encoders.backbones"


@pytest.mark.parametrize(
    ("name", "features"),
    [
        ("torchvision:shufflenet_v2_x0_5", 1024),  # fc
        ("torchvision:mobilenet_v3_small", 1024),  # the last of two layers of `classifier`
        ("torchvision:squeezenet1_1", 512),  # a convolution classifies
        ("timm:test_resnet", 96),
        ("timm:test_efficientnet", 256),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_models_of_others(name, features, channels):
    dual = "squeezenet" not in name
    net = encoder(name, channels=channels, image_size=32, dual=dual)
    x = torch.rand(2, channels, 32, 32)
    assert net.features == features
    assert net.represent(x).shape == (2, features)
    z = net(x, domain="adv" if dual else "clean")
    torch.testing.assert_close(z.norm(dim=1), torch.ones(2))
    if dual:
        assert not any(isinstance(m, norms.DualBatchNorm) for m in norms.extract(net, "adv").modules())


def test_a_torchvision_model_is_the_one_it_says_without_its_classifier():
    import torchvision

    net = encoder("torchvision:shufflenet_v2_x0_5", image_size=32).eval()
    theirs = torchvision.models.shufflenet_v2_x0_5(weights=None).eval()
    state = {k.removeprefix("backbone.network."): v for k, v in net.state_dict().items() if k.startswith("backbone")}
    left_out = theirs.load_state_dict(state, strict=False)
    assert left_out.missing_keys == ["fc.weight", "fc.bias"]
    assert not left_out.unexpected_keys
    x = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(theirs.fc(net.represent(x)), theirs((x - 0.4) / 0.25))


def test_models_of_a_fixed_size_get_the_images_size():
    assert encoder("timm:test_vit", image_size=32)(torch.rand(2, 3, 32, 32)).shape == (2, 8)


@pytest.mark.slow
def test_torchvisions_other_kinds():
    for name, size, features in (("vit_b_32", 64, 768), ("googlenet", 64, 1024), ("densenet121", 32, 1024)):
        net = encoder(f"torchvision:{name}", image_size=size)
        assert net(torch.rand(2, 3, size, size)).shape == (2, 8)
        assert net.features == features


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("torchvision:resnet19", "torchvision has no model 'resnet19'; did you mean 'resnet1"),
        ("torchvision:fasterrcnn_resnet50_fpn", "torchvision has no model"),
        ("timm:tset_resnet", "timm has no model 'tset_resnet'; did you mean 'test_resnet'"),
        ("timm:hf-hub:someone/model", "timm has no model 'hf-hub:someone/model'"),
        ("python:backbones", "python:backbones must be python:MODULE.FUNCTION"),
        ("python:nowhere.at_all", "nowhere cannot be imported: ModuleNotFoundError"),
        (f"{HERE}.smal", "'smal' is not there; did you mean 'small'"),
        (f"{HERE}.not_a_function", "'not_a_function' is no function in tests.encoders.backbones"),
        (f"{HERE}.no_module", "must return an nn.Module, not a Tensor"),
        (f"{HERE}.fails", "cannot be built for 3 x 8 x 8: no such weights here"),
        (f"{HERE}.Pair", "cannot encode an image of 3 x 8 x 8: features must be one tensor .* not a tuple"),
        (f"{HERE}.Tokens", r"features must be \[B, D\] or \[B, D, h, w\], not of shape \[1, 7, 64\]"),
        (f"{HERE}.Fixed", "Fixed cannot encode an image of 3 x 8 x 8: .*shapes"),
        ("torchvision:vit_b_16", "torchvision:vit_b_16 cannot be built for 3 x 8 x 8: Input shape indivisible"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(name, message):
    with pytest.raises(ValueError, match=message):
        encoder(name)


def test_without_timm_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ValueError, match=r"timm:resnet18 needs timm: pip install 'sparring\[models\]'"):
        encoder("timm:resnet18")


def test_a_function_of_the_users_own():
    net = encoder(f"{HERE}.small", dual=True)
    assert net.features == 5
    assert net(torch.rand(2, 3, 8, 8), domain="adv").shape == (2, 8)
    assert encoder(f"{HERE}.of_any_channels", channels=2).features == 6


def test_a_file_in_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "my_own_backbones.py").write_text(
        "from torch import nn\ndef flat():\n    return nn.Sequential(nn.Flatten(), nn.Linear(192, 9))\n"
    )
    (tmp_path / "my_broken_backbones.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    assert encoder("python:my_own_backbones.flat").features == 9
    with pytest.raises(ValueError, match="my_broken_backbones cannot be imported: ZeroDivisionError"):
        encoder("python:my_broken_backbones.flat")


def test_feature_maps_are_averaged():
    net = encoder(f"{HERE}.Maps")
    x = torch.rand(2, 3, 8, 8)
    assert net.features == 7
    torch.testing.assert_close(net.represent(x), net.backbone.network.conv((x - 0.4) / 0.25).mean(dim=(2, 3)))


def test_lazy_layers_get_their_shape_and_can_then_be_dual():
    net = encoder(f"{HERE}.lazy", dual=True)
    assert net.features == 4
    assert net(torch.rand(2, 3, 8, 8), domain="adv").shape == (2, 8)


def test_finding_the_width_leaves_a_module_as_it_was():
    module = backbones.small()
    module[1].eval()
    state = {k: v.clone() for k, v in module.state_dict().items()}
    modes, random = [m.training for m in module.modules()], torch.get_rng_state()
    assert feature_width(module, "mine", 3, 8) == 5
    assert [m.training for m in module.modules()] == modes
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(v, state[k]) for k, v in module.state_dict().items())
    with pytest.raises(ValueError, match="mine cannot encode an image of 1 x 8 x 8"):
        feature_width(module, "mine", 1, 8)
    assert [m.training for m in module.modules()] == modes
    with pytest.raises(ValueError, match=r"features must be one tensor \[B, D\]"):
        feature_width(nn.Identity(), "mine", 3, 8)


def test_a_backbone_of_vectors_passes_unchanged():
    x = torch.rand(2, 12)
    assert PooledFeatures(nn.Identity())(x) is x
