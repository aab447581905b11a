"""ADR: adversarial training with four more terms, whose clean sides are targets."""

import pytest
import torch

from sparring.methods import ADR, AdversarialTraining
from tests.methods.supervised import ATTACK, LABELS, assert_equal_with_gradients, batch, encoder, total  # noqa: F401
from tests.methods.test_adversarial_training import by_hand
from tests.reference import adversarial, supervised


@pytest.mark.parametrize("clean_weight", [0.0, 1.0])
def test_total_and_gradients_equal_the_sum_of_the_loops(clean_weight, encoder, batch):  # noqa: F811
    x = batch.views[0]
    x_adv = by_hand(encoder, x)
    terms = ADR(ATTACK, clean_weight, lc=0.5, ls=2.0, gc=3.0, cf=0.25)(encoder, batch)
    clean, adv = encoder.outputs(x), encoder.outputs(x_adv)
    expected = clean_weight * supervised.cross_entropy(clean.logits, LABELS)
    expected = expected + supervised.cross_entropy(adv.logits, LABELS)
    expected = expected + 0.5 * adversarial.local_compactness(clean.h, adv.h)
    expected = expected + 2 * adversarial.local_smoothness(clean.logits, adv.logits)
    expected = expected + 3 * adversarial.global_compactness(clean.h, adv.h, LABELS.tolist())
    expected = expected + 0.25 * adversarial.confidence(adv.logits)
    assert_equal_with_gradients(total(terms), expected, encoder)
    assert list(terms)[-4:] == ["local_compactness", "local_smoothness", "global_compactness", "confidence"]


def test_without_its_terms_it_is_adversarial_training_without_the_clean_one(encoder, batch):  # noqa: F811
    bare = ADR(ATTACK, lc=0.0, ls=0.0, gc=0.0, cf=0.0)
    expected = AdversarialTraining(ATTACK, clean_weight=0.0)
    torch.testing.assert_close(total(bare(encoder, batch)), total(expected(encoder, batch)))


def test_the_published_weights_are_the_default():
    method = ADR()
    assert (method.clean_weight, method.lc, method.ls, method.gc, method.cf) == (0, 1, 1, 1, 1)
