from __future__ import annotations

import inspect
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from sparring import norms
from sparring.attacks import PGD, Linf, RandomNoise
from sparring.attacks.classifier import Untargeted
from sparring.evaluation import OnFeatures, SoftKNN, check_classifier, features, knn_predict
from tests.methods.networks import SmallEncoder
from tests.reference.classifiers import soft_votes


class Pixels(nn.Module):
    """The representation is the image itself, the embedding its direction."""

    def represent(self, x, domain="clean"):
        return x.flatten(1)

    def forward(self, x, domain="clean"):
        return F.normalize(x.flatten(1), dim=1)


def random(*shape, seed=0, dtype=torch.float32):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def trained(seed=0):
    """An encoder with two batch norms whose statistics differ."""
    encoder = SmallEncoder(seed=seed)
    for domain, brightness in (("clean", 1.0), ("adv", 0.5)):
        encoder(brightness * random(16, 3, 8, 8), domain)
    return encoder


def images_of(rows):
    """Feature rows [n D] as images [n D 1 1]."""
    return rows[:, :, None, None]


@pytest.mark.parametrize("domain", ["clean", "adv"])
@pytest.mark.parametrize("layer", ["h", "z"])
def test_on_features_is_the_classifier_on_one_domain_in_evaluation_mode(layer, domain):
    encoder, x = trained(), random(5, 3, 8, 8, seed=1)
    classifier = nn.Sequential(nn.Linear(24 if layer == "h" else 8, 4), nn.Dropout(0.9))
    plain = norms.extract(encoder, domain).eval()  # pyright: ignore[reportArgumentType]
    expected = classifier[0](plain.represent(x) if layer == "h" else plain(x))
    encoder.train()
    encoder.head.eval()
    modes = [part.training for part in (*encoder.modules(), *classifier.modules())]
    state = {key: value.clone() for key, value in encoder.state_dict().items()}
    model = OnFeatures(encoder, classifier, layer, domain)
    torch.testing.assert_close(model(x), expected)
    assert (model.layer, model.domain) == (layer, domain)
    assert [part.training for part in (*encoder.modules(), *classifier.modules())] == modes
    assert all(torch.equal(value, state[key]) for key, value in encoder.state_dict().items())


def test_gradients_flow_to_the_images():
    encoder = trained().double()
    model = OnFeatures(encoder, nn.Linear(24, 3).double(), domain="adv")
    x = random(2, 3, 8, 8, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(model, x, fast_mode=True)


def test_logits_are_float32_whatever_the_encoder_computes_in():
    x, classifier = random(4, 3, 8, 8), nn.Linear(24, 3)
    exact = OnFeatures(trained(), classifier)(x)
    coarse = OnFeatures(trained().bfloat16(), classifier)(x)
    assert coarse.dtype == torch.float32
    assert not torch.equal(coarse, exact)
    torch.testing.assert_close(coarse, exact, atol=0.05, rtol=0)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = OnFeatures(trained(), classifier)(x)
        h = trained().eval().represent(x).float()
    torch.testing.assert_close(mixed, classifier(h), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(OnFeatures(trained().double(), classifier)(x), exact)
    assert OnFeatures(trained().double(), classifier.double())(x).dtype == torch.float64


@pytest.mark.parametrize(
    ("encoder", "settings", "message"),
    [
        (SmallEncoder(dual=False), {"domain": "adv"}, "domain is 'adv', but SmallEncoder has no second batch norm"),
        (SmallEncoder(), {"domain": "pgd"}, "domain must be 'clean' or 'adv', not 'pgd'"),
        (SmallEncoder(), {"layer": "fc"}, r"layer must be 'h' .* not 'fc'"),
        (nn.Flatten(), {"layer": "h"}, r"Flatten has no represent\(x, domain\)"),
    ],
)
def test_a_layer_or_domain_that_the_encoder_has_not_is_refused(encoder, settings, message):
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(OnFeatures.__init__)(OnFeatures.__new__(OnFeatures), encoder, nn.Identity(), **settings)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    k=st.integers(1, 30),
    temperature=st.sampled_from([0.0005, 0.01, 0.1, 5.0]),
    levels=st.sampled_from([2, 3, 1000]),
)
def test_soft_knn_decides_as_knn_does_ties_included(seed, k, temperature, levels):
    """Few levels of grey make many equal similarities and equal votes."""
    train = (levels * random(30, 4, seed=seed)).floor() / levels
    test, labels = (levels * random(20, 4, seed=seed + 1)).floor() / levels, torch.arange(30) * 7 % 5
    model = SoftKNN(Pixels(), train, labels, k=k, temperature=temperature)
    logits = model(images_of(test))
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()
    assert torch.equal(logits.argmax(1), knn_predict(train, labels, test, k=k, temperature=temperature))


@pytest.mark.parametrize(("temperature", "votes"), [(1e3, 2), (1e8, 8)])
def test_votes_decide_whose_logarithms_are_the_same_number(temperature, votes):
    """Votes of 2 against 2 - 1e-9, whose logarithms are equal in float32, and of 8 against its neighbour in float64."""
    near = torch.tensor([[1.0, 0.0, 0.0], [1.0, 5e-4, 0.0]])
    train, labels = torch.cat([near[1:], near[:1].expand(2 * votes - 1, 3)]), torch.ones(2 * votes, dtype=torch.int64)
    labels[:votes] = 0
    model = SoftKNN(Pixels(), train, labels, k=2 * votes, temperature=temperature)
    lower, higher = model(images_of(near[:1]))[0].tolist()
    assert knn_predict(train, labels, near[:1], k=2 * votes, temperature=temperature).item() == 1
    assert higher == 0
    assert -1e-9 < lower < 0


@pytest.mark.parametrize("k", [1, 6, 40])
def test_soft_knn_equals_its_formula_as_a_loop(k):
    train, test = random(40, 5) - 0.3, random(7, 5, seed=1)
    labels = torch.arange(40) % 4
    logits = SoftKNN(Pixels(), train, labels, k=k, temperature=0.1)(images_of(test))
    expected = torch.tensor(soft_votes(train, labels, test, k, 0.1, 4))
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)


