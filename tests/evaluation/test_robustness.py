"""A whole robust evaluation on a small model: what is written, that it adds up, and what is refused."""

import json
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from sparring.attacks import Linf, Untargeted
from sparring.evaluation import OnFeatures, attack_names, check_robustness, measure_robustness, named_attack
from sparring.evaluation.entry import draw
from sparring.measuring import RobustnessConfig

FAST = RobustnessConfig(attack=["fgsm", "pgd-3", "noise"], eps=0.05, images=30, trust=False)


class Tiny(nn.Module):
    """Two logits an image from its mean grey value, or K random ones."""

    def __init__(self, classes: int = 3):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, classes))

    def forward(self, x):
        return 10 * self.net(x - 0.5)


@pytest.fixture(scope="module")
def subject():
    torch.manual_seed(0)
    model = Tiny()
    images = torch.randint(0, 256, (90, 3, 8, 8), dtype=torch.uint8)
    labels = model(images.float() / 255).argmax(dim=1)
    labels[:10] = (labels[:10] + 1) % 3
    return model, images, labels


def test_every_figure_adds_up_and_can_be_read_again(subject, tmp_path):
    model, images, labels = subject
    result = measure_robustness(model, images, labels, FAST, classes=["a", "b", "c"], data="noise")
    path = result.save(tmp_path, environment={"cpu": "x"})
    entry, arrays = json.loads(path.read_text()), np.load(path.with_suffix(".npz"), allow_pickle=False)
    assert entry["environment"] == {"cpu": "x"}
    assert entry["protocol"]["version"] == 2 and entry["protocol"]["eps"] == 0.05
    assert entry["data"] == {
        "name": "noise",
        "n": 30,
        "seed": 0,
        "selection": "a seeded draw of 30 of 90 test images, balanced over the classes",
    }
    y = labels[arrays["index"]]
    assert np.array_equal(arrays["labels"], y.numpy())
    clean = model(images[arrays["index"]].float() / 255).argmax(dim=1) == y
    assert np.array_equal(arrays["correct_clean"], clean.numpy())
    together = clean.numpy()
    for name, figure in entry["attacks"].items():
        survived = arrays[f"correct_{name}"]
        assert figure["accuracy"] == survived.mean() and figure["correct"] == survived.sum() and figure["n"] == 30
        assert figure["interval"][0] <= figure["accuracy"] <= figure["interval"][1]
        assert not (survived & ~arrays["correct_clean"]).any()
        per_class = entry["per_class"]["attacks"][name]
        assert per_class == [survived[arrays["labels"] == k].mean() for k in range(3)]
        together = together & survived
    assert entry["worst_case"]["correct"] == together.sum()
    assert entry["attacks"]["pgd-3"]["accuracy"] <= entry["attacks"]["noise"]["accuracy"]
    assert entry["per_class"]["n"] == np.bincount(arrays["labels"], minlength=3).tolist()
    shown = entry["examples"]
    assert len(shown["true"]) == len(arrays["original"]) == len(arrays["adversarial"]) == 8
    assert np.abs(arrays["adversarial"] - arrays["original"]).max() <= 0.05 + 1e-6


def test_an_earlier_evaluation_is_kept(subject, tmp_path):
    result = measure_robustness(*subject, FAST)
    for _ in range(3):
        result.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "robustness-1.json",
        "robustness-1.npz",
        "robustness-2.json",
        "robustness-2.npz",
        "robustness.json",
        "robustness.npz",
    ]


def test_eps_0_is_the_clean_figure(subject):
    config = RobustnessConfig(attack=["fgsm", "pgd", "mpgd", "autoattack", "square", "noise"], eps=0.0, images=None)
    entry = measure_robustness(*subject, config).entry
    assert entry["data"]["selection"] == "all 90 test images"
    assert {figure["accuracy"] for figure in entry["attacks"].values()} == {entry["clean"]["accuracy"]} == {80 / 90}


def test_the_same_settings_give_the_same_figures(subject):
    one, two = (measure_robustness(*subject, FAST) for _ in range(2))
    assert all(np.array_equal(one.arrays[name], two.arrays[name]) for name in one.arrays)


