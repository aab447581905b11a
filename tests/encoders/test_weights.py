import json
import pickle
import resource

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from sparring import norms
from sparring.encoders import ContrastiveEncoder, load_encoder, load_weights, save_weights
from tests.encoders.configs import encoder


def state(module):
    return {k: v.clone() for k, v in module.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.fixture
def trained():
    net = encoder(dual=True)
    net(torch.rand(4, 3, 8, 8))
    net(torch.rand(4, 3, 8, 8), domain="adv")
    return net


@pytest.fixture
def path(tmp_path, trained):
    save_weights(trained, tmp_path / "weights.safetensors")
    return tmp_path / "weights.safetensors"


def test_round_trip_is_bitwise(trained, path):
    torch.manual_seed(5)
    other = encoder(dual=True)
    assert not same(state(other), state(trained))
    load_weights(other, path)
    assert same(state(other), state(trained))


def test_the_architecture_lies_beside_the_weights(trained, path):
    with safe_open(path, framework="pt") as file:
        assert json.loads(file.metadata()["architecture"]) == trained.architecture
        assert list(file.keys()) == sorted(trained.state_dict())


def test_an_encoder_is_rebuilt_from_its_file(trained, path):
    random = torch.get_rng_state()
    net = load_encoder(path)
    assert torch.equal(torch.get_rng_state(), random)
    assert same(state(net), state(trained))
    assert net.architecture == trained.architecture
    x = torch.rand(2, 3, 8, 8)
    assert torch.equal(net.eval()(x, domain="adv"), trained.eval()(x, domain="adv"))


def test_a_bridged_and_an_extracted_encoder_are_rebuilt(tmp_path, trained):
    for net in (encoder("timm:test_resnet", image_size=32), norms.extract(trained, "adv")):
        save_weights(net, tmp_path / "w")
        assert same(state(load_encoder(tmp_path / "w")), state(net))


def test_a_classifier_is_saved_and_rebuilt(tmp_path):
    net = encoder(dual=True, classes=5, head="p2")
    save_weights(net, tmp_path / "w")
    again = load_encoder(tmp_path / "w")
    assert again.classes == 5
    assert same(state(again), state(net))
    x = torch.rand(2, 3, 8, 8)
    assert torch.equal(again.eval().outputs(x).logits, net.eval().outputs(x).logits)


def test_files_of_before_there_were_classifiers_are_rebuilt_without_one(tmp_path, trained):
    architecture = {key: value for key, value in trained.architecture.items() if key != "classes"}
    save_file(state(trained), tmp_path / "old", metadata={"architecture": json.dumps(architecture)})
    net = load_encoder(tmp_path / "old")
    assert net.classes is None
    assert same(state(net), state(trained))
    load_weights(trained, tmp_path / "old")


def test_a_classifier_on_one_side_only_is_explained(tmp_path):
    with_one, without = encoder(classes=5), encoder()
    save_weights(with_one, tmp_path / "with")
    save_weights(without, tmp_path / "without")
    before = state(without)
    with pytest.raises(
        ValueError,
        match=r"the encoder lacks classifier.bias, classifier.weight; the file has a classifier, the encoder none",
    ):
        load_weights(without, tmp_path / "with")
    assert same(state(without), before)
    with pytest.raises(
        ValueError, match=r"file lacks classifier.weight, classifier.bias; the encoder has a classifier, the file none"
    ):
        load_weights(with_one, tmp_path / "without")
    with pytest.raises(
        ValueError, match=r"classifier.weight is \[5, 64\].*head mlp-8, 5 classes and .*mlp-8, 3 classes"
    ):
        load_weights(encoder(classes=3), tmp_path / "with")


def test_shared_norms_and_channels_last(tmp_path):
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(3)
    trunk = nn.Sequential(norm, nn.Conv2d(3, 3, 3), norm, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    net = norms.convert(ContrastiveEncoder(trunk, nn.Linear(3, 2), [0.5] * 3, [0.5] * 3, features=3, dim=2))
    net.to(memory_format=torch.channels_last)
    net(torch.rand(2, 3, 6, 6), domain="adv")
    before = state(net)
    save_weights(net, tmp_path / "w")
    net(torch.rand(2, 3, 6, 6), domain="adv")
    load_weights(net, tmp_path / "w")
    assert same(state(net), before)
    with pytest.raises(ValueError, match="does not say which architecture it belongs to"):
        load_encoder(tmp_path / "w")


def test_a_header_whose_length_looks_like_a_pickle_or_a_zip(tmp_path):
    """The first bytes of a safetensors file are the length of its header, which may be any number."""
    for start, length in ((b"\x80", 0x180), (b"PK", 0x4B50)):
        for padding in range(length):
            save_file({"w": torch.ones(2)}, tmp_path / "w", metadata={"padding": "x" * (length - 120 + padding)})
            if (tmp_path / "w").read_bytes().startswith(start):
                break
        else:
            pytest.fail("no such header was written")
        net = nn.Module()
        net.register_buffer("w", torch.zeros(2))
        load_weights(net, tmp_path / "w")
        assert torch.equal(net.w, torch.ones(2))


def test_pytorch_files_of_tensors_are_read(tmp_path, trained):
    torch.save(trained.state_dict(), tmp_path / "w.pth")
    other = encoder(dual=True)
    load_weights(other, tmp_path / "w.pth")
    assert same(state(other), state(trained))


class Harmful:
    ran = False

    def __reduce__(self):
        return (setattr, (Harmful, "ran", True))


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
@pytest.mark.parametrize("write", ["torch", "pickle"])
def test_a_pickle_that_would_run_code_is_refused_under_any_name(tmp_path, trained, name, write):
    path = tmp_path / name
    if write == "torch":
        torch.save({"w": torch.zeros(2), "x": Harmful()}, path)
    else:
        path.write_bytes(pickle.dumps(Harmful()))
    before = state(trained)
    for load in (lambda: load_weights(trained, path), lambda: load_encoder(path)):
        with pytest.raises(ValueError, match="is refused: it holds more than tensors, and loading it could run code"):
            load()
    assert not Harmful.ran
    assert same(state(trained), before)


def test_a_whole_module_and_other_contents_are_refused(tmp_path, trained):
    torch.save(nn.Linear(2, 2), tmp_path / "module.pt")
    with pytest.raises(ValueError, match="is refused"):
        load_weights(trained, tmp_path / "module.pt")
    for content in ([1, 2], {"epoch": 3}, {"state_dict": {"w": torch.zeros(2)}}):
        torch.save(content, tmp_path / "other.pt")
        with pytest.raises(ValueError, match="holds no state dict"):
            load_weights(trained, tmp_path / "other.pt")


@pytest.mark.parametrize(
    ("keep", "words"),
    [
        (0, "is empty: no weights file"),
        (4, "is no weights file, neither safetensors nor of PyTorch"),
        (60, "is damaged or cut off: it begins like safetensors"),
        (0.5, "is damaged or cut off: it begins like safetensors"),
        (-1, "is damaged or cut off: it begins like safetensors"),
    ],
)
def test_truncated_files(path, trained, keep, words):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep) if isinstance(keep, float) else keep])
    before = state(trained)
    with pytest.raises(ValueError, match=words):
        load_weights(trained, path)
    assert same(state(trained), before)


