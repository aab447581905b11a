"""ASCL: equation 6 with every selection of Table 1, and what its published code does otherwise."""

import pytest
import torch

from sparring.methods import ASCL, AdversarialTraining, SupCon
from sparring.pairs import hard, leaked, leaked_official, same_label, soft
from tests.methods.supervised import ATTACK, LABELS, assert_equal_with_gradients, batch, encoder, total  # noqa: F401
from tests.methods.test_adversarial_training import by_hand
from tests.reference import adversarial, supervised

SELECTORS = {"global": same_label, "hard": hard, "soft": soft, "leaked": leaked}


def forwards(encoder, batch):  # noqa: F811
    x = batch.views[0]
    return encoder.outputs(x), encoder.outputs(by_hand(encoder, x))


@pytest.mark.parametrize("similarity", ["cosine", "l1", "l2", "linf"])
@pytest.mark.parametrize("strategy", list(SELECTORS))
def test_total_and_gradients_equal_equation_6(strategy, similarity, encoder, batch):  # noqa: F811
    clean, adv = forwards(encoder, batch)
    z, predictions = torch.cat([clean.z, adv.z]), torch.cat([clean.logits, adv.logits]).argmax(1).tolist()
    assert len(set(predictions)) > 1
    sets = supervised.table_1(LABELS.tolist(), predictions, strategy)
    expected = sum(supervised.cross_entropy(of.logits, LABELS) for of in (clean, adv))
    expected = expected + 0.7 * adversarial.scl(z, *sets, 0.2, similarity)
    expected = expected + 1.5 * adversarial.kl(clean.logits, adv.logits)
    method = ASCL(ATTACK, SELECTORS[strategy], 0.2, similarity, lambda_scl=0.7, lambda_vat=1.5)
    terms = method(encoder, batch)
    assert list(terms) == ["clean", "adversarial", "scl", "vat"]
    assert_equal_with_gradients(total(terms), expected, encoder)


def test_global_with_the_cosine_is_adversarial_training_and_twice_supcon_of_clean_and_adversarial(encoder, batch):  # noqa: F811
    clean, adv = forwards(encoder, batch)
    expected = total(AdversarialTraining(ATTACK)(encoder, batch))
    expected = expected + 2 * SupCon(temperature=0.07).loss(clean.z, adv.z, batch)
    terms = ASCL(ATTACK, same_label, lambda_vat=0.0)(encoder, batch)
    assert_equal_with_gradients(total(terms), expected, encoder)


def test_the_official_preset_is_the_published_loss_scales_selector_and_attack(encoder, batch):  # noqa: F811
    paper, official = (ASCL(ATTACK, same_label, preset=preset) for preset in ("paper", "official"))
    ours, theirs = paper(encoder, batch), official(encoder, batch)
    torch.testing.assert_close(theirs["scl"], ours["scl"] / 2)
    torch.testing.assert_close(theirs["vat"], ours["vat"] / 3)
    for name in ("clean", "adversarial"):
        torch.testing.assert_close(theirs[name], ours[name])
    assert encoder.trunk[1].num_batches_tracked == 2 + (2 + ATTACK.steps)
    assert official.attack.update_statistics
    assert not paper.attack.update_statistics
    assert ASCL(preset="official").pairs is leaked_official
    assert ASCL().pairs is leaked


def test_the_official_preset_equals_the_published_loops(encoder, batch):  # noqa: F811
    clean, adv = forwards(encoder, batch)
    terms = ASCL(ATTACK, preset="official")(encoder, batch)
    z, predictions = torch.cat([clean.z, adv.z]), torch.cat([clean.logits, adv.logits]).argmax(1).tolist()
    scl = adversarial.scl_published(z, LABELS.repeat(2).tolist(), predictions, 0.07, "cosine", "leaking")
    torch.testing.assert_close(terms["scl"], scl, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(terms["vat"], 2 * adversarial.kl_published(clean.logits, adv.logits))


def test_terms_that_table_3_omits_are_not_there(encoder, batch):  # noqa: F811
    terms = ASCL(ATTACK, clean_weight=0.0, lambda_vat=0.0)(encoder, batch)
    assert list(terms) == ["adversarial", "scl"]


def test_positives_and_negatives_of_an_anchor_are_counted(encoder, batch):  # noqa: F811
    ASCL(ATTACK, same_label)(encoder, batch)
    positives = sum(int((y == LABELS).sum()) for y in LABELS) / 6
    counts = {name: float(count) for name, count in batch.counts.items() if "tives" in name}
    assert counts == pytest.approx(
        {
            "clean_positives": positives - 0.5,
            "adversarial_positives": positives - 0.5,
            "clean_negatives": 6 - positives,
            "adversarial_negatives": 6 - positives,
        }
    )
    assert 0 <= float(batch.counts["adversarial_accuracy"]) <= float(batch.counts["clean_accuracy"]) <= 1
