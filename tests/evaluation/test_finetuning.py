from __future__ import annotations

import inspect
import json
from dataclasses import FrozenInstanceError, fields, replace
from typing import get_args

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sparring import measuring
from sparring.attacks import PGD, Linf
from sparring.config import EvaluationConfig
from sparring.evaluation import (
    AFF,
    ALF,
    SLF,
    AFFSingle,
    CleanFinetuning,
    Linear003,
    Linear003SupCon,
    OnFeatures,
    RoCLLinear,
    RoCLRobustLinear,
    evaluate,
    finetuning,
    fit_and_measure,
)
from sparring.evaluation.augment import resized_crop_and_flip
from sparring.evaluation.finetuned import FINETUNED
from tests.evaluation.finetuned import encoder, shades, state
from tests.evaluation.test_evaluate import Images
from tests.reference import finetuning as reference

EPOCHS = {"linear-003": 20, "linear-003-supcon": 20, "rocl-linear": 30, "alf": 10, "rocl-linear-adv": 10}
FULL = ("aff", "aff-single", "finetune", "semi-1", "semi-10")


def named(name, epochs, **settings):
    """A protocol for the adversarial norm with fewer epochs, smaller batches and, where it attacks, an attack of two steps."""
    protocol = finetuning(name, EvaluationConfig(finetune_epochs=epochs, domain="adv"), encoder())
    if protocol.attack is not None:
        settings["attack"] = replace(protocol.attack, steps=2, step_size=4 / 255)
    return replace(protocol, batch_size=50, **settings)


@pytest.mark.parametrize("name", FINETUNED)
def test_learns_and_leaves_encoder_modes_and_global_randomness_alone(name):
    images, labels = shades(300 if name == "semi-1" else 150)
    made = encoder()
    made.trunk[1].train(False)  # a mode of its own
    made.head.requires_grad_(False)
    before, modes, random = state(made), [m.training for m in made.modules()], torch.get_rng_state()
    model = named(name, EPOCHS.get(name, 5)).fit(made, images, labels)
    assert isinstance(model, OnFeatures)
    assert (model(images.float() / 255).argmax(1) == labels).double().mean() > 0.95
    assert torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(value, before[key]) for key, value in made.state_dict().items())
    assert [m.training for m in made.modules()] == modes
    assert not made.head.weight.requires_grad and made.trunk[0].weight.requires_grad
    assert all(parameter.grad is None for parameter in made.parameters())
    assert model.domain == ("clean" if name == "aff-single" else "adv")  # of the one norm that is left
    assert (model.encoder is made) == (name not in FULL)
    if name in FULL:
        assert not torch.equal(model.encoder.trunk[0].weight, made.trunk[0].weight)
        assert torch.equal(model.encoder.head.weight, made.head.weight)  # has no part in h


@pytest.mark.parametrize("name", FINETUNED)
def test_the_seed_decides(name):
    images, labels = shades(300 if name == "semi-1" else 60)
    fits = [named(name, 1, seed=seed).fit(encoder(), images, labels).classifier.weight for seed in (0, 0, 1)]
    assert torch.equal(fits[0], fits[1])
    assert not torch.equal(fits[0], fits[2])


@pytest.mark.parametrize("name", FINETUNED)
def test_an_entry_names_everything_that_its_figure_depends_on(name):
    images, labels = shades(120)
    made = encoder()
    train, test = (
        Images(images.repeat(3, 1, 1, 1), labels.repeat(3), ("a", "b", "c")),
        Images(images, labels, ("a",) * 3),
    )
    config = EvaluationConfig(finetune_epochs=1, domain="clean")
    kept = {}
    entry = evaluate(made, train, test, config, names=(name,), classifiers=kept, seed=7)[name]
    protocol = finetuning(name, config, made, seed=7)
    own = type(protocol).own("epochs")
    assert entry["protocol"] == f"{name} v1, 1 of {own} epochs"
    right = (kept[name](images.float() / 255).argmax(1) == labels).sum().item()
    assert entry["accuracy"] == right / 120 and entry["interval"][0] <= entry["accuracy"] <= entry["interval"][1]
    assert {
        "n_train": 360,
        "n_test": 120,
        "classes": 3,
        "data": "folder:shades",
        "confidence": 0.95,
    }.items() <= entry.items()
    assert (entry["seed"], entry["epochs"], entry["layer"], entry["selection"]) == (7, 1, "h", "last epoch")
    assert entry["domain"] == ("adv" if name in ("aff", "aff-single", "semi-1", "semi-10") else "clean")
    assert kept[name].domain == ("clean" if name == "aff-single" else entry["domain"])
    assert entry.keys() >= {part.name for part in fields(protocol)} - {"version"}
    assert json.loads(json.dumps(entry)) == entry
    words = {
        "slf": "none",
        "alf": "10 steps of 2/255, random start",
        "aff": "10 steps of 2/255, start at x",
        "aff-single": "10 steps of 2/255, random start N(0, 0.001^2)",
        "rocl-linear-adv": "eps 8.007/255, 10 steps of 1.785/255, random start",
    }
    assert words.get(name, "") in entry["attack"]
    if name in ("slf", "finetune", "linear-003", "rocl-linear"):
        assert entry["attack"] == "none"


