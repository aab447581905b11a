"""What makes CLAE CLAE: its two terms, its adversary, and what the adversary can and cannot see."""

from dataclasses import replace

import pytest
import torch

from sparring.attacks import PGD, RFGSM, Linf
from sparring.methods import CLAE, UEL, Plain, SimCLR, SupCon
from sparring.types import Batch
from tests.methods.networks import SmallEncoder
from tests.reference import contrastive

BASES = [Plain(), UEL(), SimCLR()]
IDS = ["plain", "uel", "simclr"]
EPS = 0.03


def reference(base, z_a, z_b):
    if isinstance(base, Plain):
        return contrastive.plain(z_a, z_b, 0.1)
    if isinstance(base, UEL):
        return contrastive.uel(torch.cat([z_a, z_b]), 0.1)
    return contrastive.nt_xent_clae(z_a, z_b, 0.5)


@pytest.fixture
def encoder():
    return SmallEncoder().double().train()


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    return Batch(torch.rand(2, 6, 3, 6, 6, generator=generator, dtype=torch.float64))


def buffers(encoder):
    return {name: buffer.clone() for name, buffer in encoder.named_buffers()}


def loop_perturb(base, encoder, a):
    """Eq. 15 by hand: one sign step from a copy of a, in normalised units (pixel step eps * std), unclipped."""
    copy = a.clone().requires_grad_()
    objective = reference(base, encoder(a, "adv").detach(), encoder(copy, "adv"))
    (gradient,) = torch.autograd.grad(objective, copy)
    return a + EPS * torch.tensor(SmallEncoder.std, dtype=a.dtype).view(3, 1, 1) * gradient.sign()


