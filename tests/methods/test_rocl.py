"""RoCL: six ordered pairs of three views, an attack in evaluation mode against a constant view, and pairs that stay."""

from dataclasses import replace

import pytest
import torch

from sparring.attacks import PGD, Linf
from sparring.losses import info_nce
from sparring.methods import RoCL
from sparring.pairs import Frequency, same_label
from tests.methods.contrastive import (  # noqa: F401
    ATTACK,
    REMOVED,
    Asked,
    T,
    assert_equal_with_gradients,
    batch,
    leaves_no_trace,
    pgd,
    single,
    total,
)
from tests.reference import adversarial_contrastive as loops
from tests.reference import contrastive


def by_hand(encoder, batch, detach_keys=True, removed=(), rescaled=False):  # noqa: F811
    t, other = batch.views
    still = None

    def climbed(twin, x_adv):
        nonlocal still
        still = twin(other).detach() if still is None else still
        return loops.nt_xent(twin(x_adv), still, T, detach_keys, removed, rescaled)

    return pgd(climbed, encoder, t)


def three(encoder, batch, x_adv):  # noqa: F811
    """One forward of all three views."""
    return encoder(torch.cat([*batch.views, x_adv])).unflatten(0, (3, -1))


@pytest.mark.parametrize("detach_keys", [True, False])
@pytest.mark.parametrize("positives", ["outside", "inside"])
def test_both_terms_and_all_gradients_equal_the_loops(positives, detach_keys, single, batch):  # noqa: F811
    x_adv = by_hand(single, batch, detach_keys)
    assert (x_adv - batch.views[0]).abs().max() == pytest.approx(0.03)
    method = RoCL(ATTACK, regularizer=0.3, detach_keys=detach_keys, positives=positives)
    terms = method(single, batch)
    assert list(terms) == ["rocl", "regularizer"]
    views = three(single, batch, x_adv)
    main = loops.rocl if positives == "outside" else loops.rocl_paper
    expected = main(views, T, detach_keys) + 0.3 * loops.nt_xent(views[2], views[1], T, detach_keys)
    assert_equal_with_gradients(total(terms), expected, single)


def test_the_main_term_is_twice_sup_con_of_three_views(single, batch):  # noqa: F811
    x_adv = by_hand(single, batch, detach_keys=False)
    terms = RoCL(ATTACK, detach_keys=False)(single, batch)
    z = three(single, batch, x_adv).flatten(0, 1)
    images, rows = 6, range(18)
    positive = [[i != k and i % images == k % images for k in rows] for i in rows]
    expected = 2 * contrastive.sup_con_out(z, z, positive, [[i != k for k in rows] for i in rows], T)
    assert_equal_with_gradients(terms["rocl"], expected, single)


def test_the_constant_view_is_embedded_once_and_each_step_sees_the_copy_alone(single, batch):  # noqa: F811
    RoCL(ATTACK)(single, batch)
    attacked = [("clean", 6, False, True)] * 3
    assert single.seen == [("clean", 6, False, False), *attacked, ("clean", 18, True, True)]
    single.seen.clear()
    RoCL(ATTACK, pairs=REMOVED)(single, batch)
    assert single.seen == [("clean", 6, False, False)] * 2 + [*attacked, ("clean", 18, True, True)]


def test_running_statistics_move_once_a_step_by_all_three_views(single, batch):  # noqa: F811
    norm, seen = single.trunk[1], []
    norm.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]) if module.training else None)
    before = norm.running_mean.clone()
    RoCL(ATTACK)(single, batch)
    assert [len(x) for x in seen] == [18]
    torch.testing.assert_close(norm.running_mean, 0.9 * before + 0.1 * seen[0].mean(dim=(0, 2, 3)))


def test_the_attack_leaves_no_trace(single, batch):  # noqa: F811
    z = single(batch.views[1]).detach()
    method = RoCL(replace(ATTACK, update_statistics=True))
    leaves_no_trace(lambda encoder: method.perturb(encoder, batch.views[0], z, method.pairs, batch), single)


