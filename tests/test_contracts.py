"""What every method, attack and selector must satisfy, found by discovery: a new one faces all of this for free."""

import dataclasses
import inspect
import sys

import pytest
import torch

import sparring.attacks
import sparring.methods
import sparring.pairs
from sparring.attacks import L1, L2, Linf
from sparring.types import Batch, Rows
from tests.methods.networks import SmallClassifier, SmallClustering, SmallEncoder


def frozen_dataclasses(room, condition):
    return [
        value
        for name in room.__all__
        if dataclasses.is_dataclass(value := getattr(room, name)) and inspect.isclass(value) and condition(value)
    ]


METHODS = frozen_dataclasses(sparring.methods, lambda c: hasattr(c, "settings"))
ATTACKS = frozen_dataclasses(sparring.attacks, lambda c: hasattr(c, "starts_at_x"))
SELECTORS = [
    value
    for name in sparring.pairs.__all__
    if inspect.isfunction(value := getattr(sparring.pairs, name))
    and list(inspect.signature(value).parameters) == ["rows"]
]
THREATS = [Linf(0.1), L2(0.5), L1(2.0), Linf(0.1, space="normalized", clip=False), L2(1.0, space="normalized")]
STD = SmallEncoder.std


def test_discovery_finds_what_is_known_to_exist():
    assert {c.__name__ for c in METHODS} >= {
        "Plain",
        "UEL",
        "SimCLR",
        "SupCon",
        "CLAE",
        "Natural",
        "AdversarialTraining",
        "Trades",
        "ADR",
        "ASCL",
        "RoCL",
        "ACL",
        "SwAV",
    }
    assert {c.__name__ for c in ATTACKS} >= {"FGSM", "RFGSM", "FFGSM", "PGD", "RandomNoise"}
    assert {s.__name__ for s in SELECTORS} >= {"same_image", "same_label"}


def new_batch(dtype=torch.float32, images=4):
    generator = torch.Generator().manual_seed(7)
    views = torch.rand(2, images, 3, 6, 6, generator=generator, dtype=dtype)
    labels = torch.arange(images) // 2
    return Batch(views, labels=labels, generator=torch.Generator().manual_seed(11))


def classifies(method):
    return getattr(method, "classifies", False)


def embeds(method):
    """Whether the loss compares embeddings."""
    return bool({"temperature", "base"} & {field.name for field in dataclasses.fields(method)})


def clusters(method):
    """Whether embeddings are compared with prototypes, and not with each other."""
    return "prototypes" in {field.name for field in dataclasses.fields(method)}


def new_encoder(method):
    if clusters(method):
        return SmallClustering()
    return SmallClassifier() if classifies(method) else SmallEncoder()


@pytest.mark.parametrize("method", METHODS)
class TestMethods:
    def test_is_a_frozen_dataclass_whose_file_states_the_equation(self, method):
        assert method.__dataclass_params__.frozen
        text = sys.modules[method.__module__].__doc__
        for line in ("views:", "pairs:", "loss:", "norm:", "Paper:", "Code:", "Differs from"):
            assert line in text, f"{method.__name__}: {line}"

    def test_terms_are_finite_scalars_with_gradients_for_every_parameter_used(self, method):
        encoder = new_encoder(method)
        terms = method()(encoder, new_batch())
        assert terms
        assert all(term.shape == () and torch.isfinite(term) for term in terms.values())
        torch.stack(list(terms.values())).sum().backward()
        domains = {domain for domain, _ in encoder.calls}
        for name, p in encoder.named_parameters():
            used = not any(f".{d}." in name for d in {"clean", "adv"} - domains)
            used = used and (embeds(method) or not name.startswith("head"))
            assert (p.grad is not None) == used, name

    def test_same_batch_same_terms(self, method):
        once, again = (method()(new_encoder(method), new_batch()) for _ in range(2))
        assert all(torch.equal(once[name], again[name]) for name in once)

    def test_leaves_views_and_global_randomness_alone(self, method):
        batch, state = new_batch(), torch.get_rng_state()
        views = batch.views.clone()
        encoder = new_encoder(method)
        torch.set_rng_state(state)
        method()(encoder, batch)
        assert torch.equal(batch.views, views)
        assert torch.equal(torch.get_rng_state(), state)

    def test_computes_its_loss_in_float32_under_bf16(self, method):
        with torch.autocast("cpu", torch.bfloat16):
            terms = method()(new_encoder(method), new_batch())
        assert all(term.dtype == torch.float32 and torch.isfinite(term) for term in terms.values())

    def test_two_images_are_enough(self, method):
        assert all(torch.isfinite(t) for t in method()(new_encoder(method), new_batch(images=2)).values())

    def test_anchors_without_a_positive_are_counted(self, method):
        batch = new_batch()
        method()(new_encoder(method), batch)
        assert batch.counts.get("anchors_without_positive") == (0 if embeds(method) and not clusters(method) else None)


