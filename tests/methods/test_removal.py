"""False negatives removed in whole methods: the same pairs in attack and loss, chosen once, against loops."""

from dataclasses import replace

import pytest
import torch

from sparring.attacks import FGSM, PGD, Linf
from sparring.methods import CLAE, UEL, Plain, SimCLR, SupCon
from sparring.pairs import Frequency, Precision, PseudoLabels, Recall, fixed, same_image, same_label
from sparring.types import Batch
from tests.methods.networks import SmallEncoder
from tests.reference import contrastive
from tests.reference import false_negatives as reference

IMAGES = 6
T = 0.5


@pytest.fixture
def encoder():
    return SmallEncoder().double().train()


def new_batch(**known):
    generator = torch.Generator().manual_seed(1)
    views = torch.rand(2, IMAGES, 3, 6, 6, generator=generator, dtype=torch.float64)
    return Batch(views, shared_generator=torch.Generator().manual_seed(2), **known)


def loop_masks(z, count):
    """Positives and keys of [a; b] without the `count` images nearest to each anchor, as nested lists."""
    image = list(range(IMAGES)) * 2
    rows = range(2 * IMAGES)
    positive = [[r != i and image[r] == image[i] for r in rows] for i in rows]
    gone = [reference.removed_rows(z.tolist(), image, i, count, "instance") for i in rows]
    return positive, [[r != i and r not in gone[i] for r in rows] for i in rows]


def gradients(total, encoder):
    return torch.autograd.grad(total, list(encoder.parameters()), allow_unused=True)


def assert_equal(ours, theirs):
    for g, h in zip(ours, theirs, strict=True):
        torch.testing.assert_close(g, h, rtol=1e-8, atol=1e-11)


def test_simclr_with_precision_is_the_loop_with_its_gradients(encoder):
    batch = new_batch(epoch=5)
    (loss,) = SimCLR(pairs=Precision(every=2))(encoder, batch).values()
    z = torch.cat([encoder(batch.views[0]), encoder(batch.views[1])])
    expected = contrastive.sup_con_out(z, z, *loop_masks(z, 2), T)
    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=1e-12)
    assert_equal(gradients(loss, encoder), gradients(expected, encoder))
    full = SimCLR()(encoder, batch)["nt_xent"]
    assert full > loss + 0.1


def test_resampling_enters_the_loss_as_weights(encoder):
    """Fewer keys that weigh more: between the loss without the removed and that with all."""
    losses = [
        SimCLR(pairs=Recall(replacement=replacement))(encoder, new_batch())["nt_xent"].item()
        for replacement in ("none", "resample", "rescale")
    ] + [SimCLR()(encoder, new_batch())["nt_xent"].item()]
    assert losses[0] < min(losses[1:3])
    assert max(losses[1:3]) < losses[3]  # the removed were the nearest
    assert losses[1] != losses[2]


def test_supcon_of_clusters_is_supcon_of_labels(encoder):
    clusters = torch.tensor([0, 1, 0, 2, 1, 0])
    ours = SupCon(pairs=PseudoLabels())(encoder, new_batch(pseudo_labels=clusters, labels=torch.arange(IMAGES)))
    theirs = SupCon()(encoder, new_batch(labels=clusters))
    assert torch.equal(ours["supcon"], theirs["supcon"])


def clae_loop(encoder, views, count, steps):
    """CLAE over SimCLR: masks from the clean views alone; a' (and the copy) takes the place of a."""
    a, b = views
    z_a, z_b = encoder(a), encoder(b)
    positive, contrast = loop_masks(torch.cat([z_a, z_b]), count)
    rows, of_a = range(2 * IMAGES), list(range(IMAGES)) * 2
    positive_adv = [[r != i and of_a[r] == of_a[i] for r in rows] for i in rows]
    contrast_adv = [[positive_adv[i][r] or contrast[of_a[i]][of_a[r]] for r in rows] for i in rows]
    constant, a_adv = encoder(a, "adv").detach(), a
    for _ in range(steps):
        a_adv = a_adv.detach().requires_grad_()
        z = torch.cat([constant, encoder(a_adv, "adv")])
        objective = contrastive.sup_con_out(z, z, positive_adv, contrast_adv, T)
        (gradient,) = torch.autograd.grad(objective, a_adv)
        a_adv = (a + (a_adv + 0.01 * gradient.sign() - a).clamp(-0.02, 0.02)).clamp(0, 1)
    z, z_adv = torch.cat([z_a, z_b]), torch.cat([z_a, encoder(a_adv.detach(), "adv")])
    clean = contrastive.sup_con_out(z, z, positive, contrast, T)
    return clean, contrastive.sup_con_out(z_adv, z_adv, positive_adv, contrast_adv, T)


