from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, dataclass

import pytest
import torch
from torch import nn

from sparring.config import EvaluationConfig
from sparring.evaluation import KNN, accuracy, evaluate, features, fit_logistic, knn, protocols, wilson


@dataclass(frozen=True)
class Images:
    images: torch.Tensor
    labels: torch.Tensor | None
    classes: tuple[str, ...] = ("dark", "bright")
    name: str = "folder:shades"


class Pixels(nn.Module):
    """h: the mean colour; z: its direction. Counts its forwards."""

    std = (1.0, 1.0, 1.0)

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))
        self.forwards = 0

    def represent(self, x, domain="clean"):
        self.forwards += 1
        return (x.mean(dim=(2, 3)) - 0.5 + 0.2 * (domain == "adv")) * self.scale

    def forward(self, x, domain="clean"):
        return nn.functional.normalize(self.represent(x, domain), dim=1)


def shades(n: int, seed: int) -> Images:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, (n,), generator=generator)
    noise = torch.randint(-70, 70, (n, 3, 2, 2), generator=generator)
    return Images((90 + 70 * labels.view(-1, 1, 1, 1) + noise).to(torch.uint8), labels)


@pytest.fixture
def sets():
    return shades(80, 0), shades(50, 1)


CONFIG = EvaluationConfig(knn_k=9, knn_temperature=0.5, logistic_epochs=4, logistic_lr=0.05, logistic_batch_size=16)


def test_every_figure_is_what_its_parts_give(sets):
    train, test = sets
    encoder, kept = Pixels(), {}
    results = evaluate(encoder, train, test, CONFIG, batch_size=32, classifiers=kept, seed=3)
    x, y = features(encoder, train.images), features(encoder, test.images)
    expected = knn(x, train.labels, y, test.labels, k=9, temperature=0.5)
    assert results["knn"]["accuracy"] == expected
    assert results["knn"]["interval"] == list(wilson(round(expected * 50), 50))
    layer = fit_logistic(x, train.labels, epochs=4, lr=0.05, batch_size=16, seed=3)
    assert results["logistic"]["accuracy"] == accuracy(layer, y, test.labels)
    assert torch.equal(kept["logistic"].weight, layer.weight)


def test_every_figure_names_what_it_depends_on(sets):
    results = evaluate(Pixels(), *sets, CONFIG, names=("knn", "logistic", "linear"), seed=7)
    common = {"n_train": 80, "n_test": 50, "classes": 2, "domain": "clean", "layer": "h", "data": "folder:shades"}
    for entry in results.values():
        assert common.items() <= entry.items()
        assert entry["confidence"] == 0.95
    assert {"protocol": "knn v1", "k": 9, "temperature": 0.5}.items() <= results["knn"].items()
    settings = {"epochs": 4, "lr": 0.05, "batch_size": 16, "seed": 7, "selection": "last epoch"}
    assert ({"protocol": "logistic v1"} | settings).items() <= results["logistic"].items()
    assert results["linear"]["protocol"] == "linear v1"
    assert json.loads(json.dumps(results)) == results


def test_features_are_computed_once_a_layer(sets):
    encoder = Pixels()
    evaluate(encoder, *sets, CONFIG, batch_size=1000, names=("knn", "logistic", "linear"))
    assert encoder.forwards == 2
    config = EvaluationConfig(knn_k=9, knn_temperature=0.5, knn_features="z", logistic_epochs=1)
    evaluate(encoder, *sets, config, batch_size=1000)
    assert encoder.forwards == 2 + 4


def test_the_paper_version_selects_on_test_images_and_says_so(sets):
    train, test = sets
    encoder = Pixels()
    results = evaluate(encoder, train, test, CONFIG, version="paper", seed=1)
    x, y = features(encoder, train.images), features(encoder, test.images)
    curve = [
        accuracy(fit_logistic(x, train.labels, epochs=e, lr=0.05, batch_size=16, seed=1), y, test.labels)
        for e in (1, 2, 3, 4)
    ]
    entry = results["logistic"]
    assert entry["accuracy"] == max(curve)
    assert entry["best_epoch"] == 1 + curve.index(max(curve))
    assert entry["last_epoch_accuracy"] == curve[-1]
    assert entry["protocol"] == "logistic v1, paper (best test epoch)"
    assert results["knn"]["layer"] == "z"


def test_the_domain_reaches_the_encoder(sets):
    shifted = evaluate(Pixels(), *sets, CONFIG, names=("knn",), domain="adv")
    assert shifted["knn"]["domain"] == "adv"
    assert shifted["knn"]["accuracy"] != evaluate(Pixels(), *sets, CONFIG, names=("knn",))["knn"]["accuracy"]


@pytest.mark.parametrize("missing", ["training", "test"])
def test_without_labels_the_result_says_so(sets, missing):
    train, test = sets
    if missing == "training":
        train = Images(train.images, None)
    else:
        test = Images(test.images, None)
    encoder = Pixels()
    results = evaluate(encoder, train, test, CONFIG)
    assert set(results) == {"knn", "logistic"}
    for entry in results.values():
        assert entry["left_out"].startswith(f"the {missing} images of folder:shades have no labels")
        assert "accuracy" not in entry
    assert encoder.forwards == 0


def test_bad_settings_are_one_sentence_before_any_work(sets):
    encoder = Pixels()
    with pytest.raises(ValueError, match="knn_k is 200, there are 80"):
        evaluate(encoder, *sets, EvaluationConfig(knn_temperature=0.1))
    with pytest.raises(ValueError, match="knn_temperature must be set"):
        evaluate(encoder, *sets, EvaluationConfig())
    with pytest.raises(ValueError, match=r"one of knn, logistic, linear, own, slf, .*, not 'kmeans'"):
        evaluate(encoder, *sets, CONFIG, names=("kmeans",))
    assert encoder.forwards == 0


def test_protocols_are_values():
    first, second = protocols(CONFIG, ("knn",)), protocols(CONFIG, ("knn",))
    assert first == second == [KNN(temperature=0.5, k=9)]
    with pytest.raises(FrozenInstanceError):
        first[0].k = 3  # pyright: ignore