def test_truncated_pytorch_files_and_other_files(tmp_path, trained):
    torch.save(trained.state_dict(), tmp_path / "w.pt")
    content = (tmp_path / "w.pt").read_bytes()
    (tmp_path / "w.pt").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"w\.pt is damaged or cut off: .* a PyTorch file, but cannot be read whole$"):
        load_weights(trained, tmp_path / "w.pt")
    (tmp_path / "text").write_text("these are no weights at all\n")
    with pytest.raises(ValueError, match=r"text is no weights file, neither safetensors nor of PyTorch$"):
        load_weights(trained, tmp_path / "text")
    for missing in (tmp_path / "absent", tmp_path):
        with pytest.raises(ValueError, match="there is no such weights file"):
            load_weights(trained, missing)


def test_another_architecture_names_keys_and_both_architectures(path):
    other = encoder("timm:test_resnet", image_size=32, dual=True)
    before = state(other)
    with pytest.raises(ValueError, match="does not fit this encoder") as caught:
        load_weights(other, path)
    text = str(caught.value)
    assert "the file lacks backbone.network.conv1.0.weight, " in text
    assert "the encoder lacks backbone.stages.0.0.bn1.adv.bias, " in text
    assert "file: resnet20 for 3 channels with head mlp-8 and two batch norms" in text
    assert "encoder: timm:test_resnet for 3 channels" in text
    assert "\n" not in text
    assert same(state(other), before)


