from __future__ import annotations

import pytest
import torch
from torch import nn

from sparring.attacks import PGD, Linf
from sparring.evaluation import AFF, AFFSingle, CleanFinetuning
from sparring.norms import has_domains
from sparring.types import Domain
from tests.evaluation.finetuned import encoder, shades, state
from tests.reference import finetuning as reference

STEP = {"augment": "none", "batch_size": 24, "milestones": ()}


def statistics(made, domain: str):
    """Everything that one norm holds."""
    return {key: value for key, value in state(made).items() if f".{domain}." in key}


def test_steps_of_aff_equal_a_loop_over_images_and_classes():
    """From the second step on the classifier is not zero: the attack moves, and both norms and momentum take part."""
    images, labels = shades(24)
    made = encoder()
    model = AFF("adv", epochs=3, lr=0.05, **STEP).fit(made, images, labels)

    found = state(made.trunk)
    weights = {"conv.weight": found["0.weight"], "conv.bias": found["0.bias"]}
    weights |= {"head.weight": torch.zeros(3, 24), "head.bias": torch.zeros(3)}
    weights = {name: weight.requires_grad_() for name, weight in weights.items()}
    norms = {
        domain: {
            "weight": found[f"1.{domain}.weight"].requires_grad_(),
            "bias": found[f"1.{domain}.bias"].requires_grad_(),
            "mean": found[f"1.{domain}.running_mean"],
            "var": found[f"1.{domain}.running_var"],
        }
        for domain in ("clean", "adv")
    }
    std = torch.tensor(made.std).view(3, 1, 1)
    weights, norms = reference.aff(images.float() / 255, labels, weights, norms, std, steps=3, lr=0.05, beta=6.0)

    result = state(model.encoder.trunk)
    close = {"rtol": 2e-3, "atol": 2e-5}
    torch.testing.assert_close(model.classifier.weight, weights["head.weight"].detach(), **close)
    torch.testing.assert_close(model.classifier.bias, weights["head.bias"].detach(), **close)
    torch.testing.assert_close(result["0.weight"], weights["conv.weight"].detach(), **close)
    assert not torch.allclose(result["0.weight"], found["0.weight"], **close)
    for domain, norm in norms.items():
        for key, name in (("weight", "weight"), ("bias", "bias"), ("mean", "running_mean"), ("var", "running_var")):
            torch.testing.assert_close(result[f"1.{domain}.{name}"], norm[key].detach(), **close)


class Darker(PGD):
    """Not an attack: images of half the brightness."""

    def __call__(self, objective, x, **more):
        return x / 2


def test_each_stream_goes_through_its_own_norm():
    """At a rate of nearly nothing the norms' statistics are those of forward passes of their own images alone."""
    images, labels = shades(24)
    made, expected = encoder(), encoder()
    attack = Darker(Linf(8 / 255), random_start=False)
    model = AFF("adv", epochs=2, lr=1e-20, attack=attack, **STEP).fit(made, images, labels)
    x = images.float() / 255
    expected.train()
    for _ in range(2):
        expected.represent(x, "clean")
        expected.represent(x / 2, "adv")
    for domain in ("clean", "adv"):
        result, wanted = statistics(model.encoder, domain), statistics(expected, domain)
        for key in wanted:
            torch.testing.assert_close(result[key], wanted[key])
        assert result[f"trunk.1.{domain}.num_batches_tracked"] == 22  # the attack adds none


@pytest.mark.parametrize("dual", [True, False])
def test_acls_own_form_trains_one_norm_that_starts_as_the_adversarial_one_and_sees_both_streams(dual):
    images, labels = shades(24)
    made, domain = encoder(dual), "adv" if dual else "clean"
    attack = Darker(Linf(8 / 255))
    protocol = AFFSingle(domain, epochs=3, lr=0.05, attack=attack, **STEP)
    model = protocol.fit(made, images, labels)

    single = encoder(dual=False)
    single.load_state_dict(
        {key.replace(f".{domain}.", "."): value for key, value in state(made).items() if ".clean." not in key}
    )
    single.trunk[1].momentum = 0.01 if dual else 0.1
    head = nn.Linear(24, 3)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    trained = [*single.parameters(), *head.parameters()]
    optimizer = torch.optim.SGD(trained, lr=0.05, momentum=0.9, weight_decay=2e-4)
    x = images.float() / 255
    for _ in range(3):
        clean, adversarial = head(single.represent(x)), head(single.represent(x / 2))
        optimizer.zero_grad()
        (reference.cross_entropy(clean, labels) + 6 * reference.kl(clean, adversarial).mean()).backward()
        optimizer.step()

    assert not has_domains(model.encoder) and has_domains(made) == dual
    assert (model.domain, protocol.settings["domain"]) == ("clean", domain)
    close = {"rtol": 1e-3, "atol": 1e-5}
    torch.testing.assert_close(model.classifier.weight, head.weight.detach(), **close)
    result, expected = state(model.encoder), state(single)
    assert result.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(result[key], value, **close)


