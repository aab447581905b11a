"""ACL: which views are attacked, through which norm, and how the two streams make one loss."""

import copy
from dataclasses import replace

import pytest
import torch

from sparring.attacks import PGD, Linf
from sparring.methods import ACL, SimCLR
from tests.methods.contrastive import (  # noqa: F401
    ATTACK,
    REMOVED,
    Asked,
    T,
    assert_equal_with_gradients,
    batch,
    dual,
    leaves_no_trace,
    pgd,
    single,
    total,
)
from tests.reference import adversarial_contrastive as loops
from tests.reference import contrastive

MODES = ["ds", "a2a", "a2s", "s2s"]


@pytest.fixture
def encoder(request):
    return request.getfixturevalue(
        "dual" if request.node.callspec.params.get("mode", "ds") in ("ds", "a2s") else "single"
    )


def both(encoder, views, domain="clean"):
    """One forward of two views."""
    return encoder(views.flatten(0, 1), domain).unflatten(0, (2, -1))


def by_hand(encoder, views, mode, removed=()):
    """The adversarial stream's images; `removed` for A-ACL."""
    domain = "clean" if mode == "a2a" else "adv"
    if mode == "a2s":
        attacked = pgd(
            lambda twin, x: loops.nt_xent(twin(x, "adv"), twin(views[1]).detach(), T, removed=removed),
            encoder,
            views[0],
        )
        return attacked[None]
    found = pgd(
        lambda twin, x: loops.nt_xent(*both(twin, x.unflatten(0, (2, -1)), domain), T, removed=removed),
        encoder,
        views.flatten(0, 1),
    )
    return found.unflatten(0, (2, -1))


def expected(encoder, start, views, mode, alpha=1.0, removed=()):
    """`start`: the encoder as it was before any statistics moved."""
    terms = {}
    if mode in ("ds", "s2s"):
        terms["clean"] = loops.nt_xent(*both(encoder, views), T, removed=removed)
    if mode != "s2s":
        views_adv = by_hand(start, views, mode, removed)
        if mode == "a2s":
            z = (encoder(views_adv[0], "adv"), encoder(views[1]))
        else:
            z = both(encoder, views_adv, "clean" if mode == "a2a" else "adv")
        terms["adversarial"] = loops.nt_xent(*z, T, removed=removed)
    if mode == "ds":
        terms = {"clean": terms["clean"] / (1 + alpha), "adversarial": alpha * terms["adversarial"] / (1 + alpha)}
    return terms


@pytest.mark.parametrize("mode", MODES)
def test_each_modes_terms_and_gradients_equal_the_loops(mode, encoder, batch):  # noqa: F811
    start = copy.deepcopy(encoder)
    ours = ACL(ATTACK, mode, alpha=0.5)(encoder, batch)
    theirs = expected(encoder, start, batch.views, mode, alpha=0.5)
    assert list(ours) == list(theirs)
    assert_equal_with_gradients(total(ours), total(theirs), encoder)


def test_the_dual_stream_is_the_mean_of_its_two_streams(dual, batch):  # noqa: F811
    method, start = ACL(ATTACK), copy.deepcopy(dual)
    terms = method(dual, batch)
    views_adv = method.perturb(start, batch.views, method.pairs, batch)
    clean = contrastive.nt_xent_acl(*both(dual, batch.views), T)
    adversarial = contrastive.nt_xent_acl(*both(dual, views_adv, "adv"), T)
    assert_equal_with_gradients(total(terms), (clean + adversarial) / 2, dual)
    assert adversarial > contrastive.nt_xent_acl(*both(dual, batch.views, "adv"), T)
    weighted = ACL(ATTACK, alpha=3.0)(start, batch)
    torch.testing.assert_close(total(weighted), (clean + 3 * adversarial) / 4)


def test_without_an_attack_it_is_simclr_on_jointly_embedded_views(single, batch):  # noqa: F811
    method = ACL(ATTACK, "s2s")
    method(single, batch)
    assert single.seen == [("clean", 12, True, True)]
    ours, theirs = total(method(single.eval(), batch)), total(SimCLR()(single, batch))
    assert_equal_with_gradients(ours, theirs, single)