@pytest.mark.parametrize("steps", [1, 3])
def test_clae_with_precision_is_the_loop_with_the_same_pairs_in_attack_and_loss(encoder, steps):
    batch = new_batch(epoch=4)
    attack = PGD(Linf(0.02), steps=steps, step_size=0.01, random_start=False)
    terms = CLAE(SimCLR(pairs=Precision(every=2)), attack)(encoder, batch)
    clean, adversarial = clae_loop(encoder, batch.views, 2, steps)
    torch.testing.assert_close(terms["clean"], clean, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(terms["adversarial"], adversarial, rtol=1e-8, atol=1e-10)
    assert_equal(gradients(terms["clean"] + terms["adversarial"], encoder), gradients(clean + adversarial, encoder))


@pytest.mark.parametrize("base", [SimCLR, UEL, Plain, SupCon])
def test_a_selector_is_asked_once_a_mini_batch_with_the_clean_views(base, encoder, monkeypatch):
    asked = []

    def watched(self, rows):
        asked.append(rows)
        return call(self, rows)

    call = Recall.__call__
    monkeypatch.setattr(Recall, "__call__", watched)
    batch = new_batch(labels=torch.arange(IMAGES) % 3)
    method = CLAE(base(pairs=Recall(replacement="resample")), PGD(Linf(0.02), steps=3))
    method(encoder, batch)
    assert len(asked) == 1
    torch.testing.assert_close(asked[0].z, torch.cat([encoder(x) for x in batch.views]).detach())
    assert not asked[0].z.requires_grad
    assert batch.counts["removed"] == 6 and 0 <= batch.counts["removal_precision"] <= 1


@pytest.mark.parametrize("base", [SimCLR, UEL, Plain, SupCon])
def test_views_by_themselves_are_refused_where_a_view_stands_for_another(base):
    with pytest.raises(ValueError, match=r"unit is 'view', but in CLAE one view stands for another.* unit 'instance'"):
        CLAE(base(pairs=Recall(unit="view")))


def test_other_selectors_are_asked_for_every_loss(encoder):
    asked = []

    def watched(rows):
        asked.append(rows)
        return same_image(rows)

    CLAE(SimCLR(pairs=watched), FGSM(Linf(0.02)))(encoder, new_batch())
    assert len(asked) == 3


@pytest.mark.parametrize("base", [SimCLR(), UEL(), Plain()], ids=lambda base: type(base).__name__)
def test_nothing_removed_changes_nothing(base, encoder):
    """Precision in the first epoch, through the fixed pairs, to the bit."""
    ours = CLAE(replace(base, pairs=Precision()))(encoder, new_batch())
    theirs = CLAE(base)(encoder, new_batch())
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


@pytest.mark.parametrize("method", [SimCLR, UEL, Plain])
def test_true_labels_only_count(method, encoder):
    built = CLAE(method(pairs=Recall(replacement="resample")))
    known, other, unknown = (
        new_batch(labels=torch.arange(IMAGES) % 2),
        new_batch(labels=torch.zeros(6).long()),
        new_batch(),
    )
    terms = [built(encoder, batch) for batch in (known, other, unknown)]
    for key in terms[0]:
        assert torch.equal(terms[0][key], terms[1][key]) and torch.equal(terms[0][key], terms[2][key])
    assert known.counts["removal_precision"] != other.counts["removal_precision"] == 1
    assert "removal_precision" not in unknown.counts


def test_fixed_pairs_stay_when_embeddings_move(encoder):
    batch = new_batch()
    rows = batch.rows(torch.cat([encoder(x) for x in batch.views]), views=2)
    chosen = fixed(Frequency(3)(rows))
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(8))
    moved = batch.rows(torch.cat([encoder(x) for x in batch.views]), views=2)
    assert torch.equal(chosen(moved).contrast, chosen(rows).contrast)
    assert not torch.equal(Frequency(3)(moved).contrast, chosen(rows).contrast)


def test_the_rule_of_labels_removes_every_false_negative_from_same_image(encoder):
    """What pseudo-labels would do if clusters were classes: precision and recall 1."""
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    batch = new_batch(labels=labels, pseudo_labels=labels)
    SimCLR(pairs=PseudoLabels())(encoder, batch)
    assert (batch.counts["removal_precision"], batch.counts["removal_recall"]) == (1, 1)
    assert batch.counts["removed"] == 2
    assert torch.equal(
        PseudoLabels()(batch.rows(torch.rand(12, 2), 2)).positive, same_label(batch.rows(torch.rand(12, 2), 2)).positive
    )
