"""Weights by the names of torchvision and timm, from the libraries' own caches, and a linear classifier in its own file."""

import pytest
import torch
from safetensors.torch import save_file

from sparring.encoders.published import load_published, weights_of
from sparring.encoders.published.hub import HUBS
from tests.reference import published as theirs


def test_torchvisions_cache_is_looked_into(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    with pytest.raises(ValueError, match="its weights are not on this machine; fetch them with --download"):
        weights_of("torchvision:resnet18.IMAGENET1K_V1")
    file = tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    file.parent.mkdir(parents=True)
    torch.save({}, file)
    assert weights_of("torchvision:resnet18.IMAGENET1K_V1") == ("torchvision:resnet18", file)


def test_timms_cache_is_looked_into(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match="its weights are not on this machine"):
        weights_of("timm:resnet18.tv_in1k")
    home = tmp_path / "models--timm--resnet18.tv_in1k"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text("abc")
    file = home / "snapshots" / "abc" / "model.safetensors"
    file.parent.mkdir(parents=True)
    save_file({"x": torch.zeros(1)}, file)
    assert weights_of("timm:resnet18.tv_in1k") == ("timm:resnet18", file)


def test_fetching_says_when_it_cannot(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)

    def fail(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(ValueError, match="its weights cannot be fetched: no network"):
        weights_of("torchvision:resnet18.IMAGENET1K_V1", download=True)


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("torchvision:resnet50", "several weights of resnet50; there are torchvision:resnet50.IMAGENET1K_V1 or "),
        ("torchvision:resnet50.V3", "has no weights 'V3' of resnet50"),
        ("torchvision:resnt50.IMAGENET1K_V1", "did you mean"),
        ("timm:resnet18", "several weights of resnet18; there are timm:resnet18.a1_in1k"),
        ("timm:resnet18.none", "has no weights 'none'"),
    ],
)
def test_weights_are_never_guessed(place, sentence):
    assert place.startswith(HUBS)
    with pytest.raises(ValueError, match=sentence):
        weights_of(place)


@pytest.fixture
def swav(tmp_path):
    torch.manual_seed(0)
    net = theirs.lived_in(theirs.Swav())
    torch.save(net.state_dict(), tmp_path / "swav.pth")
    return net, tmp_path / "swav.pth"


@torch.no_grad()
def test_a_linear_classifier_of_its_own_becomes_the_encoders(tmp_path, swav):
    net, path = swav
    layer = torch.nn.Linear(net.features, 5)
    torch.save(
        {"state_dict": {f"module.linear.{k}": v for k, v in layer.state_dict().items()}}, tmp_path / "linear.pth"
    )
    found = load_published(path, linear=tmp_path / "linear.pth")
    x = torch.rand(2, 3, 32, 32)
    mean, std = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.228, 0.224, 0.225)))
    torch.testing.assert_close(found.encoder.outputs(x).logits, layer(net.h((x - mean) / std)), rtol=1e-4, atol=1e-5)
    assert found.encoder.classes == 5 and "a classifier of 5 classes from linear.pth" in found.words
    assert found.report.used["classifier.weight"] == "linear.pth: module.linear.weight"
    assert not found.encoder.training and not found.encoder.classifier.training


def test_linear_files_that_do_not_fit_are_refused(tmp_path, swav):
    _, path = swav
    torch.save({"linear.weight": torch.ones(5, 7), "linear.bias": torch.zeros(5)}, tmp_path / "narrow.pth")
    with pytest.raises(ValueError, match="a classifier on 7 features, but the encoder has 128"):
        load_published(path, linear=tmp_path / "narrow.pth")
    torch.save({"bn.weight": torch.ones(5), "linear.weight": torch.ones(5, 128)}, tmp_path / "two.pth")
    with pytest.raises(
        ValueError, match=r"which holds bn\.weight, linear\.weight, not the weight and bias of one linear"
    ):
        load_published(path, linear=tmp_path / "two.pth")
    torch.save({"other.bias": torch.ones(5)}, tmp_path / "bias.pth")
    with pytest.raises(ValueError, match="not the weight and bias"):
        load_published(path, linear=tmp_path / "bias.pth")