def test_the_papers_settings():
    def of(protocol):
        return (
            protocol.epochs,
            protocol.lr,
            protocol.weight_decay,
            protocol.batch_size,
            protocol.milestones,
            protocol.factor,
        )

    assert of(SLF("clean")) == of(ALF("clean")) == (25, 0.01, 2e-4, 512, (10, 20), 0.1)
    assert of(AFF("clean")) == of(CleanFinetuning("clean")) == (25, 0.1, 2e-4, 128, (15, 20), 0.1)
    assert of(Linear003("clean")) == (100, 1.0, 0.0, 512, (60, 75, 90), 0.2)
    assert of(Linear003SupCon("clean")) == (100, 5.0, 0.0, 512, (60, 75, 90), 0.2)
    assert of(RoCLLinear("clean")) == of(RoCLRobustLinear("clean")) == (150, 0.1, 5e-4, 1024, (31, 51, 101), 0.1)
    assert RoCLLinear("clean").attack is None and RoCLLinear("clean").augment == "none"
    assert RoCLRobustLinear("clean").attack == PGD(Linf(0.0314), 10, 0.007)
    assert ALF("clean").attack == PGD(Linf(8 / 255), 10, 2 / 255)
    assert AFF("adv").attack == PGD(Linf(8 / 255), 10, 2 / 255, random_start=False)
    assert AFFSingle("adv").attack == AFFSingle("clean").attack == AFF("clean").attack
    assert replace(AFF("adv"), attack=None) == AFF("adv") and of(AFFSingle("adv")) == of(AFF("adv"))
    assert AFF("clean").attack == PGD(Linf(8 / 255), 10, 2 / 255, start_std=0.001)
    assert {protocol.momentum for protocol in (SLF("adv"), AFF("adv"), Linear003("adv"), RoCLLinear("adv"))} == {0.9}


def test_fewer_epochs_scale_the_milestones_and_the_label_says_so():
    short = AFF("adv").shortened(10)
    assert (short.epochs, short.milestones, short.label) == (10, (6, 8), "aff v1, 10 of 25 epochs")
    assert SLF("adv").shortened(1).milestones == (1, 1)
    assert AFF("adv").shortened(25) == AFF("adv")
    assert AFF("adv").label == "aff v1"


def test_names_are_the_same_everywhere():
    assert (
        set(measuring.PROTOCOLS) == set(get_args(measuring.Fitted)) == {"knn", "logistic", "linear", "own", *FINETUNED}
    )