def test_a_draw_is_seeded_and_has_as_many_of_every_class():
    labels = torch.arange(3).repeat_interleave(torch.tensor([50, 30, 20]))
    index = draw(labels, 30, 0)
    assert torch.bincount(labels[index]).tolist() == [10, 10, 10]
    assert torch.equal(index, draw(labels, 30, 0)) and not torch.equal(index, draw(labels, 30, 1))
    assert torch.equal(draw(labels, None, 0), torch.arange(100)) and torch.equal(
        draw(labels, 500, 0), torch.arange(100)
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"attack": ["pdg"]}, "attack must be one of .* not 'pdg'; did you mean pgd"),
        ({"attack": ["pgd", "pgd"]}, "names an attack twice"),
        ({"attack": []}, "nothing is to be measured"),
        ({"eps": -0.1}, "robustness.eps must be 0 or more, not -0.1"),
        ({"eps": float("nan")}, "robustness.eps must be 0 or more, not nan"),
        ({"images": 0}, "robustness.images must be at least 1, not 0"),
        ({"trust_images": 1}, "robustness.trust_images must be at least 10, not 1"),
        ({"severities": [6]}, "robustness.severities must be among"),
        ({"attack": ["mpgd"], "targets": 3}, "robustness.targets is 3, but there are only 2 wrong classes"),
        ({"attack": ["pgd-0"]}, "takes no step"),
        ({"step_size": -1.0}, "step_size"),
        ({"restarts": 0}, "restarts"),
        ({"representation": True}, "representation needs an encoder"),
        ({"corrupted_root": "nowhere"}, "nowhere"),
    ],
)
def test_what_cannot_be_measured_is_said_before_any_work(subject, change, words):
    model, images, labels = subject
    refused = []

    def never(x):
        refused.append(len(x))
        return model(x)

    settings = {**vars(FAST), **change}
    with pytest.raises(ValueError, match=words):
        measure_robustness(never, images, labels, RobustnessConfig(**settings), classes=["a", "b", "c"])
    assert not refused


def test_a_model_of_another_number_of_classes_is_refused(subject):
    with pytest.raises(ValueError, match="3 classes, but the data have 4"):
        measure_robustness(*subject, FAST, classes=["a", "b", "c", "d"])


def test_no_images_are_refused(subject):
    model, images, labels = subject
    with pytest.raises(ValueError, match="there are none"):
        measure_robustness(model, images[:0], labels[:0], FAST)


def test_a_radius_as_large_as_the_box_is_refused(subject):
    settings = {**vars(FAST), "attack": ["noise"], "eps": 1.5}
    with pytest.raises(ValueError, match=r"eps must be smaller than the range of an image, not 1.5 .* write 1\.5/255"):
        measure_robustness(*subject, RobustnessConfig(**settings))


def test_names_of_attacks_carry_their_settings():
    config = RobustnessConfig(eps=0.1, step_size=0.02, objective="margin", restarts=3)
    attack = named_attack("pgd-7", config)
    assert isinstance(attack, Untargeted) and attack.threat == Linf(0.1)
    assert attack.attack.step_lengths == (0.02,) * 7 and (attack.objective, attack.restarts) == ("margin", 3)
    assert named_attack("mpgd-4", config).attack.step_lengths == (0.02,) * 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert named_attack("square", config).members == ("square",)


def test_corruptions_are_measured_on_the_images_that_are_attacked(subject):
    model, images, labels = subject
    settings = {**vars(FAST), "attack": [], "corruptions": True, "severities": [1, 5], "images": 12}
    entry = measure_robustness(model, images, labels, RobustnessConfig(**settings)).entry
    assert entry["corruptions"]["n"] == 12 and len(entry["corruptions"]["accuracy"]) == 15
    assert entry["corruptions"]["clean_accuracy"] == entry["clean"]["accuracy"]
    assert entry["attacks"] == {} and entry["worst_case"] is None


