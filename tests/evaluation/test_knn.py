from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier

from sparring.evaluation import knn, knn_predict
from tests.reference.classifiers import weighted_knn


def clouds(seed: int, n: int, m: int, d: int, classes: int):
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(classes, d, generator=generator)
    labels = torch.randint(classes, (n + m,), generator=generator)
    rows = centres[labels] + 1.5 * torch.randn(n + m, d, generator=generator)
    return rows[:n], labels[:n], rows[n:], labels[n:]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(1, 40), temperature=st.sampled_from([0.01, 0.1, 0.5, 5.0]))
def test_equals_the_formula_as_a_loop(seed, k, temperature):
    train, labels, test, _ = clouds(seed, n=40, m=15, d=6, classes=5)
    predicted = knn_predict(train, labels, test, k=k, temperature=temperature)
    assert predicted.tolist() == weighted_knn(train, labels, test, k, temperature, classes=5)


@pytest.mark.parametrize("temperature", [0.07, 0.1, 0.5])
def test_equals_scikit_learn(temperature):
    train, labels, test, truth = clouds(1, n=600, m=200, d=16, classes=7)
    reference = KNeighborsClassifier(
        n_neighbors=200, metric="cosine", algorithm="brute", weights=lambda d: np.exp((1 - d) / temperature)
    ).fit(train.double().numpy(), labels.numpy())
    expected = reference.predict(test.double().numpy())
    assert knn_predict(train, labels, test, k=200, temperature=temperature).tolist() == expected.tolist()
    assert knn(train, labels, test, truth, temperature=temperature) == pytest.approx((expected == truth.numpy()).mean())


def test_blocks_change_nothing():
    train, labels, test, _ = clouds(2, n=300, m=101, d=8, classes=4)
    whole = knn_predict(train, labels, test, k=30, temperature=0.1)
    one_row_at_a_time = knn_predict(train, labels, test, k=30, temperature=0.1, chunk_bytes=1)
    assert torch.equal(whole, one_row_at_a_time)


def test_memory_stays_at_one_block(monkeypatch):
    """The largest tensor made is a block of similarities, not M x N."""
    train, labels, test, _ = clouds(3, n=500, m=400, d=4, classes=3)
    largest = 0
    matmul = torch.Tensor.__matmul__

    def watched(left, right):
        nonlocal largest
        result = matmul(left, right)
        largest = max(largest, result.numel() * 4)
        return result

    monkeypatch.setattr(torch.Tensor, "__matmul__", watched)
    knn_predict(train, labels, test, k=20, temperature=0.1, chunk_bytes=20_000)
    assert 0 < largest <= 20_000


def test_no_overflow_at_a_small_temperature():
    """exp(1 / 0.005) is infinite in float32 and two infinite scores would both win."""
    train = torch.eye(2).repeat(3, 1)
    labels = torch.tensor([1, 0, 1, 0, 1, 0])
    test = torch.tensor([[1.0, 0.999], [0.999, 1.0]])
    assert knn_predict(train, labels, test, k=6, temperature=0.0005).tolist() == [1, 0]


def test_ties_at_rank_k_keep_the_lower_index_and_equal_scores_the_lower_class():
    same = torch.ones(6, 3)
    labels = torch.tensor([2, 2, 1, 1, 1, 1])
    query = torch.ones(1, 3)
    assert knn_predict(same, labels, query, k=2, temperature=0.1).tolist() == [2]
    assert knn_predict(same, labels, query, k=4, temperature=0.1).tolist() == [1]  # two votes each
    assert knn_predict(same, labels, query, k=5, temperature=0.1).tolist() == [1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"k": 41}, "k is 41, there are 40"),
        ({"k": 0}, "k must be at least 1, not 0"),
        ({"temperature": 0.0}, "temperature must be above 0, not 0.0"),
        ({"classes": 2}, "labels must lie in 0..1"),
    ],
)
def test_bad_input_is_one_sentence(changes, message):
    train, labels, test, _ = clouds(0, n=40, m=3, d=4, classes=5)
    with pytest.raises(ValueError, match=message):
        knn_predict(train, labels, test, **({"k": 5, "temperature": 0.1} | changes))
