from __future__ import annotations

import pytest
import torch

from sparring.analysis import alignment, effective_rank, geometry, uniformity
from tests.reference import geometry as reference


@pytest.fixture
def z():
    return torch.randn(23, 5, generator=torch.Generator().manual_seed(1))


def test_equal_the_formulas_as_loops(z, monkeypatch):
    other = z + 0.3 * torch.randn(23, 5, generator=torch.Generator().manual_seed(2))
    assert alignment(z, other) == pytest.approx(reference.alignment(z.double().tolist(), other.double().tolist()))
    for rows in (2048, 7):
        monkeypatch.setattr(geometry, "CHUNK_ROWS", rows)
        assert uniformity(z) == pytest.approx(reference.uniformity(z.double().tolist(), 2.0))
    assert effective_rank(z) == pytest.approx(reference.effective_rank(z.double().tolist()))


def test_collapse_and_its_opposite():
    point = torch.ones(10, 4)
    assert alignment(point, 3 * point) == pytest.approx(0)
    assert uniformity(point) == pytest.approx(0)
    assert effective_rank(point) == 1.0
    line = torch.linspace(-1, 1, 10).view(-1, 1) * torch.ones(1, 4)
    assert effective_rank(line) == pytest.approx(1.0)
    assert effective_rank(torch.cat([torch.eye(4), -torch.eye(4)])) == pytest.approx(4.0)


def test_bad_input_is_one_sentence(z):
    with pytest.raises(ValueError, match="at least 2 embeddings, not 1"):
        uniformity(z[:1])
    with pytest.raises(ValueError, match="at least 2 embeddings, not 1"):
        effective_rank(z[:1])