@pytest.mark.parametrize(
    ("mode", "seen"),
    [
        ("ds", [("clean", 12, True, True), *[("adv", 12, False, True)] * 3, ("adv", 12, True, True)]),
        ("a2a", [*[("clean", 12, False, True)] * 3, ("clean", 12, True, True)]),
        (
            "a2s",
            [
                ("clean", 6, False, False),
                *[("adv", 6, False, True)] * 3,
                ("adv", 6, True, True),
                ("clean", 6, True, True),
            ],
        ),
    ],
)
def test_the_attack_is_joint_in_evaluation_mode_and_through_the_norm_of_its_images(mode, seen, encoder, batch):  # noqa: F811
    ACL(ATTACK, mode)(encoder, batch)
    assert encoder.seen == seen


def test_clean_and_attacked_images_keep_to_their_own_norm(dual, batch):  # noqa: F811
    norm = dual.trunk[1]
    tracked = norm.clean.num_batches_tracked.clone(), norm.adv.num_batches_tracked.clone()
    ACL(ATTACK)(dual, batch)
    assert (norm.clean.num_batches_tracked - tracked[0], norm.adv.num_batches_tracked - tracked[1]) == (1, 1)


@pytest.mark.parametrize("mode", ["ds", "a2a", "a2s"])
def test_the_attack_leaves_no_trace(mode, encoder, batch):  # noqa: F811
    method = ACL(replace(ATTACK, update_statistics=True), mode)
    leaves_no_trace(lambda network: method.perturb(network, batch.views, method.pairs, batch), encoder)


@pytest.mark.parametrize("mode", ["ds", "a2a", "a2s", "s2s"])
def test_false_negatives_are_removed_in_attack_and_loss_by_one_choice(mode, encoder, batch):  # noqa: F811
    """A-ACL: chosen from the clean stream where there is one, else from the clean views in evaluation mode."""
    if mode in ("ds", "s2s"):
        z = both(encoder, batch.views).detach()
    else:
        encoder.eval()
        z = torch.stack([encoder(view) for view in batch.views]).detach()
        encoder.train()
    selector, removed, start = Asked(REMOVED), loops.nearest(z[0], z[1], 2), copy.deepcopy(encoder)
    ours = ACL(ATTACK, mode, pairs=selector)(encoder, batch)
    theirs = expected(encoder, start, batch.views, mode, 1.0, removed)
    assert selector.times == 1
    torch.testing.assert_close(selector.z, z.flatten(0, 1))
    assert batch.counts["removed"] == 2 * 2 and 0 <= batch.counts["removal_precision"] <= 1
    assert_equal_with_gradients(total(ours), total(theirs), encoder)


def test_the_official_start_may_leave_the_box_and_nothing_else_does(dual, batch):  # noqa: F811
    attack = PGD(Linf(0.1), steps=3, step_size=0.02)
    starts = {}
    for preset in ("paper", "official"):
        dual.extremes.clear()
        method = ACL(attack, preset=preset)
        fresh = replace(batch, generator=torch.Generator().manual_seed(2))
        views_adv = method.perturb(dual, fresh.views, method.pairs, fresh)
        starts[preset] = dual.extremes[0]
        inside = [low >= 0 and high <= 1 for low, high in dual.extremes]
        assert inside == [preset == "paper", True, True]
        assert views_adv.min() >= 0 and views_adv.max() <= 1
        assert (views_adv - batch.views).abs().max() <= 0.1 + 1e-9
    assert starts["official"][0] < -0.05 and starts["official"][1] > 1.05


def test_the_published_attack_and_what_each_mode_needs():
    assert ACL().attack == PGD(Linf(8 / 255), steps=5, step_size=2 / 255)
    assert [ACL(mode=mode).dual for mode in MODES] == [True, False, True, False]
    assert [ACL(mode=mode).adversarial for mode in MODES] == [True, True, True, False]
