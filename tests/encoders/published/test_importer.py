"""Every published layout: what is loaded computes what that repository's own network computes."""

import argparse
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.functional import normalize

from sparring.encoders import save_weights
from sparring.encoders.published import LAYOUTS, load_published
from tests.reference import published as theirs

MEAN, STD = [0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010]
IMAGENET = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
STDS = {
    "swav": torch.tensor([0.228, 0.224, 0.225])[:, None, None],
    "imagenet": torch.tensor([0.229, 0.224, 0.225])[:, None, None],
}


@pytest.fixture(scope="module")
def x():
    return torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(5))


def made(kind, **options):
    torch.manual_seed(3)
    return theirs.lived_in(kind(**options))


def parallel(state):
    """The keys of a network inside DistributedDataParallel."""
    return {f"module.{key}": value for key, value in state.items()}


def written(tmp_path: Path, content) -> Path:
    path = tmp_path / "checkpoint.pth.tar"
    torch.save(content, path)
    return path


def same(found, h, z=None, domain="clean", x=None):
    with torch.no_grad():
        torch.testing.assert_close(found.encoder.represent(x, domain), h, rtol=1e-4, atol=1e-5)
        if z is not None:
            torch.testing.assert_close(found.encoder(x, domain), normalize(z, dim=1), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_sthalles_simclr_reads_pixels_as_they_are(tmp_path, x):
    net = made(theirs.Simclr)
    path = written(
        tmp_path, {"epoch": 7, "arch": "resnet18", "state_dict": net.state_dict(), "optimizer": {"state": {}}}
    )
    found = load_published(path)
    same(found, net.h(x), net.z(x), x=x)
    assert found.report.layout == "simclr" and found.report.missing == () and not found.report.left_over
    assert found.encoder.std == (1.0, 1.0, 1.0) and "as they are" in found.words


@torch.no_grad()
def test_earlier_sthalles_simclr(tmp_path, x):
    net = made(theirs.EarlierSimclr)
    found = load_published(written(tmp_path, net.state_dict()))
    same(found, net.h(x), net.z(x), x=x)
    assert found.report.renamed["features.4.0.conv1.weight"] == "backbone.layer1.0.conv1.weight"


@torch.no_grad()
@pytest.mark.parametrize(("bottleneck", "width"), [(False, 8), (True, 16)])
def test_google_simclr_and_torchvision_differ_in_their_normalisation(tmp_path, x, bottleneck, width):
    net = made(theirs.Classifier, bottleneck=bottleneck, width=width)
    path = written(tmp_path, {"state_dict": net.state_dict()})
    with pytest.raises(ValueError, match=r"--layout must be given, as torchvision .* simclr .* or swav"):
        load_published(path)
    google, usual = load_published(path, layout="simclr"), load_published(path, layout="torchvision")
    same(google, net.h(x), x=x)
    same(usual, net.h((x - IMAGENET) / STDS["imagenet"]), x=x)
    torch.testing.assert_close(google.encoder.outputs(x).logits, net.logits(x), rtol=1e-4, atol=1e-5)
    assert google.encoder.classes == 5 and "the head" in google.report.missing[0]


@torch.no_grad()
@pytest.mark.parametrize("options", [{}, {"parallel": True}, {"linear": True}])
def test_supcontrast_with_its_own_options_in_the_file(tmp_path, x, options):
    net = made(theirs.Supcon, **options)
    saved = {"opt": argparse.Namespace(dataset="cifar10", lr=0.5, lr_decay_epochs=[700]), "model": net.state_dict()}
    found = load_published(written(tmp_path, saved | {"optimizer": {}, "epoch": 1000}))
    mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
    same(found, net.h((x - mean) / std), net.z((x - mean) / std), x=x)
    assert found.report.layout == "supcon"
    assert ("encoder.module.conv1.weight" in found.report.used.values()) == bool(options.get("parallel"))


@torch.no_grad()
def test_supcontrast_that_does_not_say_its_data_needs_the_normalisation(tmp_path, x):
    net = made(theirs.Supcon)
    path = written(tmp_path, {"model": parallel(net.state_dict())})
    with pytest.raises(ValueError, match=r"encoder.mean and encoder.std must be given.*cifar100: --mean 0.5071"):
        load_published(path)
    found = load_published(path, mean=[0.5], std=[0.25])
    same(found, net.h((x - 0.5) / 0.25), x=x)
    saved = {"opt": argparse.Namespace(dataset="path"), "model": net.state_dict()}
    with pytest.raises(ValueError, match="was trained on path"):
        load_published(written(tmp_path, saved))


@torch.no_grad()
def test_swav_leaves_its_prototypes(tmp_path, x):
    net = made(theirs.Swav)
    found = load_published(written(tmp_path, parallel(net.state_dict())))
    same(found, net.h((x - IMAGENET) / STDS["swav"]), net.z((x - IMAGENET) / STDS["swav"]), x=x)
    assert list(found.report.left_over) == ["module.prototypes.weight"]
    assert "prototypes" in found.report.sentence and "none missing" in found.report.sentence


@torch.no_grad()
def test_moco_is_its_query_encoder(tmp_path, x):
    net = made(theirs.Moco)
    found = load_published(written(tmp_path, {"arch": "resnet50", "state_dict": parallel(net.state_dict())}))
    pixels = (x - IMAGENET) / STDS["imagenet"]
    same(found, net.h(pixels), net.z(pixels), x=x)
    assert len(found.report.used) + len(found.report.left_over) == len(net.state_dict())
    assert all("encoder_k" in key or "queue" in key for key in found.report.left_over)


@torch.no_grad()
def test_rocl_with_and_without_its_projector(tmp_path, x):
    net = made(theirs.Rocl)
    projector = made(theirs.RoclProjector, features=net.features)
    path, other = (
        written(tmp_path, {"net": parallel(net.state_dict()), "acc": torch.tensor(1.0)}),
        tmp_path / "projector",
    )
    torch.save({"model": parallel(projector.state_dict())}, other)
    alone = load_published(path)
    same(alone, net.h(x), net.h(x), x=x)
    assert alone.report.layout == "rocl" and alone.encoder.std == (1.0,) * 3 and "head" in alone.report.missing[0]
    assert alone.report.renamed["module.layer2.0.shortcut.1.bias"] == "backbone.layer2.0.downsample.1.bias"
    whole = load_published(path, projector=other)
    same(whole, net.h(x), projector(net.h(x)), x=x)
    with pytest.raises(ValueError, match="holds more or other keys than linear_1 and linear_2"):
        load_published(path, projector=path)


@torch.no_grad()
@pytest.mark.parametrize("earlier", [False, True])
def test_acl_has_a_domain_for_each_of_its_batch_norms(tmp_path, x, earlier):
    net = made(theirs.Acl)
    net.normalize.mean.fill_(0.25)
    state = net.state_dict()
    if earlier:  # its first files named a second norm beside the first instead of a list
        state = {key.replace(".bn_list.0.", ".").replace(".bn_list.1.", "_adv."): value for key, value in state.items()}
    found = load_published(written(tmp_path, {"epoch": 1000, "state_dict": state, "optim": {}}))
    for number, domain in enumerate(("clean", "adv")):
        same(found, net.h(x, number), net.z(x, number), domain, x=x)
    assert not torch.allclose(net.h(x, 0), net.h(x, 1), rtol=0.01)
    assert found.report.layout == "acl" and "two batch norms" in found.words and "mean 0.25 0.25 0.25" in found.words
    assert all(".fc3." in f".{key}" or ".bn3" in key for key in found.report.left_over) and found.report.left_over


@torch.no_grad()
@pytest.mark.parametrize(("domains", "number"), [(("normal",), 0), (None, None)])
def test_acl_with_one_batch_norm_and_a_classifier(tmp_path, x, domains, number):
    net = made(theirs.Acl, domains=domains, classes=4)
    found = load_published(written(tmp_path, net.state_dict()))
    same(found, net.h(x, number), x=x)
    torch.testing.assert_close(found.encoder.outputs(x).logits, net.fc(net.h(x, number)), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="there is no domain 'adv'"):
        found.encoder.represent(x, "adv")


@torch.no_grad()
@pytest.mark.parametrize("name", ["torchvision:squeezenet1_1", "torchvision:shufflenet_v2_x0_5", "timm:test_resnet"])
def test_named_models_are_filled_up_to_their_classifier(tmp_path, name):
    package, _, model = name.partition(":")
    library = pytest.importorskip(package)
    torch.manual_seed(0)
    net = library.models.get_model(model, weights=None) if package == "torchvision" else library.create_model(model)
    x = torch.rand(2, 3, 64, 64)
    found = load_published(written(tmp_path, theirs.lived_in(net).state_dict()), name=name, image_size=64)
    pixels = (x - found.encoder.normalize.mean) / found.encoder.normalize.std
    if "squeezenet" in name:  # its classifier is a convolution, which stays behind
        assert sorted(found.report.left_over) == ["classifier.1.bias", "classifier.1.weight"]
        torch.testing.assert_close(found.encoder.represent(x), net.features(pixels).relu().mean(dim=(2, 3)))
    else:
        torch.testing.assert_close(found.encoder.outputs(x).logits, net(pixels), rtol=1e-3, atol=1e-4)
    assert found.encoder.std == ((0.229, 0.224, 0.225) if package == "torchvision" else (0.5, 0.5, 0.5))


def test_a_file_of_ones_own_says_what_it_is(tmp_path, x):
    from sparring.config import EncoderConfig
    from sparring.encoders import build_encoder

    config = EncoderConfig(name="resnet20", head="mlp", dim=8, mean=[0.5] * 3, std=[0.2] * 3)
    own = build_encoder(config, channels=3, image_size=32, dual=False).eval()
    save_weights(own, tmp_path / "own.safetensors")
    found = load_published(tmp_path / "own.safetensors")
    same(found, own.represent(x).detach(), x=x)
    assert found.encoder.std == (0.2,) * 3 and found.report.layout == "sparring"


def test_safetensors_and_files_of_half_precision(tmp_path, x):
    from safetensors.torch import save_file

    net = made(theirs.Simclr)
    save_file({key: value.half() if value.is_floating_point() else value for key, value in net.state_dict().items()},
              tmp_path / "half.safetensors")  # fmt: skip
    found = load_published(tmp_path / "half.safetensors")
    assert found.encoder.represent(x).dtype == torch.float32
    torch.testing.assert_close(found.encoder.represent(x), net.h(x), rtol=0.02, atol=0.02)


def test_loading_moves_no_random_state_and_is_in_evaluation_mode(tmp_path):
    path = written(tmp_path, made(theirs.Swav).state_dict())
    before = torch.random.get_rng_state()
    found = load_published(path)
    assert torch.equal(before, torch.random.get_rng_state()) and not any(m.training for m in found.encoder.modules())


def test_every_layout_is_explained():
    assert all(layout.words and layout.rules for layout in LAYOUTS.values())
    assert isinstance(made(theirs.Simclr), nn.Module)
