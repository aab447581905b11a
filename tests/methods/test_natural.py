"""Natural training is cross-entropy and nothing else."""

import pytest
import torch

from sparring.methods import Natural
from sparring.types import Batch
from tests.methods.supervised import LABELS, assert_equal_with_gradients, batch, encoder, total  # noqa: F401
from tests.reference import supervised as reference


def test_it_is_cross_entropy_and_counts_what_was_right(encoder, batch):  # noqa: F811
    terms = Natural()(encoder, batch)
    logits = encoder.outputs(batch.views[0]).logits
    assert list(terms) == ["clean"]
    assert_equal_with_gradients(total(terms), reference.cross_entropy(logits, LABELS), encoder)
    assert float(batch.counts["clean_accuracy"]) == (logits.argmax(1) == LABELS).float().mean()


def test_its_embedding_is_not_trained_and_no_other_norm_is_asked_for(encoder, batch):  # noqa: F811
    total(Natural()(encoder, batch)).backward()
    assert encoder.head.weight.grad is None
    assert encoder.calls == [("clean", True)]


def test_without_labels_it_says_so(encoder, batch):  # noqa: F811
    with pytest.raises(ValueError, match="a supervised method needs one label an image"):
        Natural()(encoder, Batch(torch.rand(1, 2, 3, 6, 6, dtype=torch.float64)))