def test_classes_without_votes_or_images_stay_finite_and_below_every_vote():
    train = torch.tensor([[1.0, 0.0], [0.9, 0.1], [-1.0, 0.0]])
    for temperature in (1e-4, 0.1, 10.0):
        model = SoftKNN(Pixels(), train, torch.tensor([0, 1, 2]), k=2, temperature=temperature, classes=4)
        best, vote, without_vote, without_images = model(images_of(train[:1]))[0].tolist()
        assert best == 0 > vote > without_vote > without_images > -math.inf
        assert without_images == pytest.approx(without_vote - 1, rel=1e-4)


def test_gradients_of_the_votes_by_finite_differences():
    train, labels = random(30, 6, dtype=torch.float64) - 0.3, torch.arange(30) % 4
    model = SoftKNN(Pixels(), train, labels, k=8, temperature=0.2)
    x = images_of(random(3, 6, seed=1, dtype=torch.float64)).requires_grad_()
    voted = model.features(x)  # at these points no neighbour is about to be exchanged for another
    assert voted.shape == (3, 6)
    assert torch.autograd.gradcheck(model, x, eps=1e-7, atol=1e-5)


def test_an_image_whose_neighbours_all_agree_has_a_gradient():
    train, labels = torch.eye(4).repeat_interleave(5, 0) + 0.1 * random(20, 4), torch.arange(4).repeat_interleave(5)
    model = SoftKNN(Pixels(), train, labels, k=4, temperature=0.1)
    x = images_of(train).requires_grad_()
    (gradient,) = torch.autograd.grad(F.cross_entropy(model(x), labels, reduction="sum"), x)
    assert (gradient.flatten(1).norm(dim=1) > 1e-4).all()


def test_an_attack_through_the_soft_vote_beats_noise():
    """Adversarial kNN on a trained encoder: the vote of kNN itself, asked anew, falls further than under noise."""
    encoder = trained(seed=2)
    labels = torch.arange(120) % 3
    centre = random(3, 3, 8, 8, seed=5)
    x = (0.5 * centre[labels] + 0.5 * random(120, 3, 8, 8, seed=6)).mul(255).round() / 255
    bank, pixels = features(encoder, (255 * x).round().to(torch.uint8), domain="adv"), x[:30]
    model = SoftKNN(encoder, bank, labels, k=10, temperature=0.1, domain="adv")

    def accuracy(images):
        h = OnFeatures(encoder, nn.Identity(), domain="adv")(images).detach()
        return (knn_predict(bank, labels, h, k=10, temperature=0.1) == labels[:30]).double().mean().item()

    threat = Linf(8 / 255)
    attacked = accuracy(Untargeted(PGD(threat, steps=10))(model, pixels, labels[:30]))
    noisy = accuracy(Untargeted(RandomNoise(threat))(model, pixels, labels[:30]))
    assert accuracy(pixels) > 0.9
    assert noisy > 0.8
    assert attacked < noisy - 0.3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"k": 31}, "k is 31, there are 30"),
        ({"temperature": 0.0}, "temperature must be above 0, not 0.0"),
        ({"classes": 2}, r"labels must lie in 0\.\.1"),
        ({"domain": "adv"}, "domain is 'adv', but Pixels has no second batch norm"),
    ],
)
def test_a_soft_knn_that_cannot_vote_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        SoftKNN(Pixels(), random(30, 4), torch.arange(30) % 4, **({"k": 5, "temperature": 0.1} | changes))


