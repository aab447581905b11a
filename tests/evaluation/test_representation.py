from __future__ import annotations

import json
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sparring.attacks import FFGSM, FGSM, L2, PGD, RFGSM, Linf, RandomNoise
from sparring.evaluation import OnFeatures, RepresentationAttack, movement
from sparring.evaluation.representation import contrastive, displacement
from sparring.losses import info_nce
from sparring.types import Pairs
from tests.methods.networks import SmallEncoder


class Linear(nn.Module):
    """h = W x / scale, without a bias."""

    std = (0.2, 0.25, 0.3)

    def __init__(self, weight, scale=1.0):
        super().__init__()
        self.weight, self.scale = nn.Parameter(weight), scale

    def represent(self, x, domain="clean"):
        return self.scale * x.flatten(1) @ self.weight.T

    def forward(self, x, domain="clean"):
        return F.normalize(self.represent(x), dim=1)


class Scaled(SmallEncoder):
    """The same representation in another unit."""

    def represent(self, x, domain="clean"):
        return 7 * super().represent(x, domain)


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def pgd(threat, objective="feature_distance", steps=10, **changes):
    return RepresentationAttack(PGD(threat, steps, **changes), objective)


def test_feature_distance_reaches_the_optimum_of_a_linear_encoder():
    """|w (x_adv - x)| is at most eps ||w||_1 in Linf and eps ||w||_2 in L2; both corners of the interval are optima."""
    weight, x, eps = normal(1, 12), 0.25 + random(6, 3, 2, 2) / 2, 0.1
    for threat, dual_norm in ((Linf(eps), 1), (L2(eps), 2)):
        encode, attack = OnFeatures(Linear(weight), nn.Identity()), pgd(threat, steps=40, step_size=eps / 4)
        moved = encode(attack(encode, x)) - encode(x)
        torch.testing.assert_close(moved.abs()[:, 0], (eps * weight.norm(dual_norm)).expand(6), rtol=1e-4, atol=0)
        entry = movement(Linear(weight), x, {"one": attack}, domain="clean")["attacks"]["one"]
        assert entry["moved"] == pytest.approx(eps * weight.norm(dual_norm).item(), rel=1e-4)
        assert entry["between"] == pytest.approx(torch.pdist(encode(x).detach()).mean().item(), rel=1e-5)
        assert entry["noise"]["moved"] < 0.9 * entry["moved"]


def test_feature_distance_finds_the_leading_direction_of_a_linear_encoder():
    """max ||W delta||_2 over ||delta||_2 <= eps is eps times the largest singular value."""
    weight, x = normal(4, 12), 0.25 + random(6, 3, 2, 2) / 2
    entry = movement(Linear(weight), x, {"l2": pgd(L2(0.2), steps=100, step_size=0.1)}, domain="clean")["attacks"]["l2"]
    assert entry["moved"] == pytest.approx(0.2 * torch.linalg.matrix_norm(weight, 2).item(), rel=1e-3)


def test_cosine_distance_turns_a_plane_by_the_largest_angle():
    """With h = x itself in two dimensions, the largest angle of a ball of radius eps about h is asin(eps / |h|)."""
    x = torch.tensor([[0.6, 0.5], [0.4, 0.6]])[:, :, None, None]
    encoder = Linear(torch.eye(2))
    encode = OnFeatures(encoder, nn.Identity())
    x_adv = pgd(L2(0.1, clip=False), "cosine_distance", steps=200, step_size=0.005)(encode, x)
    angle = F.cosine_similarity(encode(x_adv), encode(x)).arccos()
    torch.testing.assert_close(angle, (0.1 / encode(x).norm(dim=1)).arcsin(), rtol=2e-3, atol=0)


def test_the_contrastive_objective_is_info_nce_image_by_image():
    h_adv, h = normal(9, 5), normal(9, 5, seed=1)
    everything = torch.ones(9, 9, dtype=torch.bool)
    expected = info_nce(h_adv, h, Pairs(torch.eye(9, dtype=torch.bool), everything), 0.2)
    values = contrastive(h_adv, h, 0.2)
    torch.testing.assert_close(values.mean(), expected)
    i, cosine = 4, [float(F.cosine_similarity(h_adv[4], h[k], dim=0)) / 0.2 for k in range(9)]
    assert values[i].item() == pytest.approx(math.log(sum(map(math.exp, cosine))) - cosine[i], rel=1e-5)


