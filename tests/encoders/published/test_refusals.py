"""What a checkpoint from elsewhere may not be: code, damaged, half, another network; each is one clear sentence."""

import argparse
import pickle
import re
from pathlib import Path

import pytest
import torch
import torchvision

from sparring.encoders.published import load_published
from tests.reference import published as theirs

ROOT = Path(__file__).parents[3]


@pytest.fixture
def state():
    torch.manual_seed(0)
    return theirs.Simclr().state_dict()


def written(tmp_path, content):
    path = tmp_path / "checkpoint.pth"
    torch.save(content, path)
    return path


class Bomb:
    """An object whose unpickling writes a file."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return open, (str(self.place), "w")


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("inside", [True, False])
def test_a_pickle_bomb_is_refused_and_not_executed(tmp_path, state, legacy, inside):
    bomb = Bomb(tmp_path / "exploded")
    path = tmp_path / "checkpoint.pth"
    torch.save(
        {"state_dict": state, "extra": bomb} if inside else bomb, path, _use_new_zipfile_serialization=not legacy
    )
    with pytest.raises(ValueError, match="is refused: it holds more than tensors") as caught:
        load_published(path)
    assert not (tmp_path / "exploded").exists()
    assert "only if you trust it" in str(caught.value) and "\n" not in str(caught.value)


def test_a_bomb_inside_the_one_allowed_class_is_refused_too(tmp_path, state):
    options = argparse.Namespace(dataset="cifar10", bomb=Bomb(tmp_path / "exploded"))
    with pytest.raises(ValueError, match="is refused"):
        load_published(written(tmp_path, {"opt": options, "model": state}))
    assert not (tmp_path / "exploded").exists()


def test_a_plain_pickle_is_refused(tmp_path):
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Bomb(tmp_path / "exploded"), protocol=4))
    with pytest.raises(ValueError, match=r"refused|damaged"):
        load_published(tmp_path / "plain.pt")
    assert not (tmp_path / "exploded").exists()


def test_the_conversion_to_which_a_refusal_points_works(tmp_path, state, monkeypatch):
    path = written(tmp_path, {"state_dict": state, "best": re.compile("a")})
    with pytest.raises(ValueError, match=r"is refused.*docs/pretraining\.md"):
        load_published(path)
    program = (ROOT / "docs/pretraining.md").read_text().partition('python -c "\n')[2].partition('\n"\n')[0]
    monkeypatch.chdir(tmp_path)
    exec(program, {})
    assert load_published(tmp_path / "tensors.pt").report.layout == "simclr"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("backbone.layer3.0.bn2.running_var"), "it lacks backbone.layer3.0.bn2.running_var"),
        (lambda s: s.pop("backbone.layer2.0.downsample.0.weight"), "it lacks backbone.layer2.0.downsample.0.weight"),
        (lambda s: s.pop("backbone.conv1.weight"), "conv1.weight is missing"),
        (
            lambda s: s.update({"backbone.layer1.0.se.weight": torch.ones(3)}),
            "no place for backbone.layer1.0.se.weight",
        ),
        (
            lambda s: s.update({"attention.weight": torch.ones(3)}),
            "has keys that this layout does not have: attention.weight",
        ),
        (lambda s: s.update({"module.backbone.bn1.bias": torch.ones(8)}), "holds both .* which are the same layer"),
        (lambda s: s.update({"backbone.layer1.0.bn1.bias": torch.ones(9)}), r"layer1.0.bn1.bias is \[9\], not \[8\]"),
        (lambda s: s.update({"backbone.bn1.bias": torch.full((8,), torch.nan)}), "not finite"),
        (lambda s: s.update({"backbone.conv1.weight": torch.ones(8, 3, 5, 5)}), "a stem of 5x5"),
    ],
)
def test_wrong_missing_and_extra_keys_are_named(tmp_path, state, change, words):
    change(state)
    with pytest.raises(ValueError, match=words) as caught:
        load_published(written(tmp_path, state), layout="simclr")
    assert "checkpoint.pth" in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_head_and_missing_counters_are_no_error(tmp_path, state):
    bare = {key: value for key, value in state.items() if "fc.2" not in key and "num_batches" not in key}
    found = load_published(written(tmp_path, bare))
    assert any("num_batches_tracked" in key for key in found.report.missing) and "the head" in found.report.missing[-1]
    assert set(found.report.left_over) == {"backbone.fc.0.weight", "backbone.fc.0.bias"}
    assert "a head of which layers are missing" in found.report.sentence
    assert (
        torch.equal(found.encoder(torch.rand(1, 3, 32, 32)).norm().round(), torch.tensor(1.0))
        and found.encoder.dim == found.encoder.features
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"epoch": 3, "weights": {"a": torch.ones(1)}}, "holds no state dict.*it holds epoch, weights"),
        ([torch.ones(1)], "it holds a list"),
        ({}, "it holds nothing"),
        ({"a.weight": torch.ones(2)}, r"no layout \(simclr, .*\) has keys such as a.weight: rename the file's keys"),
    ],
)
def test_files_of_something_else(tmp_path, content, words):
    with pytest.raises(ValueError, match=words):
        load_published(written(tmp_path, content))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layout": "byol"}, "encoder.layout must be auto or one of simclr, supcon"),
        ({"layout": "swav"}, "read as swav, has keys that this layout does not have: backbone.conv1.weight"),
        ({"projector": "p.pt"}, "only RoCL keeps one apart; layout is simclr"),
        ({"mean": [0.5, 0.5]}, "need 3 values, one a channel"),
        ({"name": "resnet18"}, "a name is torchvision:NAME, timm:NAME or python:MODULE.FUNCTION"),
        ({"name": "torchvision:resnet18", "layout": "acl"}, "goes with the layout torchvision"),
        ({"name": "torchvision:resnet8"}, "did you mean"),
        ({"name": "torchvision:mobilenet_v3_small"}, "it lacks"),
    ],
)
def test_wrong_settings(tmp_path, state, options, words):
    with pytest.raises(ValueError, match=words):
        load_published(written(tmp_path, state), **options)


def test_missing_and_damaged_files(tmp_path, state):
    with pytest.raises(ValueError, match="there is no such weights file"):
        load_published(tmp_path / "none.pt")
    path = written(tmp_path, state)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="is damaged or cut off: it begins like a PyTorch file"):
        load_published(path)


@pytest.mark.parametrize("layout", ["acl", "rocl"])
def test_a_network_for_large_images_is_none_of_a_layout_for_small_ones(tmp_path, layout):
    state = torchvision.models.resnet18(weights=None).state_dict()
    path = written(tmp_path, {key: value for key, value in state.items() if not key.startswith("fc.")})
    with pytest.raises(ValueError, match=f"7x7 stem.* --layout {layout} begin with a 3x3 convolution: .* torchvision"):
        load_published(path, layout=layout)
