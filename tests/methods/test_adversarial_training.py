"""Adversarial training: both terms at the images that a hand-made PGD finds, and an attack that leaves nothing behind."""

import copy
from dataclasses import replace

import pytest
import torch

from sparring.attacks import PGD, Linf
from sparring.methods import AdversarialTraining, Natural
from sparring.methods.supervised import cross_entropy_of, perturb
from sparring.types import Batch
from tests.methods.supervised import (  # noqa: F401
    ATTACK,
    EPS,
    LABELS,
    STEP,
    STEPS,
    assert_equal_with_gradients,
    batch,
    buffers,
    encoder,
    total,
)
from tests.reference import supervised as reference


def by_hand(encoder, x):  # noqa: F811
    """The adversarial images, found on a copy of the network."""
    twin = copy.deepcopy(encoder)
    return reference.pgd(
        lambda at: reference.cross_entropy(twin.outputs(at).logits, LABELS), x, 0 * x, EPS, STEP, STEPS
    )


@pytest.mark.parametrize("clean_weight", [1.0, 0.5, 0.0])
def test_total_and_gradients_equal_equation_4(clean_weight, encoder, batch):  # noqa: F811
    x = batch.views[0]
    x_adv = by_hand(encoder, x)
    assert (x_adv - x).abs().max() == pytest.approx(EPS)
    terms = AdversarialTraining(ATTACK, clean_weight)(encoder, batch)
    clean, adv = (reference.cross_entropy(encoder.outputs(at).logits, LABELS) for at in (x, x_adv))
    assert_equal_with_gradients(total(terms), clean_weight * clean + adv, encoder)
    assert list(terms) == (["clean", "adversarial"] if clean_weight else ["adversarial"])


def test_the_attack_in_training_mode_uses_the_batchs_statistics_and_does_not_touch_the_running_ones(encoder, batch):  # noqa: F811
    AdversarialTraining(ATTACK)(encoder, batch)
    norm = encoder.trunk[1]
    assert norm.num_batches_tracked == 2
    twin = replace_statistics(encoder)
    first, second = (images_of(AdversarialTraining(ATTACK), network, batch) for network in (encoder, twin))
    torch.testing.assert_close(first, second)


def test_the_attack_in_evaluation_mode_uses_the_running_statistics_and_puts_modes_back(encoder, batch):  # noqa: F811
    encoder.head.eval()
    modes = {name: module.training for name, module in encoder.named_modules()}
    method = AdversarialTraining(ATTACK, attack_mode="eval")
    before = buffers(encoder)
    found = images_of(method, encoder, batch)
    assert all(torch.equal(value, before[name]) for name, value in buffers(encoder).items())
    assert {name: module.training for name, module in encoder.named_modules()} == modes
    encoder.eval()
    torch.testing.assert_close(found, by_hand(encoder, batch.views[0]))
    assert not torch.allclose(found, images_of(method, replace_statistics(encoder).train(), batch))


def test_modes_come_back_after_an_error(encoder, batch):  # noqa: F811
    class Broken:
        starts_at_x = True

        def __call__(self, objective, x, **settings):
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        AdversarialTraining(Broken(), attack_mode="eval")(encoder, batch)
    assert all(module.training for module in encoder.modules())


def images_of(method, encoder, batch):  # noqa: F811
    """The images that a method's attack makes."""
    return perturb(encoder, method.attack, batch.views[0], batch, cross_entropy_of(LABELS), method.attack_mode)


def replace_statistics(encoder):  # noqa: F811
    """The same network with other running statistics."""
    twin = copy.deepcopy(encoder)
    twin.trunk[1].running_mean += torch.linspace(-1, 1, 6, dtype=torch.float64)
    twin.trunk[1].running_var *= 3
    return twin


def test_the_steps_compute_no_gradient_of_a_parameter(encoder, batch):  # noqa: F811
    seen = []
    for name, parameter in encoder.named_parameters():
        parameter.register_hook(lambda _, name=name: seen.append(name))
    terms = AdversarialTraining(ATTACK)(encoder, batch)
    assert not seen
    total(terms).backward()
    assert "trunk.0.weight" in seen


def test_restarts_keep_each_images_worst(encoder, batch):  # noqa: F811
    attack = PGD(Linf(EPS), steps=1, step_size=STEP)
    losses = []
    for restarts in (1, 5):
        x_adv = images_of(AdversarialTraining(replace(attack, restarts=restarts)), encoder, batch)
        batch.generator.manual_seed(11)
        logits = encoder.outputs(x_adv).logits
        losses.append(torch.nn.functional.cross_entropy(logits, LABELS))
    assert losses[1] > losses[0]


def test_only_own_images_are_attacked_where_labels_and_scores_are_of_all_processes(encoder, batch):  # noqa: F811
    """Rows of other processes stand before and behind: the own ones are found by `first`."""

    class Several:
        std = encoder.std

        def __init__(self, before, behind):
            self.before, self.behind = before, behind

        def modules(self):
            return encoder.modules()

        def __call__(self, x, domain="clean"):
            raise AssertionError

        represent = __call__

        def outputs(self, x, domain="clean"):
            out = encoder.outputs(x, domain)
            pad = [torch.zeros(n, 3, dtype=x.dtype) for n in (self.before, self.behind)]
            return out._replace(logits=torch.cat([pad[0], out.logits, pad[1]]))

    alone = images_of(AdversarialTraining(ATTACK), encoder, batch)
    labels = torch.cat([LABELS.flip(0), LABELS, LABELS.flip(0)])
    whole = Batch(batch.views, labels=labels, first=6)
    x = batch.views[0]
    assert torch.equal(perturb(Several(6, 6), ATTACK, x, whole, cross_entropy_of(labels), "train"), alone)


def test_it_is_natural_training_where_the_ball_is_tiny(encoder, batch):  # noqa: F811
    terms = AdversarialTraining(PGD(Linf(1e-12)))(encoder, batch)
    torch.testing.assert_close(total(terms), 2 * total(Natural()(encoder, batch)))