def test_acls_own_form_starts_beside_the_image_and_moves():
    images, labels = shades(24)
    moved = []

    class Watched(AFFSingle):
        def perturb(self, model, x, starts):
            x_adv = super().perturb(model, x, starts)
            moved.append((x_adv - x).abs())
            return x_adv

    Watched("adv", epochs=3, **STEP).fit(encoder(), images, labels)
    assert all(by.mean() > 4 / 255 and by.max() <= 8 / 255 + 1e-6 for by in moved[1:])


def test_clean_finetuning_leaves_the_other_norm_as_it_was():
    images, labels = shades(24)
    branches: tuple[tuple[Domain, Domain], ...] = (("clean", "adv"), ("adv", "clean"))
    for domain, other in branches:
        made = encoder()
        model = CleanFinetuning(domain, epochs=3, **STEP).fit(made, images, labels)
        kept, before = statistics(model.encoder, other), statistics(made, other)
        assert all(torch.equal(kept[key], before[key]) for key in before)
        changed, before = statistics(model.encoder, domain), statistics(made, domain)
        assert not any(torch.equal(changed[key], before[key]) for key in before)


def test_with_one_norm_the_attack_moves_too():
    """From x itself KL(h(x) || h(x)) = 0 has no gradient: the adversary would do nothing, and AFF be clean finetuning."""
    images, labels = shades(24)
    made, moved = encoder(dual=False), []

    class Watched(AFF):
        def perturb(self, model, x, starts):
            x_adv = super().perturb(model, x, starts)
            moved.append(((x_adv - x).abs().mean().item(), (x_adv - x).abs().max().item(), x_adv.aminmax()))
            return x_adv

    Watched("clean", epochs=4, **STEP).fit(made, images, labels)
    assert len(moved) == 4
    for mean, largest, (low, high) in moved[1:]:
        assert mean > 4 / 255 and largest <= 8 / 255 + 1e-6 and low >= 0 and high <= 1


def test_the_copy_is_attacked_in_evaluation_mode_and_trained_in_training_mode():
    images, labels = shades(24)
    made, modes = encoder(), []
    made.trunk[1].clean.register_forward_hook(lambda norm, *_: modes.append(norm.training))
    AFF("adv", epochs=2, **STEP).fit(made, images, labels)
    assert modes == [False, True] * 2  # the attack's constant target, then the clean half of the loss
    adversarial: list[bool] = []
    made = encoder()
    made.trunk[1].adv.register_forward_hook(lambda norm, *_: adversarial.append(norm.training))
    AFF("adv", epochs=1, **STEP).fit(made, images, labels)
    assert adversarial.count(True) == 1 and adversarial[-1] and adversarial.count(False) >= 10


def test_a_last_batch_of_one_image_is_left_out():
    images, labels = shades(9)

    class Flat(nn.Module):
        std = (1.0, 1.0, 1.0)

        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(3)

        def represent(self, x, domain="clean"):
            return self.norm(x.mean(dim=(2, 3)))

    model = CleanFinetuning("clean", epochs=1, batch_size=4).fit(Flat(), images, labels)
    assert model.encoder.norm.num_batches_tracked == 2
    with pytest.raises(ValueError, match=r"trains the encoder, which must be an nn\.Module, not a Plain"):
        CleanFinetuning("clean").fit(Plain(), images, labels)


class Plain:
    std = (1.0, 1.0, 1.0)

    def __call__(self, x, domain="clean"):
        return self.represent(x)

    def represent(self, x, domain="clean"):
        return x.mean(dim=(2, 3))