def test_the_attack_climbs_and_starts_anywhere_in_the_ball_by_default(single, batch):  # noqa: F811
    method, t = RoCL(PGD(Linf(0.03), steps=7, step_size=0.01)), batch.views[0]
    assert RoCL().attack == PGD(Linf(0.0314), steps=7, step_size=0.007) and RoCL().attack.random_start
    z = single.eval()(batch.views[1]).detach()
    x_adv = method.perturb(single, t, z, method.pairs, batch)
    assert x_adv.min() >= 0 and x_adv.max() <= 1 and (x_adv - t).abs().max() <= 0.03 + 1e-9

    def value(x):
        return method.contrast(single(x), z, method.pairs, batch)

    noise = 0.03 * torch.randn(t.shape, generator=torch.Generator().manual_seed(1), dtype=t.dtype).sign()
    assert value(x_adv) > max(value(t), value((t + noise).clamp(0, 1))) + 1e-4


@pytest.mark.parametrize("replacement", ["none", "rescale"])
def test_false_negatives_are_removed_in_the_attack_and_in_both_terms(replacement, single, batch):  # noqa: F811
    """A-RoCL: chosen once, from the clean views in evaluation mode; x^ takes the images of t."""
    selector = Asked(replace(REMOVED, replacement=replacement))
    single.eval()
    z = torch.stack([single(view) for view in batch.views]).detach()
    single.train()
    removed = loops.nearest(z[0], z[1], 2)
    x_adv = by_hand(single, batch, removed=removed, rescaled=replacement == "rescale")
    assert not torch.equal(x_adv, by_hand(single, batch))
    terms = RoCL(ATTACK, pairs=selector, regularizer=0.3)(single, batch)
    assert selector.times == 1
    assert torch.equal(selector.z, z.flatten(0, 1))
    assert batch.counts["removed"] == 2 * 2
    views = three(single, batch, x_adv)
    known = {"removed": removed, "rescaled": replacement == "rescale"}
    expected = loops.rocl(views, T, **known) + 0.3 * loops.nt_xent(views[2], views[1], T, True, **known)
    exact = 1e-7 if replacement == "rescale" else 1e-10  # weights such as 5/3 are float32
    assert_equal_with_gradients(total(terms), expected, single, exact)


def test_views_by_themselves_are_refused():
    with pytest.raises(ValueError, match="unit is 'view', but in RoCL one view stands for another"):
        RoCL(pairs=Frequency(classes=3, unit="view"))


@pytest.mark.parametrize("replacement", ["resample", "rescale"])
def test_replacement_keeps_the_number_of_negatives_in_all_three_views(replacement, single, batch, monkeypatch):  # noqa: F811
    seen = []

    def watched(anchors, keys, pairs, temperature):
        seen.append(pairs)
        return info_nce(anchors, keys, pairs, temperature)

    monkeypatch.setattr("sparring.methods.rocl.info_nce", watched)
    RoCL(ATTACK, pairs=Frequency(classes=3, replacement=replacement))(single, batch)
    *attack, main, regularizer = seen
    assert len(attack) == 3 and all(pairs is attack[0] for pairs in [*attack, regularizer])
    for pairs, views in ((main, 3), (regularizer, 2)):
        negatives = (pairs.weight * pairs.negative).sum(dim=1)
        torch.testing.assert_close(negatives, torch.full_like(negatives, views * 5.0))
        assert (pairs.positive.sum(dim=1) == views - 1).all()
        assert pairs.negative.sum(dim=1).max() == views * 3


def test_label_pairs_make_every_row_of_the_label_a_positive(single, batch):  # noqa: F811
    method, still = RoCL(ATTACK, pairs=same_label, regularizer=0.0), single.eval()(batch.views[1]).detach()
    x_adv = method.perturb(single.train(), batch.views[0], still, same_label, batch)
    terms = method(single, batch)
    assert list(terms) == ["rocl"] and batch.counts["anchors_without_positive"] == 0
    z = three(single, batch, x_adv).flatten(0, 1)
    labels, rows = batch.labels.repeat(3).tolist(), range(18)
    positive = [[i != k and labels[i] == labels[k] for k in rows] for i in rows]
    expected = 2 * contrastive.sup_con_out(z, z.detach(), positive, [[i != k for k in rows] for i in rows], T)
    torch.testing.assert_close(terms["rocl"], expected)


def test_gradients_reach_the_weights_under_autocast_too(single, batch):  # noqa: F811
    encoder = single.float()
    with torch.autocast("cpu", torch.bfloat16):
        total(RoCL(ATTACK)(encoder, replace(batch, views=batch.views.float()))).backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in encoder.parameters() if p.ndim > 1)