@pytest.mark.parametrize("objective", ["feature_distance", "cosine_distance", "contrastive"])
def test_each_objective_rises_further_than_under_noise_and_the_clean_side_is_constant(objective):
    encoder, x = SmallEncoder(), random(12, 3, 8, 8)
    encode = OnFeatures(encoder, nn.Identity(), domain="adv")
    attack, noise = pgd(Linf(8 / 255), objective), RepresentationAttack(RandomNoise(Linf(8 / 255)), objective)
    calls = []

    def counted(images):
        calls.append(torch.is_grad_enabled())
        return encode(images)

    h = encode(x).detach()
    value = attack.value(encode(attack(counted, x)), h)
    assert calls == [False] + [True] * 10
    assert (value > attack.value(encode(noise(encode, x)), h)).all()
    better = RepresentationAttack(PGD(Linf(8 / 255), 10, restarts=3), objective)
    assert (attack.value(encode(better(encode, x)), h) >= value - 1e-6).all()


@pytest.mark.parametrize("objective", ["feature_distance", "cosine_distance"])
@pytest.mark.parametrize("attack", [FGSM(Linf(0.1)), PGD(Linf(0.1), random_start=False)])
def test_an_attack_that_starts_where_a_distance_has_no_gradient_is_refused(attack, objective):
    with pytest.raises(ValueError, match=rf"{type(attack).__name__} starts at x, where the .* distance from x has no"):
        RepresentationAttack(attack, objective)
    encode, x = OnFeatures(SmallEncoder(), nn.Identity()), random(3, 3, 8, 8)
    distances = pgd(Linf(0.1), objective)
    (gradient,) = torch.autograd.grad(distances.value(encode(y := x.clone().requires_grad_()), encode(x)).sum(), y)
    assert gradient.abs().max() < 1e-5
    for start in (RFGSM, FFGSM, RandomNoise):
        RepresentationAttack(start(Linf(0.1)), objective)


def test_contrastive_may_start_at_x_but_needs_a_second_image():
    encode, x = OnFeatures(SmallEncoder(), nn.Identity()), random(3, 3, 8, 8)
    attack = RepresentationAttack(FGSM(Linf(8 / 255)), "contrastive", temperature=0.1)
    h = encode(x)
    assert (attack.value(encode(attack(encode, x)), h) > attack.value(h, h)).all()
    with pytest.raises(ValueError, match="has 1 image; it needs at least 2"):
        attack(encode, x[:1])


def test_displacement_equals_plain_loops(monkeypatch):
    monkeypatch.setattr("sparring.evaluation.representation.CHUNK", 4)
    h = normal(11, 3)
    h_adv = h + 0.8 * normal(11, 3, seed=1)
    for measured, distance in (
        (displacement(h, h_adv), lambda a, b: (a - b).norm().item()),
        (displacement(h, h_adv)["cosine"], lambda a, b: 1 - F.cosine_similarity(a, b, dim=0).item()),
    ):
        n = range(11)
        moved = sum(distance(h_adv[i], h[i]) for i in n) / 11
        between = sum(distance(h[i], h[j]) for i in n for j in n if i != j) / 110
        lost = sum(any(distance(h_adv[i], h[j]) < distance(h_adv[i], h[i]) for j in n if j != i) for i in n) / 11
        assert measured["moved"] == pytest.approx(moved, rel=1e-5)
        assert measured["between"] == pytest.approx(between, rel=1e-5)
        assert measured["ratio"] == pytest.approx(moved / between, rel=1e-5)
        assert measured["retrieval_error"] == pytest.approx(lost)
        assert 0 < lost < 1


def test_copies_of_an_image_are_no_nearer_and_a_collapsed_encoder_has_no_ratio():
    same = normal(1, 4).expand(5, 4)
    collapsed = displacement(same, same + 0.1)
    assert collapsed["ratio"] is None
    assert collapsed["between"] == pytest.approx(0, abs=1e-9)
    assert collapsed["retrieval_error"] == 0