def test_other_shapes_are_named(path):
    other = encoder(dual=True, dim=16, hidden=32)
    with pytest.raises(ValueError, match=r"head.0.weight is \[64, 64\] in the file and \[32, 64\] in the encoder"):
        load_weights(other, path)
    gray = encoder(channels=1, dual=True)
    with pytest.raises(
        ValueError, match=r"\[16, 3, 3, 3\] in the file and \[16, 1, 3, 3\].*encoder: resnet20 for 1 chan"
    ):
        load_weights(gray, path)


def test_one_and_two_batch_norms_are_explained(tmp_path, trained, path):
    plain = encoder()
    with pytest.raises(ValueError, match=r"the file has two batch norms .* norms.extract makes one of two"):
        load_weights(plain, path)
    save_weights(plain, tmp_path / "plain")
    with pytest.raises(ValueError, match=r"the encoder has two batch norms .* load it before norms.convert"):
        load_weights(trained, tmp_path / "plain")
    load_weights(plain, tmp_path / "plain")
    save_file({k: v.clone() for k, v in trained.state_dict().items()}, tmp_path / "bare")
    with pytest.raises(ValueError, match=r"the file has two batch norms.*file: not described"):
        load_weights(plain, tmp_path / "bare")


def test_other_normalisation_constants_are_a_warning(path, trained):
    other = encoder(dual=True, mean=[0.5] * 3)
    with pytest.warns(
        UserWarning, match=r"trained with encoder.mean \[0.4, 0.4, 0.4\], this encoder normalises by \[0.5"
    ):
        load_weights(other, path)
    assert same(state(other), state(trained))


def test_a_file_does_not_choose_which_code_runs(tmp_path):
    net = encoder("python:tests.encoders.backbones.small")
    save_weights(net, tmp_path / "w")
    with pytest.raises(ValueError, match="a weights file must not choose which code runs"):
        load_encoder(tmp_path / "w")
    load_weights(encoder("python:tests.encoders.backbones.small"), tmp_path / "w")


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"architecture": "not json"}, "is damaged"),
        ({"architecture": "[1]"}, "does not say which architecture"),
        ({"architecture": '{"encoder": 3}'}, "in words that this version does not know"),
        ({"architecture": '{"encoder": {"name": "resnet20", "wings": 2}}'}, "in words that this version does not know"),
        (None, "does not say which architecture"),
    ],
)
def test_strange_metadata(tmp_path, metadata, message):
    save_file({"w": torch.zeros(2)}, tmp_path / "w", metadata=metadata)
    with pytest.raises(ValueError, match=message):
        load_encoder(tmp_path / "w")


def test_a_full_disk_leaves_the_earlier_file(tmp_path, path, trained):
    earlier = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    trained(torch.rand(4, 3, 8, 8))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError):
            save_weights(trained, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == earlier
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    save_weights(trained, path)
    assert path.read_bytes() != earlier