@pytest.mark.parametrize("threat", THREATS, ids=str)
@pytest.mark.parametrize("attack", ATTACKS)
class TestAttacks:
    def objective(self, model, x):
        target = model(x).detach().roll(1, 0)
        return lambda x_adv: (model(x_adv) * target).sum(dim=1)

    def run(self, attack, threat, model, x, seed=0):
        generator = torch.Generator().manual_seed(seed)
        return attack(threat)(self.objective(model, x), x, std=STD, generator=generator)

    def test_stays_in_ball_and_box(self, attack, threat):
        x = torch.rand(3, 3, 6, 6)
        x_adv = self.run(attack, threat, SmallEncoder(dual=False), x)
        delta = x_adv - x
        if threat.space == "normalized":
            delta = delta / torch.tensor(STD).view(3, 1, 1)
        norm = {"Linf": torch.inf, "L2": 2, "L1": 1}[type(threat).__name__]
        assert (delta.flatten(1).norm(norm, dim=1) <= threat.eps * (1 + 1e-5)).all()
        if threat.clip:
            assert x_adv.min() >= 0
            assert x_adv.max() <= 1
        assert not torch.equal(x, x_adv)
        assert not x_adv.requires_grad

    def test_leaves_no_trace(self, attack, threat):
        model, x = SmallEncoder(dual=False).train(), torch.rand(3, 3, 6, 6)
        buffers = {name: b.clone() for name, b in model.named_buffers()}
        model(x)
        objective = self.objective(SmallEncoder(dual=False).eval(), x)
        before, state = {name: b.clone() for name, b in model.named_buffers()}, torch.get_rng_state()
        assert any(not torch.equal(before[name], buffers[name]) for name in buffers)
        attack(threat)(lambda x_adv: model(x_adv).sum(dim=1) + objective(x_adv), x, std=STD)
        assert all(torch.equal(before[name], b) for name, b in model.named_buffers())
        assert all(p.grad is None for p in model.parameters())
        assert torch.equal(torch.get_rng_state(), state)
        assert model.training

    def test_same_generator_same_images(self, attack, threat):
        model, x = SmallEncoder(dual=False).eval(), torch.rand(3, 3, 6, 6)
        assert torch.equal(self.run(attack, threat, model, x), self.run(attack, threat, model, x))


@pytest.mark.parametrize("selector", SELECTORS)
class TestSelectors:
    def rows(self, labels):
        z = torch.randn(len(labels) * 2, 5, generator=torch.Generator().manual_seed(3))
        prediction = torch.arange(len(z)) * 3 % 4
        return Rows(torch.arange(len(labels)).repeat(2), labels.repeat(2), z, prediction=prediction)

    def test_masks_are_what_losses_expect(self, selector):
        pairs = selector(self.rows(torch.tensor([0, 1, 1, 2, 0])))
        assert pairs.positive.shape == pairs.contrast.shape == (10, 10)
        assert not pairs.contrast.diagonal().any()
        assert not (pairs.positive & ~pairs.contrast).any()

    def test_order_of_rows_does_not_matter(self, selector):
        rows = self.rows(torch.tensor([0, 1, 1, 2, 0]))
        order = torch.randperm(10, generator=torch.Generator().manual_seed(5))
        known = {name: getattr(rows, name)[order] for name in ("image", "labels", "z", "prediction")}
        shuffled = selector(dataclasses.replace(rows, **known))
        pairs = selector(rows)
        assert torch.equal(shuffled.positive, pairs.positive[order][:, order])
        assert torch.equal(shuffled.contrast, pairs.contrast[order][:, order])