def test_alf_equals_a_loop_whose_examples_are_made_against_the_head_as_it_is():
    images, labels = shades(30)
    made = encoder()
    attack = PGD(Linf(0.2), steps=3, step_size=0.1, random_start=False)
    seen = []

    class Watched(PGD):
        def __call__(self, objective, x, **more):
            x_adv = super().__call__(objective, x, **more)
            seen.append((x, x_adv))
            return x_adv

    watched = Watched(attack.threat, 3, 0.1, False)
    protocol = ALF("adv", augment="none", epochs=4, batch_size=30, lr=0.5, milestones=(2,), attack=watched)
    model = protocol.fit(made, images, labels)

    plain, x, head = made.eval(), images.float() / 255, nn.Linear(24, 3)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.5, momentum=0.9, weight_decay=2e-4)
    for epoch in range(4):
        optimizer.param_groups[0]["lr"] = 0.5 if epoch < 2 else 0.05
        x_adv = reference.pgd(
            lambda v: F.cross_entropy(head(plain.represent(v, "adv")), labels, reduction="none"), x, 0.2, 0.1, 3
        )
        optimizer.zero_grad()
        F.cross_entropy(head(plain.represent(x_adv, "adv").detach()), labels).backward()
        optimizer.step()
    torch.testing.assert_close(model.classifier.weight, head.weight.detach(), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(model.classifier.bias, head.bias.detach(), rtol=1e-3, atol=1e-4)
    assert len(seen) == 4
    assert torch.equal(*seen[0])  # a classifier that is still zero has no gradient to offer
    for clean, x_adv in seen[1:]:
        assert 0.19 < (x_adv - clean).abs().max() <= 0.2 + 1e-6
        assert x_adv.min() >= 0 and x_adv.max() <= 1


def test_a_fifth_of_the_rate_after_each_milestone_from_uniform_weights():
    images, labels = shades(30)
    made = encoder()
    settings = {"augment": "none", "batch_size": 30}
    head = Linear003("clean", epochs=1, lr=1e-20, milestones=(), **settings).fit(made, images, labels).classifier
    assert 0.1 < head.weight.abs().max() <= 24**-0.5
    model = Linear003("clean", epochs=5, lr=0.5, milestones=(2, 3), **settings).fit(made, images, labels)
    head.requires_grad_(True)
    h = made.eval().represent(images.float() / 255).detach()
    optimizer = torch.optim.SGD(head.parameters(), lr=0.5, momentum=0.9)
    for lr in (0.5, 0.5, 0.1, 0.02, 0.02):
        optimizer.param_groups[0]["lr"] = lr
        optimizer.zero_grad()
        F.cross_entropy(head(h), labels).backward()
        optimizer.step()
    torch.testing.assert_close(model.classifier.weight, head.weight.detach(), rtol=1e-4, atol=1e-5)


def test_only_the_paper_version_looks_at_test_images_and_it_says_so():
    (images, labels), made = shades(60), encoder()
    wrong = (labels + 1) % 3  # the best epoch on these is one that learned least
    config = EvaluationConfig(finetune_epochs=5, domain="clean")
    last, paper = (finetuning("linear-003", config, made, version=v) for v in ("default", "paper"))
    models, entries = zip(
        *(fit_and_measure(protocol, made, (images, labels), (images, wrong), 3) for protocol in (last, paper)),
        strict=True,
    )
    assert torch.equal(models[0].classifier.weight, models[1].classifier.weight)  # what is attacked is the last epoch's
    assert entries[1]["last_epoch_accuracy"] == entries[0]["accuracy"] <= entries[1]["accuracy"]
    assert entries[1]["protocol"] == "linear-003 v1, 5 of 100 epochs, paper (best test epoch)"
    assert 1 <= entries[1]["best_epoch"] <= 5 and entries[1]["selection"] == "best test epoch"
    assert "best_epoch" not in entries[0]
    assert finetuning("aff", config, made, version="paper").label == "aff v1, 5 of 25 epochs"


def test_progress_is_told_every_epoch():
    (images, labels), made, told = shades(20), encoder(), []
    for protocol in (SLF("adv", epochs=2), ALF("adv", epochs=2)):
        protocol.fit(made, images, labels, progress=lambda *words: told.append(words[:3]))
    assert told == [(f"{name} v1, 2 of 25 epochs, epochs", epoch, 2) for name in ("slf", "alf") for epoch in (1, 2)]


def test_resized_crops_are_images_of_the_same_size_drawn_by_the_generator():
    images = torch.randint(0, 256, (200, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    first, again, other = (resized_crop_and_flip(images, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert first.dtype == torch.uint8 and first.shape == images.shape
    assert torch.equal(first, again) and not torch.equal(first, other)
    ramp = torch.arange(0, 240, 30, dtype=torch.uint8).expand(400, 1, 8, 8)  # brighter to the right
    views = resized_crop_and_flip(ramp, torch.Generator().manual_seed(0)).float()
    spans = views[..., 0, -1] - views[..., 0, 0]
    assert 0.42 < (spans < 0).float().mean() < 0.58
    share = spans.abs() / 210  # width of the box: areas of 0.2 to 1 at ratios of 3/4 to 4/3
    assert 0.25 < share.min() < 0.5 and share.max() == 1


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (ALF, {"epochs": 0}, "ALF: epochs is 0; it must be at least 1"),
        (AFF, {"beta": -1.0}, "AFF: beta is -1.0; it must be 0 or more"),
        (Linear003, {"factor": 0.0}, "Linear003: factor is 0.0; it must be above 0"),
        (CleanFinetuning, {"milestones": (0, 5)}, r"CleanFinetuning: milestones are \(0, 5\)"),
        (RoCLLinear, {"lr": -0.1}, "RoCLLinear: lr is -0.1; it must be above 0"),
    ],
)
def test_bad_settings_are_one_sentence(kind, settings, message):
    with pytest.raises(ValueError, match=message):
        kind("clean", **settings)


def test_what_cannot_be_finetuned_is_refused_before_any_work():
    (images, labels), made = shades(30), encoder()
    with pytest.raises(ValueError, match="AFF: domain is clean, but SmallEncoder has two batch norms; adv is kept"):
        AFF("clean").fit(made, images, labels)
    with pytest.raises(ValueError, match="domain is 'adv', but SmallEncoder has no second batch norm"):
        AFF("adv").fit(encoder(dual=False), images, labels)
    with pytest.raises(ValueError, match=r"ALF: training labels must lie in 0\.\.1"):
        ALF("adv").fit(made, images, labels, classes=2)
    with pytest.raises(ValueError, match="CleanFinetuning: batch norms need 2 images a batch, not 1"):
        CleanFinetuning("adv").fit(made, images[:1], labels[:1])
    with pytest.raises(ValueError, match="ALF: 30 training images need as many labels, not 29"):
        inspect.unwrap(ALF.fit)(ALF("adv"), made, images, labels[:-1])
    with pytest.raises(FrozenInstanceError):
        ALF("adv").lr = 3.0  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(ValueError, match="infinite or NaN; lr is 1e"):
        CleanFinetuning("adv", epochs=3, lr=1e30).fit(made, images, labels)
