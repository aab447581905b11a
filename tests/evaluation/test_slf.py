from __future__ import annotations

import inspect
import json

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sparring import norms
from sparring.evaluation import SLF, OnFeatures, check_classifier, fit_linear
from sparring.evaluation.augment import crop_and_flip
from tests.methods.networks import SmallEncoder


def data(n=60, classes=3):
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(n) % classes
    centre = torch.randint(0, 256, (classes, 3, 1, 1), generator=generator)
    noise = torch.randint(0, 256, (n, 3, 8, 8), generator=generator)
    return ((centre[labels] + noise) // 2).to(torch.uint8), labels


def encoder():
    made = SmallEncoder()
    for domain, brightness in (("clean", 1.0), ("adv", 0.5)):
        made(brightness * data()[0].float() / 255, domain)
    return made


def test_equals_the_formula_on_the_branch_that_was_asked_for():
    """W = 0, b = 0; v <- 0.9 v + (grad + 0.1 W), W <- W - lr v; a tenth of lr after each milestone."""
    images, labels = data()
    for domain in ("clean", "adv"):
        plain = norms.extract(encoder(), domain).eval()
        h, one_hot = plain.represent(images.float() / 255).detach(), torch.eye(3)[labels]
        weight, velocity = torch.zeros(3, 25), torch.zeros(3, 25)
        h = torch.cat([h, torch.ones(60, 1)], dim=1)
        generator = torch.Generator().manual_seed(4)
        torch.empty(3, 24).uniform_(0, 0, generator=generator)  # the draws of weights that are then zero
        torch.empty(3).uniform_(0, 0, generator=generator)
        for epoch in range(7):
            lr = 0.01 * 0.1 ** sum(epoch >= milestone for milestone in (3, 5))
            for batch in torch.randperm(60, generator=generator).split(32):
                error = (h[batch] @ weight.T).softmax(1) - one_hot[batch]
                velocity = 0.9 * velocity + error.T @ h[batch] / len(batch) + 0.1 * weight
                weight = weight - lr * velocity
        protocol = SLF(domain, augment="none", epochs=7, batch_size=32, milestones=(3, 5), weight_decay=0.1, seed=4)
        model = protocol.fit(encoder(), images, labels)
        torch.testing.assert_close(model.classifier.weight, weight[:, :24], rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(model.classifier.bias, weight[:, 24], rtol=1e-4, atol=1e-6)
        assert (model.domain, model.layer) == (domain, "h")


def test_augmented_epochs_see_new_crops_and_the_first_epoch_too():
    """The same SGD by torch's own modules, on images cropped anew in every epoch, batch by batch."""
    images, labels = data()
    protocol = SLF("adv", epochs=3, batch_size=60, milestones=(2,), lr=0.5)
    seen = []

    class Watched(SmallEncoder):
        def represent(self, x, domain="clean"):
            seen.append((x, domain, self.training))
            return super().represent(x, domain)

    model = protocol.fit(Watched(), images, labels, encode_batch_size=60)
    assert [domain for _, domain, _ in seen] == ["adv"] * 3
    assert not any(training for *_, training in seen)
    assert len({x.sum().item() for x, *_ in seen}) == 3
    reference, plain = nn.Linear(24, 3), norms.extract(SmallEncoder(), "adv").eval()
    nn.init.zeros_(reference.weight)
    nn.init.zeros_(reference.bias)
    optimizer = torch.optim.SGD(reference.parameters(), lr=0.5, momentum=0.9, weight_decay=2e-4)
    for epoch, (x, *_) in enumerate(seen):
        optimizer.param_groups[0]["lr"] = 0.5 if epoch < 2 else 0.05
        optimizer.zero_grad()
        F.cross_entropy(reference(plain.represent(x).detach()), labels).backward()
        optimizer.step()
    torch.testing.assert_close(model.classifier.weight, reference.weight.detach(), rtol=1e-3, atol=1e-5)


def test_crops_are_those_of_torchvision():
    """Every view is one of the 9 x 9 x 2 that torchvision's padded crop and flip can make of its image."""
    from torchvision.transforms.v2 import functional as tv

    images = torch.randint(1, 256, (40, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    views = crop_and_flip(images, torch.Generator().manual_seed(1))
    assert views.dtype == torch.uint8
    found = []
    for image, view in zip(images, views, strict=True):
        padded = tv.pad(image, [4])
        for flip in (False, True):
            for top in range(9):
                for left in range(9):
                    crop = tv.crop(padded, top, left, 8, 8)
                    if torch.equal(tv.horizontal_flip(crop) if flip else crop, view):
                        found.append((flip, top, left))
    assert len(found) == 40
    assert {top for _, top, _ in found} | {left for *_, left in found} == set(range(9))
    assert 10 < sum(flip for flip, *_ in found) < 30


def test_shifts_and_flips_are_uniform():
    pixel = torch.zeros(9000, 1, 9, 9, dtype=torch.uint8)
    pixel[:, :, 4, 4] = 255
    views = crop_and_flip(pixel, torch.Generator().manual_seed(0))
    rows, columns = (views.amax(dim=(1, axis)).float().mean(0) / 255 for axis in (3, 2))
    assert (rows - 1 / 9).abs().max() < 0.015
    assert (columns - 1 / 9).abs().max() < 0.015
    half = torch.zeros(4000, 1, 18, 18, dtype=torch.uint8)
    half[..., :9] = 255  # shifted by at most 4, the left half reaches column 13 only if it is mirrored
    mirrored = crop_and_flip(half, torch.Generator().manual_seed(0))[..., 13:].amax(dim=(1, 2, 3)).float().mean() / 255
    assert 0.47 < mirrored < 0.53


def test_the_same_figures_whatever_the_batches_and_from_the_seed_alone():
    images, labels = data()
    before = torch.get_rng_state()
    fits = [SLF("clean", epochs=2, seed=s).fit(encoder(), images, labels, encode_batch_size=b) for s, b in
            ((0, 60), (0, 7), (1, 60))]  # fmt: skip
    torch.testing.assert_close(fits[0].classifier.weight, fits[1].classifier.weight)
    assert not torch.equal(fits[0].classifier.weight, fits[2].classifier.weight)
    torch.manual_seed(0)
    assert torch.equal(before, torch.get_rng_state())


def test_the_result_is_a_classifier_of_images_that_learned_its_classes():
    images, labels = data()
    model = SLF("adv", augment="none", lr=0.5, epochs=100, milestones=()).fit(encoder(), images, labels, classes=5)
    assert isinstance(model, OnFeatures)
    x = images.float() / 255
    assert check_classifier(model, x, labels, 5) == 5
    assert (model(x).argmax(1) == labels).double().mean() > 0.8
    assert not any(p.requires_grad for p in model.classifier.parameters())


def test_settings_name_everything_that_a_figure_depends_on():
    protocol = SLF("adv", layer="z", epochs=3)
    assert protocol.settings == {
        "name": "slf", "version": 1, "domain": "adv", "layer": "z", "augment": "crop-flip", "epochs": 3, "lr": 0.01,
        "momentum": 0.9, "weight_decay": 2e-4, "batch_size": 512, "milestones": [10, 20], "factor": 0.1,
        "attack": "none", "seed": 0, "init": "zero", "selection": "last epoch",
    }  # fmt: skip
    assert json.loads(json.dumps(protocol.settings)) == protocol.settings
    assert protocol.label == "slf v1, 3 of 25 epochs"
    assert SLF("adv").label == "slf v1"
    assert (SLF("adv").epochs, SLF("adv").batch_size) == (25, 512)
    with pytest.raises(TypeError, match="domain"):
        SLF()  # pyright: ignore[reportCallIssue]


def test_linear_probe_from_zero_differs_from_one_from_uniform_weights_only_in_its_start():
    x, labels = torch.randn(30, 5), torch.arange(30) % 3
    zero, uniform = (fit_linear(x, labels, epochs=1, lr=1e-12, init=init) for init in ("zero", "uniform"))
    assert zero.weight.abs().max() < 1e-9
    assert 0.1 < uniform.weight.abs().max() <= 5**-0.5


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("epochs", 0, "SLF: epochs is 0; it must be at least 1"),
        ("batch_size", 0, "SLF: batch_size is 0"),
        ("seed", -1, "SLF: seed is -1"),
        ("lr", 0.0, "SLF: lr is 0.0; it must be above 0"),
        ("momentum", -0.1, "SLF: momentum is -0.1"),
        ("domain", "pgd", "SLF: domain is 'pgd'; it must be one of clean, adv"),
        ("layer", "fc", "SLF: layer is 'fc'; it must be one of h, z"),
        ("augment", "simclr", "SLF: augment is 'simclr'; it must be one of none, crop-flip"),
    ],
)
def test_bad_settings_are_one_sentence(name, value, message):
    protocol = SLF("clean")
    object.__setattr__(protocol, name, value)  # past the annotations, which tests check first
    with pytest.raises(ValueError, match=message):
        protocol.__post_init__()


def test_an_encoder_or_labels_that_do_not_fit_are_refused():
    images, labels = data()
    with pytest.raises(ValueError, match="domain is 'adv', but SmallEncoder has no second batch norm"):
        SLF("adv").fit(SmallEncoder(dual=False), images, labels)
    with pytest.raises(ValueError, match="SLF: 60 training images need as many labels, not 59"):
        inspect.unwrap(SLF.fit)(SLF("adv"), encoder(), images, labels[:-1])
    with pytest.raises(ValueError, match=r"labels must lie in 0\.\.1"):
        SLF("adv").fit(encoder(), images, labels, classes=2)
