"""The latent space of a run: every figure against a loop or against the parts it is made of."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sparring import latent as looking
from sparring.attacks import PGD, Linf
from sparring.config import MethodConfig
from sparring.data import load_images, make_views, pipeline
from sparring.evaluation.robust import stream
from sparring.latent import check_latent, of_a_run
from sparring.latent_selection import of_different_classes, selection_of, shown_of
from sparring.measuring import LatentConfig
from sparring.recipes.reproduce import find
from sparring.reporting.collect_latent import attacked_images, related, seen
from sparring.training import load_config, new_encoder, resolve, run_folder, train
from sparring.training.checkpoints import WEIGHTS, checkpoints
from tests.reference.divergence import divergence as divergence_by_loop
from tests.training.runs import tiny

LATENT = LatentConfig(
    images=20,
    batch_size=8,
    steps=2,
    eps=8 / 255,
    radii=[0.0, 8 / 255, 32 / 255],
    map_images=16,
    map_adversarial=6,
    anchors=2,
)


def trained(place, method, **changes):
    config = tiny(place / method, method, epochs=3)
    config.encoder.name = "python:tests.training.runs.backbone_without_dropout"
    config.method = MethodConfig(name=method, **changes)
    return train(config)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def ascl(place):
    with pytest.MonkeyPatch.context() as patched:  # a report has tests of its own
        patched.setattr(looking, "write_report", lambda run: None)
        return of_a_run(trained(place, "ascl"), {}, LATENT)


@pytest.fixture
def without_report(monkeypatch):
    monkeypatch.setattr(looking, "write_report", lambda run: None)


def read(run):
    with np.load(run / "latent.npz", allow_pickle=False) as arrays:
        return json.loads((run / "latent.json").read_text()), dict(arrays)


def model_of(run, checkpoint=None):
    config = resolve(load_config(run))
    images, test = load_images(config.data, seed=config.training.seed)
    weights = (checkpoint or checkpoints(run)[-1]) / WEIGHTS
    return new_encoder(config, 3, len(images.classes), weights=weights), images, test, config


def by_hand(run, eps, checkpoint=None):
    """R-DIV and robust accuracy with a loop over the arrays that latent.npz names."""
    encoder, _, test, _ = model_of(run, checkpoint)
    index = torch.from_numpy(read(run)[1]["index"])
    x, y = test.images[index].float() / 255, test.labels[index]
    encoder.eval()

    def attacked(part, images, labels):
        def objective(x_adv):
            return torch.nn.functional.cross_entropy(encoder.outputs(x_adv).logits, labels, reduction="none")

        generator = torch.Generator().manual_seed(stream(LATENT.seed, part))
        return PGD(Linf(eps), LATENT.steps)(objective, images, generator=generator)

    parts = enumerate(zip(x.split(8), y.split(8), strict=True))
    x_adv = torch.cat([attacked(n, *part) for n, part in parts]) if eps else x
    clean, adv = encoder.outputs(x), encoder.outputs(x_adv)
    intra, inter = divergence_by_loop(clean.h.tolist(), adv.h.tolist(), y.tolist(), LATENT.batch_size)
    right = (clean.logits.argmax(1) == y) & (adv.logits.argmax(1) == y)
    return intra, inter, right.double().mean().item()


@pytest.mark.parametrize("which", ["clean", "adversarial"])
def test_divergences_and_robust_accuracy_are_those_of_a_loop(ascl, which):
    entry = read(ascl)[0]["divergence"][which]
    intra, inter, robust = by_hand(ascl, LATENT.eps if which == "adversarial" else 0)
    assert (entry["intra_adv"], entry["inter_adv"]) == pytest.approx((intra, inter), rel=1e-4)
    assert entry["r_div"] == pytest.approx(intra / inter, rel=1e-4)
    assert entry["robust"]["accuracy"] == robust and entry["robust"]["n"] == 20


def test_every_radius_and_every_kept_checkpoint_is_measured(ascl):
    written = read(ascl)[0]
    strengths, epochs = written["strengths"], written["epochs"]
    assert strengths["eps"] == LATENT.radii
    assert strengths["r_div"][:2] == [written["divergence"][key]["r_div"] for key in ("clean", "adversarial")]
    intra, inter, robust = by_hand(ascl, 32 / 255)
    assert strengths["r_div"][2] == pytest.approx(intra / inter, rel=1e-4)
    assert strengths["robust_accuracy"][2] == robust
    assert epochs["epoch"] == [1, 2, 3] and epochs["checkpoint"] == ["epoch-0001", "epoch-0002", "epoch-0003"]
    assert epochs["r_div"][2] == written["divergence"]["adversarial"]["r_div"]
    intra, inter, robust = by_hand(ascl, LATENT.eps, checkpoints(ascl)[0])
    assert epochs["r_div"][0] == pytest.approx(intra / inter, rel=1e-4)
    assert epochs["robust_accuracy"][0] == robust
    assert epochs["r_div"][0] != epochs["r_div"][1]


def test_every_image_is_attacked_also_a_wrong_one_and_stays_in_its_ball(ascl):
    encoder, _, test, _ = model_of(ascl)
    model = looking.OnFeatures(encoder, encoder.classifier)
    x, y = test.images.float() / 255, test.labels
    x_adv = attacked_images(model, x, y, PGD(Linf(8 / 255), 3), batch_size=8)
    before, after = (
        torch.nn.functional.cross_entropy(seen(model, images).logits, y, reduction="none") for images in (x, x_adv)
    )
    assert (seen(model, x).logits.argmax(1) != y).any()
    assert (after > before).all()
    assert (x_adv - x).abs().max() <= 8 / 255 + 1e-6 and x_adv.min() >= 0 and x_adv.max() <= 1
    assert encoder.training  # its own mode is left alone


def test_robust_is_right_before_and_after():
    logits = torch.eye(3)[[0, 1, 2, 0]]

    class Certain(torch.nn.Module):  # right on every image, whatever is done to it
        def represent(self, x, domain="clean"):
            return logits[: len(x)] + 0 * x.mean()

    model, y = looking.OnFeatures(Certain(), torch.nn.Identity()), torch.tensor([0, 1, 2, 0])
    before = seen(model, torch.rand(4, 3, 2, 2))
    wrong_before = replace(before, logits=logits.roll(1, dims=0))
    found = looking.point(model, torch.rand(4, 3, 2, 2), y, LATENT, 8 / 255, clean=wrong_before).entry
    assert (found["clean"]["correct"], found["robust"]["correct"]) == (1, 1)


def test_counts_are_those_that_training_logged(ascl):
    counts = read(ascl)[0]["counts"]
    records = [json.loads(line) for line in (ascl / "metrics.jsonl").read_text().splitlines()]
    assert counts["epoch"] == [1, 2, 3] and counts["pairs"] == "leaked"
    assert counts["negatives"] == [r["clean_negatives"] + r["adversarial_negatives"] for r in records]
    assert counts["adversarial_positives"] == [r["adversarial_positives"] for r in records]


def test_the_map_is_of_the_first_images_and_says_how_sure_predictions_are(ascl):
    written, arrays = read(ascl)
    assert arrays["map_position"].shape == (16, 2) and arrays["map_position_adv"].shape == (6, 2)
    encoder, _, test, _ = model_of(ascl)
    x = test.images[torch.from_numpy(arrays["index"][:16])].float() / 255
    shares = encoder.eval().outputs(x).logits.softmax(1)
    entropy = -(shares * shares.log()).sum(1) / np.log(shares.shape[1])
    assert arrays["map_entropy"] == pytest.approx(entropy.detach().numpy(), rel=1e-4)
    assert written["map"]["entropy"] == pytest.approx(entropy.mean().item(), rel=1e-4)
    assert written["map"]["perplexity"] == 7  # a third of the other points


def test_the_selection_is_that_of_the_paper_on_the_same_mini_batch_at_every_checkpoint(ascl):
    written, arrays = read(ascl)
    of = written["selection"]
    assert [at["checkpoint"] for at in of["checkpoints"]] == ["epoch-0001", "epoch-0002", "epoch-0003"]
    assert len({anchor["class"] for anchor in of["anchors"]}) == 2
    for number, checkpoint in enumerate(checkpoints(ascl)):
        encoder, images, _, config = model_of(ascl, checkpoint)
        index = torch.randperm(64, generator=looking.seeded(0, "latent selection"))[:16]
        x = make_views(images.images[index], pipeline("simclr", 8), seed=0, epoch=0, step=0)[0]
        y, encoder = images.labels[index], encoder.train()

        def objective(x_adv, encoder=encoder, y=y):
            return torch.nn.functional.cross_entropy(encoder.outputs(x_adv).logits, y, reduction="none")

        attack = PGD(Linf(config.attack.eps), config.attack.steps, config.attack.step_size)
        x_adv = attack(objective, x, generator=torch.Generator().manual_seed(stream(0, 0)))
        predicted = torch.cat([encoder.outputs(rows).logits.argmax(1) for rows in (x, x_adv)]).tolist()
        pictures = torch.cat([x, x_adv])
        for place, anchor in enumerate(of["anchors"]):
            a = anchor["row"]
            chosen = {
                "clean_positives": [],
                "adversarial_positives": [],
                "clean_negatives": [],
                "adversarial_negatives": [],
            }
            for j in range(32):
                copy = "clean" if j < 16 else "adversarial"
                same, alike, own = y[j % 16] == y[a], predicted[j] == predicted[a], j % 16 == a
                if j != a and same and (alike or own):
                    chosen[f"{copy}_positives"].append(j)
                elif not same and alike:
                    chosen[f"{copy}_negatives"].append(j)
            assert of["checkpoints"][number]["anchors"][place] == {key: len(rows) for key, rows in chosen.items()}
            for key, rows in chosen.items():
                shown = arrays[f"selection_{number}_{place}_{key}"]
                assert np.abs(shown - 255 * pictures[rows[:7]].numpy()).max(initial=0) <= 0.5 + 1e-3
            assert anchor["image"] == index[a] and anchor["class"] == images.classes[int(y[a])]


def test_a_selector_of_two_augmentations_sees_both(place):
    config = resolve(replace(tiny(place / "unused", "org_scl"), method=MethodConfig(name="org_scl", pairs="hard")))
    encoder = new_encoder(config, 3, 4)
    views = torch.rand(2, 6, 3, 8, 8)
    images, masks = selection_of(config, encoder, views, torch.tensor([0, 1, 2, 0, 1, 2]), seed=0)
    assert torch.equal(torch.stack(images), views) and masks.positive.shape == (12, 12)


def test_anchors_are_of_different_classes_as_long_as_there_are_any():
    labels = torch.tensor([2, 2, 0, 2, 1, 0])
    assert of_different_classes(labels, 2) == [0, 2]
    assert of_different_classes(labels, 5) == [0, 2, 4, 1, 3]


def test_the_selection_is_shown_at_the_papers_epochs():
    def shown(epochs, middle):
        return [int(each.name[-4:]) for each in shown_of([Path(f"epoch-{epoch:04}") for epoch in epochs], middle)]

    share = find("ascl.figure9").latent.middle
    assert shown(range(1, 201), share) == [1, 30, 200]
    assert shown(range(1, 9), share) == [1, 2, 8]  # 1.2 of 8, and the first is shown anyway
    # in the middle of the kept ones where they are evenly spaced
    for last in range(1, 12):
        kept = list(range(10, 10 * last + 1, 10))
        assert shown(kept, LatentConfig().middle) == sorted({kept[0], kept[(last - 1) // 2], kept[-1]})
    assert shown(range(1, 9), 0.0) == [1, 2, 8] and shown(range(1, 9), 1.0) == [1, 7, 8]


def test_the_same_command_gives_the_same_files_and_keeps_the_earlier_ones(ascl, tmp_path, without_report):
    run = shutil.copytree(ascl, tmp_path / "run")
    before, arrays = read(run)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    of_a_run(run, {}, LATENT)
    assert torch.equal(torch.get_rng_state(), state)
    after, now = read(run)
    earlier = json.loads((run / "latent-1.json").read_text())
    for written in (before, after, earlier):
        written.pop("environment")  # names the commit, which another hand may move meanwhile
    assert before == after == earlier and arrays.keys() == now.keys()
    assert all(np.array_equal(arrays[name], now[name]) for name in arrays)
    of_a_run(checkpoints(run)[0], {}, replace(LATENT, epochs=False))
    first = read(run)[0]
    assert first["divergence"]["adversarial"]["r_div"] == before["epochs"]["r_div"][0]
    assert first["subject"]["checkpoint"] == "epoch-0001"
    assert "latent.epochs is false" in first["epochs"]["left_out"]
    assert (run / "latent-2.json").is_file() and (run / "latent-2.npz").is_file()
    assert all(run_folder.is_ours(path) for path in run.iterdir())


def test_another_seed_is_another_draw_in_another_order(ascl):
    _, images, test, config = model_of(ascl)
    looks = [looking.Look.at(config, replace(LATENT, seed=s), images, test, "own", None) for s in (0, 0, 1)]
    assert torch.equal(looks[0].index, looks[1].index) and not torch.equal(looks[0].index, looks[2].index)
    assert not torch.equal(
        looks[0].index, looks[0].index.sort().values
    )  # mini-batches of ascending ones hold one class
    assert looks[0].index.tolist() == read(ascl)[1]["index"].tolist()


@pytest.mark.parametrize(
    ("method", "changes", "subject", "counts", "selection"),
    [
        ("natural", {}, "own v1", "natural logs no numbers", "natural selects no pairs"),
        ("simclr", {}, "logistic v1", "simclr logs no numbers", "simclr selects pairs by same_image, which asks no"),
        ("org_scl", {}, "own v1", "org_scl logs no numbers", "org_scl selects pairs by same_label, which asks no"),
    ],
)
def test_what_a_run_does_not_have_is_said(place, method, changes, subject, counts, selection, without_report):
    run = of_a_run(trained(place, method, **changes), {}, replace(LATENT, epochs=method == "simclr"))
    written, arrays = read(run)
    assert written["subject"]["fitted"]["protocol"] == subject
    assert written["counts"]["left_out"].startswith(counts)
    assert written["selection"]["left_out"].startswith(selection)
    assert not [name for name in arrays if name.startswith("selection")]
    if method == "simclr":
        assert len(set(written["epochs"]["r_div"])) == 3
        with pytest.raises(ValueError, match=r"latent\.classifier is own, but simclr trains no classifier"):
            of_a_run(run, {}, replace(LATENT, classifier="own"))
        of_a_run(run, {}, replace(LATENT, classifier="knn", epochs=False))
        assert read(run)[0]["subject"]["fitted"]["protocol"].startswith("knn")


def test_a_checkpoint_inside_an_epoch_stands_between_two(ascl, tmp_path, without_report):
    run = shutil.copytree(ascl, tmp_path / "run")
    (run / "checkpoints" / "epoch-0003").rename(run / "checkpoints" / "epoch-0002-step-00001")
    of_a_run(run, {}, LATENT)
    assert read(run)[0]["epochs"]["epoch"] == [1, 2, 2.25]


def test_images_without_labels_and_damaged_checkpoints_are_refused(ascl, tmp_path, monkeypatch, without_report):
    run = shutil.copytree(ascl, tmp_path / "run")
    before = (run / "latent.json").read_bytes()
    real = load_images

    def unlabelled(*words, **settings):
        train, test = real(*words, **settings)
        return train, replace(test, labels=None)

    monkeypatch.setattr(looking, "load_images", unlabelled)
    with pytest.raises(ValueError, match="the test images of synthetic have no labels: there are no classes"):
        of_a_run(run, {}, LATENT)
    with (run / "checkpoints" / "epoch-0001" / WEIGHTS).open("ab") as file:
        file.write(b"x")
    with pytest.raises(ValueError, match="epoch-0001 is damaged"):
        of_a_run(run, {}, LATENT)
    assert (run / "latent.json").read_bytes() == before and not (run / "latent-9.json").exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"images": 3}, "latent.images must be at least 4, not 3"),
        ({"batch_size": 1}, "latent.batch_size must be at least 2"),
        ({"steps": 0}, "latent.steps must be at least 1"),
        ({"eps": 0.0}, "latent.eps must be more than 0, such as 8/255, not 0"),
        ({"eps": 8.0}, "latent.eps must be smaller than the range of an image, not 8 "),
        ({"step_size": -0.1}, "latent.step_size must be more than 0"),
        ({"radii": [0.1, -0.1]}, "latent.radii must be at least 0"),
        ({"map_images": 1}, "latent.map_images must be at least 4"),
        ({"map_adversarial": 0}, "latent.map_adversarial must be at least 1"),
        ({"anchors": -1}, "latent.anchors must be at least 0"),
        ({"seed": -1}, "latent.seed must be at least 0"),
        ({"middle": 1.5}, "latent.middle is a share of the training, between 0 and 1, not 1.5"),
    ],
)
def test_settings_that_measure_nothing_are_one_sentence(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        check_latent(replace(LATENT, **changes))


def test_a_mini_batch_without_two_of_a_class_is_refused_before_any_work(ascl, monkeypatch, without_report):
    monkeypatch.setattr(looking.Look, "model", None)  # would fail otherwise
    with pytest.raises(ValueError, match=r"latent\.images is 4 in mini-batches of latent\.batch_size 8; labels: no"):
        of_a_run(ascl, {}, replace(LATENT, images=4))


@pytest.mark.parametrize(
    ("r_div", "robust", "sentence"),
    [
        ([0.5, 0.4], [0.1, 0.2], "R-DIV and robust accuracy have 2 points: a correlation needs at least 3"),
        ([0.5, None, 0.4], [0.1, 0.2, 0.3], "R-DIV has values that are not finite: nan"),
        ([0.5, 0.4, 0.3], [0.2, 0.2, 0.2], "robust accuracy is 0.2 at every point"),
    ],
)
def test_where_there_is_no_correlation_it_says_why(r_div, robust, sentence):
    assert related(r_div, robust)["left_out"].startswith(sentence)


def test_a_correlation_is_of_r_div_with_robust_accuracy():
    found = related([0.9, 0.7, 0.6, 0.5], [0.1, 0.2, 0.4, 0.3])
    assert found["spearman"] == pytest.approx(-0.8) and found["n"] == 4
