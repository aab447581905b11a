"""Plain, UEL, SimCLR and SupCon against the papers' formulas as loops, through a real encoder."""

import pytest
import torch

from sparring.methods import UEL, Plain, SimCLR, SupCon
from sparring.types import Batch
from tests.methods.networks import SmallEncoder
from tests.reference import contrastive

LABELS = torch.tensor([0, 1, 0, 2, 1, 3])


@pytest.fixture
def encoder():
    return SmallEncoder(dual=False).double()


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    return Batch(torch.rand(2, 6, 3, 6, 6, generator=generator, dtype=torch.float64), labels=LABELS)


def value(terms):
    assert len(terms) == 1
    return next(iter(terms.values()))


def gradients(loss, encoder):
    return torch.autograd.grad(loss, list(encoder.parameters()))


def supcon(z_a, z_b):
    """L_out with its masks written out as lists: same label, not the row itself."""
    labels, n = LABELS.repeat(2).tolist(), 2 * len(LABELS)
    positive = [[labels[i] == labels[k] and i != k for k in range(n)] for i in range(n)]
    contrast = [[i != k for k in range(n)] for i in range(n)]
    z = torch.cat([z_a, z_b])
    return contrastive.sup_con_out(z, z, positive, contrast, 0.1)


REFERENCES = {
    "plain": lambda z_a, z_b: contrastive.plain(z_a, z_b, 0.1),
    "uel": lambda z_a, z_b: contrastive.uel(torch.cat([z_a, z_b]), 0.1),
    "simclr": lambda z_a, z_b: contrastive.nt_xent_clae(z_a, z_b, 0.5),
    "supcon": supcon,
}


@pytest.mark.parametrize(
    ("name", "method"), [("plain", Plain()), ("uel", UEL()), ("simclr", SimCLR()), ("supcon", SupCon())]
)
def test_a_method_and_its_gradients_equal_the_papers_loop(name, method, encoder, batch):
    ours = value(method(encoder, batch))
    theirs = REFERENCES[name](encoder(batch.views[0]), encoder(batch.views[1]))
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    for g, h in zip(gradients(ours, encoder), gradients(theirs, encoder), strict=True):
        torch.testing.assert_close(g, h, rtol=1e-9, atol=1e-10)


def test_plain_is_not_symmetric_in_its_views(encoder, batch):
    swapped = Batch(batch.views.flip(0))
    assert not torch.allclose(value(Plain()(encoder, batch)), value(Plain()(encoder, swapped)))
    torch.testing.assert_close(value(SimCLR()(encoder, batch)), value(SimCLR()(encoder, swapped)))


def test_official_supcon_is_the_published_multiple(encoder, batch):
    paper, official = SupCon()(encoder, batch), SupCon(preset="official")(encoder, batch)
    torch.testing.assert_close(value(official) / value(paper), torch.tensor(0.1 / 0.07, dtype=torch.float64))


def test_supcon_with_one_image_a_label_is_simclr(encoder, batch):
    alone = Batch(batch.views, labels=torch.arange(6))
    torch.testing.assert_close(value(SupCon(temperature=0.5)(encoder, alone)), value(SimCLR()(encoder, batch)))


def test_uel_without_detached_keys_has_the_same_value_and_another_gradient(encoder, batch):
    detached, full = value(UEL()(encoder, batch)), value(UEL(detach_keys=False)(encoder, batch))
    torch.testing.assert_close(detached, full)
    pairs = zip(gradients(detached, encoder), gradients(full, encoder), strict=True)
    assert any(not torch.allclose(g, h) for g, h in pairs)


def test_supcon_without_labels_says_so(encoder, batch):
    with pytest.raises(ValueError, match="labels"):
        SupCon()(encoder, Batch(batch.views))
