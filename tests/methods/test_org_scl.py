"""orgSCL: the original supervised contrastive loss beside cross-entropy, no adversary anywhere."""

import torch

from sparring.methods import OrgSCL
from sparring.types import Batch
from tests.methods.supervised import LABELS, assert_equal_with_gradients, encoder, total  # noqa: F401
from tests.reference import adversarial, supervised


def test_total_and_gradients_equal_the_loops(encoder):  # noqa: F811
    generator = torch.Generator().manual_seed(2)
    batch = Batch(torch.rand(2, 6, 3, 6, 6, generator=generator, dtype=torch.float64), labels=LABELS)
    terms = OrgSCL(temperature=0.2, lambda_scl=0.7)(encoder, batch)
    assert list(terms) == ["clean", "scl"]
    a, b = (encoder.outputs(view) for view in batch.views)
    sets = supervised.table_1(LABELS.tolist(), [0] * 12, "global")
    scl = adversarial.scl(torch.cat([a.z, b.z]), *sets, 0.2, "cosine")
    assert_equal_with_gradients(total(terms), supervised.cross_entropy(a.logits, LABELS) + 0.7 * scl, encoder)
    assert {domain for domain, _ in encoder.calls} == {"clean"}
    assert all(wanted for _, wanted in encoder.calls)