@pytest.mark.parametrize("base", BASES, ids=IDS)
@pytest.mark.parametrize("preset", ["paper", "official"])
def test_both_terms_and_their_gradients_equal_algorithm_1(base, preset, encoder, batch):
    a, b = batch.views
    a_adv = loop_perturb(base, encoder, a)
    expected = reference(base, encoder(a), encoder(b)) + 0.7 * reference(base, encoder(a), encoder(a_adv, "adv"))
    terms = CLAE(base, alpha=0.7, preset=preset)(encoder, batch)
    assert list(terms) == ["clean", "adversarial"]
    total = terms["clean"] + terms["adversarial"]
    torch.testing.assert_close(total, expected, rtol=1e-10, atol=1e-10)
    ours = torch.autograd.grad(total, list(encoder.parameters()))
    theirs = torch.autograd.grad(expected, list(encoder.parameters()))
    for g, h in zip(ours, theirs, strict=True):
        torch.testing.assert_close(g, h, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("base", BASES, ids=IDS)
def test_clean_and_adversarial_images_keep_to_their_own_norm(base, encoder, batch):
    norm = encoder.trunk[1]
    alone = SmallEncoder(dual=False).double().train()
    for view in batch.views:
        alone(view)
    CLAE(base)(encoder, batch)
    torch.testing.assert_close(norm.clean.running_mean, alone.trunk[1].running_mean, rtol=0, atol=0)
    assert norm.clean.num_batches_tracked == 2
    assert norm.adv.num_batches_tracked == 1


@pytest.mark.parametrize(("base", "clean_updates"), [(Plain(), 3), (UEL(), 2), (SimCLR(), 2)], ids=IDS)
def test_official_preset_updates_statistics_as_often_as_the_published_code(base, clean_updates, encoder, batch):
    CLAE(base, preset="official")(encoder, batch)
    norm = encoder.trunk[1]
    assert (int(norm.clean.num_batches_tracked), int(norm.adv.num_batches_tracked)) == (clean_updates, 3)


def without_numerator(base, constant, z_adv):
    """The base's loss with the positive only in the denominator: what pushes negatives apart."""
    n = len(constant)
    if isinstance(base, Plain):
        return (constant @ z_adv.T / base.temperature).logsumexp(1).mean()
    z = torch.cat([constant, z_adv])
    keys = z.detach() if isinstance(base, UEL) else z
    cosine = z @ keys.T / base.temperature
    numerator = torch.stack([cosine[i, (i + n) % (2 * n)] for i in range(2 * n)]).mean()
    return reference(base, constant, z_adv) + numerator


@pytest.mark.parametrize("base", BASES, ids=IDS)
def test_fgsm_from_zero_has_no_gradient_of_the_positive_and_a_random_start_has(base, encoder, batch):
    """Facts anchor (a): removing the numerator changes no sign at delta = 0, and some signs elsewhere."""
    a = batch.views[0]

    def gradients(x):
        x = x.clone().requires_grad_()
        constant = encoder(a, "adv").detach()
        full = torch.autograd.grad(CLAE(base).objective(encoder, a, batch)(x), x)[0] if x.equal(a) else None
        if full is None:
            full = torch.autograd.grad(base.loss(constant, encoder(x, "adv"), batch), x)[0]
        (dropped,) = torch.autograd.grad(without_numerator(base, constant, encoder(x, "adv")), x)
        return full, dropped

    full, dropped = gradients(a)
    assert full.abs().max() > 1e-6
    torch.testing.assert_close(full, dropped, rtol=0, atol=1e-12 * float(full.abs().max()) + 1e-15)
    noise = torch.rand(a.shape, generator=torch.Generator().manual_seed(3), dtype=a.dtype)
    full, dropped = gradients(a + 0.1 * (noise - 0.5))
    assert (full.sign() != dropped.sign()).double().mean() > 0.001


@pytest.mark.parametrize("attack", [RFGSM, PGD], ids=["rfgsm", "pgd"])
def test_a_random_start_moves_the_adversary_elsewhere(attack, encoder, batch):
    threat = Linf(EPS, space="normalized", clip=False)
    random = attack(threat) if attack is RFGSM else PGD(threat, steps=2)
    zero = CLAE().perturb(encoder, batch.views[0], batch)
    started = CLAE(attack=random).perturb(encoder, batch.views[0], batch)
    assert not torch.equal(zero, started)
    std = torch.tensor(SmallEncoder.std).double().view(3, 1, 1)
    for x_adv in (zero, started):
        assert ((x_adv - batch.views[0]).abs() / std).max() <= EPS * (1 + 1e-9)


def test_the_adversary_raises_the_loss_more_than_noise_of_its_size(encoder, batch):
    a = batch.views[0]
    objective = CLAE().objective(encoder, a, batch)
    at_zero = objective(a)
    adversarial = objective(CLAE().perturb(encoder, a, batch))
    sign = torch.randint(0, 2, a.shape, generator=torch.Generator().manual_seed(2)).double() * 2 - 1
    noise = objective(a + EPS * torch.tensor(SmallEncoder.std).double().view(3, 1, 1) * sign)
    assert adversarial > noise
    assert adversarial > at_zero


def test_the_shared_first_forward_saves_one_forward_and_no_value(encoder, batch):
    a = batch.views[0]
    encoder.calls.clear()
    fast = CLAE().perturb(encoder, a, batch)
    assert encoder.calls == [("adv", True)]
    encoder.calls.clear()
    slow = CLAE(preset="official").perturb(encoder, a, batch)
    assert encoder.calls == [("adv", False), ("adv", True)]
    torch.testing.assert_close(fast, slow, rtol=0, atol=0)


def test_from_a_random_start_the_constant_side_is_still_the_image_itself(encoder, batch):
    a, attack = batch.views[0], RFGSM(Linf(EPS, space="normalized", clip=False))
    encoder.calls.clear()
    CLAE(attack=attack).perturb(encoder, a, batch)
    assert encoder.calls == [("adv", False), ("adv", True)]
    start = a + 0.1 * torch.rand(a.shape, generator=torch.Generator().manual_seed(3), dtype=a.dtype)
    ours = CLAE(attack=attack).objective(encoder, a, batch)(start)
    torch.testing.assert_close(ours, reference(SimCLR(), encoder(a, "adv"), encoder(start, "adv")))


def test_the_batchs_generator_decides_the_random_start(encoder, batch):
    method = CLAE(attack=RFGSM(Linf(EPS, space="normalized", clip=False)))

    def perturbed(seed):
        seeded = replace(batch, generator=torch.Generator().manual_seed(seed))
        return method.perturb(encoder, seeded.views[0], seeded)

    assert torch.equal(perturbed(1), perturbed(1))
    assert not torch.equal(perturbed(1), perturbed(2))


def test_the_attack_leaves_statistics_and_gradients_as_they_were(encoder, batch):
    before = buffers(encoder)
    CLAE(attack=PGD(Linf(EPS, space="normalized", clip=False), steps=3)).perturb(encoder, batch.views[0], batch)
    after = buffers(encoder)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(p.grad is None for p in encoder.parameters())


def test_clae_composes_with_any_base_that_has_a_loss(encoder, batch):
    labelled = replace(batch, labels=torch.tensor([0, 0, 1, 1, 2, 2]))
    assert CLAE(SupCon()).needs_labels
    terms = CLAE(SupCon())(encoder, labelled)
    assert all(torch.isfinite(term) for term in terms.values())