class Identity(nn.Module):
    """An encoder whose representation is the image."""

    std = (1.0, 1.0, 1.0)

    def forward(self, x, domain="clean"):
        return nn.functional.normalize(x.flatten(1), dim=1)

    def represent(self, x, domain="clean"):
        return x.flatten(1)


def test_an_encoder_under_a_classifier_is_attacked_without_labels_too(subject):
    _, images, labels = subject
    model = OnFeatures(Identity(), nn.Linear(192, 3), "h", "clean")
    settings = {**vars(FAST), "attack": ["fgsm"], "representation": True}
    entry = measure_robustness(model, images, labels, RobustnessConfig(**settings)).entry
    assert entry["subject"]["domain"] == "clean" and entry["subject"]["classifier"] == "features"
    # the identity moves by at most the length of the ball's diagonal, and a corner is where it moves farthest
    moved = entry["representation"]["attacks"]["feature distance"]["moved"]
    assert 0 < moved <= 0.05 * 192**0.5 + 1e-5


def test_labels_and_images_must_be_as_many(subject):
    model, images, labels = subject
    for wrong in (labels[:50], torch.cat([labels, labels])):
        with pytest.raises(ValueError, match=r"integer labels \[90\]"):
            measure_robustness(model, images, wrong, FAST)


@pytest.mark.parametrize(("norm", "eps"), [("l2", 14.0), ("l1", 200.0)])
def test_a_ball_as_large_as_the_box_is_warned_of_in_every_norm(subject, norm, eps):
    settings = {**vars(FAST), "attack": ["noise"], "norm": norm, "eps": eps}
    with pytest.warns(UserWarning, match="every image"):
        measure_robustness(*subject, RobustnessConfig(**settings))


@pytest.mark.parametrize(
    ("model", "images", "change", "words"),
    [
        (Tiny(2), (20, 3, 8, 8), {"objective": "dlr"}, "dlr needs at least 3 classes"),
        (Tiny(3), (20, 3, 8, 8), {"attack": ["mpgd"], "targets": 3}, "only 2 wrong classes"),
        (nn.Sequential(nn.Flatten(), nn.Linear(96, 3)), (20, 6, 4, 4), {"corruptions": True}, "corruptions need"),
        (Tiny(3).double(), (20, 3, 8, 8), {}, "the model cannot take float32 images"),
        (nn.Sequential(nn.Flatten(), nn.Linear(7, 3)), (20, 3, 8, 8), {}, "the model cannot take float32 images"),
    ],
)
def test_settings_that_do_not_fit_the_model_are_refused_before_any_attack(model, images, change, words):
    settings = {**vars(FAST), **change}
    labels = torch.zeros(len(torch.empty(images)), dtype=torch.int64)
    with pytest.raises(ValueError, match=words):
        measure_robustness(model, torch.rand(images), labels, RobustnessConfig(**settings))


def test_a_severity_stands_once():
    with pytest.raises(ValueError, match="each once"):
        check_robustness(RobustnessConfig(corruptions=True, severities=[1, 1]))


def test_attacks_of_different_threats_have_checks_of_their_own_and_no_worst_case(subject):
    model, images, labels = subject
    settings = {**vars(FAST), "attack": ["csl-fgsm-16", "csl-pgd-l2-0.25"], "trust": True, "trust_images": 12}
    settings |= {"square_queries": 5, "images": 30}
    names = [name for name in attack_names() if name.startswith("csl-")]
    linf, l2 = (
        next(n for n in names if words in named_attack_words(n)) for words in ("FGSM, Linf, eps 16/255", "L2, eps 0.25")
    )
    settings["attack"] = [linf, l2]
    entry = measure_robustness(model, images, labels, RobustnessConfig(**settings)).entry
    assert entry["worst_case"] is None and len(entry["checks"]) == 26
    assert entry["checks"][0]["title"].startswith("Linf eps 16/255: ")
    assert "(Linf eps 16/255 and L2 eps 0.25, n = 12 images)" in entry["verdict"]["sentence"]
    assert entry["attacks"][linf]["eps"] == 16 / 255 and entry["attacks"][l2]["norm"] == "L2"


def named_attack_words(name: str) -> str:
    return attack_names()[name]
