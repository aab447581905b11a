from __future__ import annotations

import pytest
import torch

from sparring.evaluation import AFF, CleanFinetuning, Semi1, Semi10, SemiSupervised
from tests.evaluation.finetuned import encoder, shades


def test_labels_are_a_balanced_seeded_draw():
    labels = torch.arange(3000) % 3
    chosen = Semi1("adv").labelled(labels, 3)
    assert torch.bincount(labels[chosen]).tolist() == [10, 10, 10]
    assert torch.equal(chosen, chosen.sort().values) and torch.equal(chosen, Semi1("adv").labelled(labels, 3))
    assert not torch.equal(chosen, Semi1("adv", seed=1).labelled(labels, 3))
    assert torch.bincount(labels[Semi10("adv").labelled(labels, 3)]).tolist() == [100, 100, 100]
    rare = torch.cat([torch.zeros(298, dtype=torch.int64), torch.tensor([1, 2])])
    assert torch.bincount(rare[Semi1("adv").labelled(rare, 3)]).tolist() == [1, 1, 1]


def test_every_class_needs_a_label():
    with pytest.raises(
        ValueError,
        match="semi-1: 1 % of 200 training images are 2 labels, fewer than the 3 classes; at least 300 training images",
    ):
        Semi1("adv").labelled(torch.arange(200) % 3, 3)
    with pytest.raises(ValueError, match="semi-10: class 3 has no training image; every class needs a label"):
        Semi10("adv").labelled(torch.arange(200) % 3, 4)
    with pytest.raises(ValueError, match="semi-1: 1 % of 60"):
        Semi1("adv").fit(encoder(), *shades(60))
    with pytest.raises(ValueError, match=r"SemiSupervised: fraction is 1\.0; it must lie between 0 and 1"):
        SemiSupervised("adv", fraction=1.0)


def test_targets_are_labels_where_there_are_and_the_teacher_elsewhere():
    images, labels = shades(60)
    protocol = Semi10("adv")
    chosen = protocol.labelled(labels, 3)
    made = encoder()
    teacher = CleanFinetuning("clean", epochs=2).fit(made, images[chosen], labels[chosen])
    targets = protocol.targets(teacher, images, labels, chosen, 3)
    expected = teacher(images.float() / 255).softmax(1).detach()
    for i in range(60):
        if i in chosen:
            assert targets[i].tolist() == [float(k == labels[i]) for k in range(3)]
        else:
            torch.testing.assert_close(targets[i], expected[i])
            assert targets[i].max() < 1


def test_labels_outside_the_draw_are_never_looked_at(monkeypatch):
    images, labels = shades(60)
    chosen = Semi10("adv").labelled(labels, 3)
    monkeypatch.setattr(Semi10, "labelled", lambda self, labels, classes: chosen)
    hidden = (labels + 1) % 3
    hidden[chosen] = labels[chosen]
    models = [Semi10("adv", epochs=2).fit(encoder(), images, y) for y in (labels, hidden)]
    for (name, value), other in zip(models[0].state_dict().items(), models[1].state_dict().values(), strict=True):
        assert torch.equal(value, other), name


def test_the_student_sees_all_images_and_the_teacher_only_the_labelled(monkeypatch):
    images, labels = shades(60)
    seen = []
    for kind in (AFF, CleanFinetuning):
        loss = kind.loss

        def watched(self, model, x, y, starts, loss=loss):
            seen.append((self.name, len(x), y.ndim))
            return loss(self, model, x, y, starts)

        monkeypatch.setattr(kind, "loss", watched)
    Semi10("adv", epochs=3).fit(encoder(), images, labels)
    teacher = [(name, n, dim) for name, n, dim in seen if name == "finetune"]
    assert teacher == [("finetune", 6, 1)] * 5 and seen[5:] == [("semi-10", 60, 2)] * 3


def test_settings():
    assert (Semi1("adv").epochs, Semi1("adv").milestones, Semi1("adv").fraction) == (15, (9, 12), 0.01)
    assert Semi10("adv").settings["teacher"] == CleanFinetuning("clean").settings
    assert Semi10("adv", seed=3).teacher == CleanFinetuning("clean", seed=3)
    assert Semi10("adv").shortened(3).teacher.label == "finetune v1, 5 of 25 epochs"
    assert Semi10("adv").shortened(3).label == "semi-10 v1, 3 of 15 epochs"