def test_ratios_do_not_depend_on_the_scale_of_the_features():
    x = random(10, 3, 8, 8)
    attacks = {name: pgd(Linf(8 / 255), name) for name in ("feature_distance", "cosine_distance")}
    one, seven = (movement(kind(), x, attacks, domain="adv")["attacks"] for kind in (SmallEncoder, Scaled))
    for name in attacks:
        assert seven[name]["moved"] == pytest.approx(7 * one[name]["moved"], rel=1e-3)
        for a, b in ((one[name], seven[name]), (one[name]["cosine"], seven[name]["cosine"])):
            assert a["ratio"] == pytest.approx(b["ratio"], rel=1e-3)
            assert a["retrieval_error"] == b["retrieval_error"]


def test_a_larger_radius_moves_further():
    encoder, x = SmallEncoder(), random(10, 3, 8, 8)
    radii = [1 / 255, 2 / 255, 4 / 255, 8 / 255, 16 / 255]
    entries = [movement(encoder, x, {"it": pgd(Linf(eps))}, domain="clean")["attacks"]["it"] for eps in radii]
    ratios = [entry["ratio"] for entry in entries]
    assert ratios == sorted(ratios)
    assert ratios[-1] > 2 * ratios[0]
    errors = [entry["retrieval_error"] for entry in entries]
    assert errors == sorted(errors)


def test_a_threat_stands_for_all_three_and_the_entry_names_what_it_depends_on():
    encoder = SmallEncoder()
    for _ in range(20):
        encoder(0.3 * random(16, 3, 8, 8), "adv")
    x = random(5, 3, 8, 8)
    entry = movement(encoder.train(), x, Linf(0.5, space="normalized"), layer="z", domain="adv", batch_size=2, seed=3)
    assert entry == json.loads(json.dumps(entry))
    assert {key: entry[key] for key in ("layer", "domain", "n", "batch_size", "seed")} == {
        "layer": "z", "domain": "adv", "n": 5, "batch_size": 2, "seed": 3,
    }  # fmt: skip
    assert list(entry["attacks"]) == ["feature distance", "cosine distance", "contrastive"]
    for attack in entry["attacks"].values():
        assert "20 steps of 0.0625 in normalised units" in attack["words"]
        assert "random start" in attack["words"]
        assert attack["moved"] > attack["noise"]["moved"] > 0
    assert "on the contrastive loss at T 0.5 of z" in entry["attacks"]["contrastive"]["words"]
    clean = movement(encoder, x, Linf(0.5, space="normalized"), layer="z", domain="clean", batch_size=2, seed=3)
    assert clean["attacks"]["contrastive"]["between"] != entry["attacks"]["contrastive"]["between"]
    assert all(part.training for part in encoder.modules())


@pytest.mark.parametrize(
    ("images", "attacks", "settings", "message"),
    [
        (random(1, 3, 8, 8), Linf(0.1), {}, "there is 1 image; distances between images need at least 2"),
        (2 * random(4, 3, 8, 8), Linf(0.1), {}, r"pixels must lie in \[0, 1\]"),
        (random(4, 3, 8, 8), {}, {}, "attacks: there is none"),
        (random(4, 3, 8, 8), Linf(0.1), {"batch_size": 1}, "batch_size is 1; it must be at least 2"),
        (random(4, 3, 8, 8), Linf(0.1), {"domain": "adv"}, "SmallEncoder has no second batch norm"),
    ],
)
def test_bad_input_is_one_sentence(images, attacks, settings, message):
    with pytest.raises(ValueError, match=message):
        movement(SmallEncoder(dual=False), images, attacks, **({"domain": "clean"} | settings))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("objective", "L3", "objective is 'L3'; it must be one of feature_distance, cosine_distance, contrastive"),
        ("temperature", 0.0, "temperature is 0.0; it must be positive and finite"),
        ("temperature", math.inf, "temperature is inf"),
    ],
)
def test_bad_settings_are_one_sentence(name, value, message):
    attack = pgd(Linf(0.1))
    object.__setattr__(attack, name, value)  # past the annotations, which tests check first
    with pytest.raises(ValueError, match=message):
        attack.__post_init__()
