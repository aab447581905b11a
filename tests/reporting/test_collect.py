from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from sparring.attacks import FFGSM, FGSM, PGD, Linf
from sparring.methods import CLAE, Plain, SimCLR, SupCon
from sparring.reporting import collect
from sparring.reporting.collect import with_radius
from sparring.types import Batch
from tests.reporting.runs import CLASSES, SmallEncoder, images

CLASSIFIER = torch.nn.Linear(24, 3)
ATTACK = FGSM(Linf(0.1, space="normalized", clip=False))


def collected(tmp_path, encoder, method=None, attack=ATTACK, **changes):
    pixels, labels = images()
    settings = {"images": pixels, "labels": labels, "classes": CLASSES, "data": "folder:pets", "eps": [0, 0.05, 0.1]}
    settings |= {"batch_size": 12, "classifier": CLASSIFIER} | changes
    path = collect(tmp_path, encoder, method or CLAE(attack=attack), attack, **settings)
    with np.load(path.with_suffix(".npz")) as arrays:
        return json.loads(path.read_text()), dict(arrays)


def test_curves_are_the_losses_computed_by_hand(tmp_path):
    encoder = SmallEncoder()
    written, _ = collected(tmp_path, encoder)
    pixels, labels = images()
    order = torch.randperm(24, generator=torch.Generator().manual_seed(0))
    encoder.eval()
    for number, index in enumerate(order.split(12)):
        x = (pixels[index].float() / 255).requires_grad_()
        constant = encoder(x).detach()
        loss = SimCLR().loss(constant, encoder(x), Batch(torch.stack([x, x])))
        (gradient,) = torch.autograd.grad(loss, x)
        x_adv = (x + 0.05 * torch.tensor(encoder.std).view(3, 1, 1) * gradient.sign()).detach()
        expected = SimCLR().loss(constant, encoder(x_adv), Batch(torch.stack([x, x]))).item()
        curve = written["curves"]["adversarial"]
        assert curve["contrastive_loss"]["batches"][1][number] == pytest.approx(expected, rel=1e-5)
        scores = CLASSIFIER(encoder.represent(x_adv))
        expected = torch.nn.functional.cross_entropy(scores, labels[index]).item()
        assert curve["cross_entropy"]["batches"][1][number] == pytest.approx(expected, rel=1e-5)
        right = (scores.argmax(dim=1) == labels[index]).float().mean().item()
        assert curve["accuracy"]["batches"][1][number] == pytest.approx(right)


def test_the_adversary_is_worse_than_noise_and_radius_zero_is_neither(tmp_path):
    written, _ = collected(tmp_path, SmallEncoder())
    adversarial, random = (written["curves"][kind]["contrastive_loss"]["mean"] for kind in ("adversarial", "random"))
    assert adversarial[0] == random[0]
    assert adversarial[1] > random[1]
    assert adversarial[2] > random[2]


def test_the_encoder_is_left_as_it_was(tmp_path):
    encoder = SmallEncoder().train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    randomness = torch.get_rng_state()
    collected(tmp_path, encoder)
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    assert encoder.training
    assert all(parameter.grad is None for parameter in encoder.parameters())
    assert torch.equal(torch.get_rng_state(), randomness)


def test_examples_are_original_and_attacked_images_of_different_classes(tmp_path):
    written, arrays = collected(tmp_path, SmallEncoder())
    assert set(written["examples"][:3]) == set(CLASSES)
    std = torch.tensor(SmallEncoder.std).view(3, 1, 1).numpy()
    distance = np.abs(arrays["adversarial"] - arrays["original"]) / std
    assert distance.max() == pytest.approx(0.1, rel=1e-4)
    pixels = {tuple((image.float() / 255).flatten().tolist()) for image in images()[0]}
    assert all(tuple(image.flatten().tolist()) in pixels for image in arrays["original"])


def test_says_what_it_is_about(tmp_path):
    written, arrays = collected(tmp_path, SmallEncoder(), seed=2, max_images=20)
    assert (written["images"], written["batch_size"], written["seed"], written["data"]) == (12, 12, 2, "folder:pets")
    assert written["method"]["sentence"].startswith("CLAE:")
    assert [line.split(":")[0] for line in written["method"]["equation"]] == ["views", "pairs", "loss", "norm"]
    assert written["method"]["paper"] == {"encoder": "resnet18", "epochs": 100, "batch_size": 256}
    assert written["attack"]["in_training"]
    assert "0.1 in normalised units" in written["attack"]["words"]
    assert [layer["layer"] for layer in written["batch_norm"]] == ["norm"]
    assert arrays["batch_norm_0_adv_var"].shape == (6,)


@pytest.mark.parametrize("method", [SimCLR(), Plain(), SupCon()])
def test_methods_without_an_adversary_or_a_second_batch_norm(tmp_path, method):
    written, _ = collected(tmp_path, SmallEncoder(dual=False), method=method)
    assert not written["attack"]["in_training"]
    assert written["batch_norm"] == []


@pytest.mark.parametrize("changes", [{"labels": None}, {"classifier": None}])
def test_without_labels_or_classifier_there_is_no_downstream_curve(tmp_path, changes):
    written, _ = collected(tmp_path, SmallEncoder(), **changes)
    assert set(written["curves"]["random"]) == {"contrastive_loss"}
    assert written["classifier"] is None


def test_the_same_seed_gives_the_same_files(tmp_path):
    attack = FFGSM(Linf(8 / 255))
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = (collected(tmp_path / name, SmallEncoder(), attack=attack)[0] for name in ("a", "b"))
    assert first == second


def test_a_step_size_keeps_its_ratio_to_the_radius():
    attack = with_radius(PGD(Linf(0.1), steps=4, step_size=0.03), 0.2)
    assert attack.threat == Linf(0.2)
    assert attack.step_size == pytest.approx(0.06)
    assert with_radius(FGSM(Linf(0.1)), 0.2) == FGSM(Linf(0.2))


def test_one_image_is_too_few(tmp_path):
    pixels, labels = images(1)
    with pytest.raises(ValueError, match="at least 2 images, not 1"):
        collected(tmp_path, SmallEncoder(), images=pixels, labels=labels)