def linear(images):
    return images.flatten(1)[:, :3] - 0.5


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda x: (linear(x), x), "returned a tuple; it must return one tensor"),
        (lambda x: {"logits": linear(x)}, "returned a dict"),
        (lambda x: linear(x)[1:], r"returned shape \[3, 3\] for 4 images; it must be \[4, K\]"),
        (lambda x: linear(x)[:, 0], r"returned shape \[4\] for 4 images"),
        (lambda x: linear(x)[:, :, None], r"returned shape \[4, 3, 1\]"),
        (lambda x: linear(x)[:, :1], r"returned shape \[4, 1\], 1 logit an image; there must be at least 2"),
        (lambda x: linear(x).softmax(1), "returns probabilities"),
        (lambda x: linear(x).softmax(1).bfloat16(), "returns probabilities"),
        (lambda x: F.one_hot(linear(x).argmax(1), 3).float(), "returns probabilities"),
        (lambda x: (100 * linear(x)).long(), "returned torch.int64; it must return floating-point logits"),
        (lambda x: linear(x).index_fill(0, torch.tensor([2]), math.nan), "a logit of image 6 is NaN"),
        (lambda x: linear(x) / torch.zeros(3), r"a logit of image 0 \(and of 3 more of its batch\) is infinite"),
        (lambda x: F.pad(linear(x), (0, 1)), "the model has 4 classes, but the data have 3"),
        (lambda x: F.pad(linear(x), (0, 1 + int(x[0, 0, 0, 0] > 0.5))), r"returned \[4, 5\] logits an image"),
    ],
)
def test_a_model_that_cannot_be_attacked_is_refused(model, message):
    x, first = random(8, 3, 2, 2), []
    x[0, 0, 0, 0], x[4, 0, 0, 0] = 0.1, 0.9

    def sick_in_the_second_batch(batch):
        first.append(batch)
        return linear(batch) if "image 6" in message and len(first) == 1 else model(batch)

    with pytest.raises(ValueError, match=message):
        check_classifier(sick_in_the_second_batch, x, torch.arange(8) % 3, 3, batch_size=4)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (random(0, 3, 2, 2), torch.zeros(0).long(), r"shape \[0, 3, 2, 2\]: there is no image"),
        (random(4, 12), torch.zeros(4).long(), r"float32 of shape \[4, 12\]; it must be float images \[B, C, H, W\]"),
        (torch.zeros(4, 3, 2, 2, dtype=torch.uint8), torch.zeros(4).long(), "uint8 .* divide uint8 by 255"),
        (random(4, 3, 2, 2) / 0, torch.zeros(4).long(), "image 0 of x has a NaN or infinite pixel"),
        (255 * random(4, 3, 2, 2), torch.zeros(4).long(), r"they look like 0\.\.255: divide by 255"),
        (2 * random(4, 3, 2, 2) - 1, torch.zeros(4).long(), r"they look scaled to \[-1, 1\]"),
        (
            6 * random(4, 3, 2, 2) - 3,
            torch.zeros(4).long(),
            r"look normalised \(mean .*\): normalisation belongs in the",
        ),
        (random(4, 3, 2, 2) / 255, torch.zeros(4).long(), "looks divided by 255 twice"),
        (
            random(4, 3, 2, 2),
            torch.zeros(3).long(),
            r"y is torch.int64 of shape \[3\]; it must be integer labels \[4\]",
        ),
        (random(4, 3, 2, 2), torch.zeros(4), r"y is torch.float32"),
        (random(4, 3, 2, 2), torch.zeros(4, 3).long(), r"y is torch.int64 of shape \[4, 3\]"),
        (
            random(4, 3, 2, 2),
            torch.tensor([0, 1, 2, 3]),
            r"labels y lie in 0\.\.3, but the model's 3 classes are 0\.\.2",
        ),
        (random(4, 3, 2, 2), torch.tensor([-1, 1, 2, 0]), r"labels y lie in -1\.\.2"),
    ],
)
def test_images_and_labels_that_do_not_fit_are_refused(x, y, message):
    with pytest.raises(ValueError, match=message):
        check_classifier(linear, x, y)


def test_a_sound_classifier_passes_and_is_left_as_it_was():
    torch.manual_seed(3)
    model = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 3)).train()
    state, randomness = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_rng_state()
    x, y = random(7, 3, 2, 2), torch.arange(7) % 3
    assert check_classifier(model, x, y, batch_size=3) == 3
    assert all(part.training for part in model.modules())
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())

    def noisy(images):
        return linear(images) + torch.rand(())

    assert check_classifier(noisy, x, y, 3) == 3
    assert torch.equal(torch.get_rng_state(), randomness)
    assert check_classifier(lambda images: linear(images).log_softmax(1), x, y.int(), 3) == 3
    assert check_classifier(lambda images: linear(images) + (1 - linear(images).sum(1, True)) / 3, x, y, 3) == 3
    alone = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(12), nn.Linear(12, 3)).train()
    assert check_classifier(alone, x[:1], y[:1]) == 3  # one image has no statistics of its own
