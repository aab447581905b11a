"""Runs without suspected false negatives: settings, refusals, exact resumption, true labels, pseudo-labels in two stages."""

import json
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.cluster import KMeans

from sparring.config import DataConfig, MethodConfig, OptimizerConfig, RemovalConfig, RunConfig
from sparring.data import Batches, load_images
from sparring.listing import pairs
from sparring.methods import CLAE, SimCLR
from sparring.pairs import Frequency, Precision, PseudoLabels, Recall
from sparring.training import Stopped, build_method, latest, load_config, new_encoder, resolve, train
from sparring.training.module import ContrastiveModule
from sparring.training.pseudo_labels import agreement, stage_1_config
from sparring.training.run_folder import load_pseudo_labels
from tests.training.runs import tiny


def config_of(method="simclr", pairs=None, data="digits", **removal):
    return RunConfig(MethodConfig(method, pairs=pairs), data=DataConfig(data), removal=RemovalConfig(**removal))


def tiny_removal(out, pairs, method="simclr", training=None, **removal):
    config = tiny(out, method=method, **({"epochs": 2, "probe_every": 0} | (training or {})))
    config.method.pairs, config.removal = pairs, RemovalConfig(**removal)
    return config


def records(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("seconds", "images_per_second")} for line in lines]


def weights(run):
    return load_file(latest(run) / "weights.safetensors")


def same_weights(ours, theirs):
    a, b = weights(ours), weights(theirs)
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def assert_same_run(ours, theirs):
    assert same_weights(ours, theirs)
    assert records(ours) == records(theirs)


BUILT = [
    (config_of(pairs="frequency"), Frequency(10)),
    (config_of(pairs="frequency", data="cifar100"), Frequency(100)),
    (config_of(pairs="frequency", data="folder", classes=7, unit="view"), Frequency(7, unit="view")),
    (config_of(pairs="precision"), Precision(100)),
    (config_of(pairs="precision", every=3, replacement="rescale"), Precision(3, replacement="rescale")),
    (config_of(pairs="recall"), Recall(75, 16)),
    (config_of(pairs="recall", every=5, parts=8, unit="view"), Recall(5, 8, unit="view")),
    (config_of(pairs="pseudo_labels", replacement="resample"), PseudoLabels("resample")),
    (config_of("rocl", pairs="precision"), Precision(100, replacement="resample")),
    (config_of("acl", pairs="recall"), Recall(75, 16, replacement="resample")),
    (config_of("acl", pairs="recall", replacement="none"), Recall(75, 16)),
    (config_of("acl", pairs="recall", unit="view"), Recall(75, 16, unit="view", replacement="resample")),
]


@pytest.mark.parametrize(("config", "selector"), BUILT, ids=lambda x: getattr(x, "method", x) and None)
def test_settings_are_filled_in_and_resolve_to_themselves(config, selector):
    if config.data.name == "folder":
        config = replace(config, data=DataConfig("folder", root="images"))
    resolved = resolve(config)
    assert resolve(resolved) == resolved
    assert build_method(resolved).pairs == selector
    for key, value in vars(selector).items():
        assert getattr(resolved.removal, key) == value
    assert resolved.method.pairs == config.method.pairs


def test_clae_takes_its_bases_pairs():
    method = build_method(resolve(config_of("clae", pairs="precision", every=4)))
    assert isinstance(method, CLAE) and method.base == SimCLR(pairs=Precision(4))


REFUSED = {
    r"removal\.every is 5, but method\.pairs is not set; it belongs to method\.pairs precision or recall": config_of(
        every=5
    ),
    r"removal\.parts is 4, but method\.pairs is precision; it belongs to method\.pairs recall": config_of(
        pairs="precision", parts=4
    ),
    r"removal\.classes is 3, but method\.pairs is recall; .* method\.pairs frequency": config_of(
        pairs="recall", classes=3
    ),
    r"removal\.clusters is 5, but method\.pairs is same_image; .* pseudo_labels": config_of(
        pairs="same_image", clusters=5
    ),
    r"removal\.stage_1 is 'x', but method\.pairs is frequency": config_of(pairs="frequency", stage_1="x"),
    r"removal\.unit is 'view', but method\.pairs is pseudo_labels; .* frequency or precision or recall": config_of(
        pairs="pseudo_labels", unit="view"
    ),
    r"removal\.replacement is 'none', but method\.pairs is not set": config_of(replacement="none"),
    r"removal\.every must be at least 1, not 0": config_of(pairs="recall", every=0),
    r"removal\.parts must be at least 1, not 0": config_of(pairs="recall", parts=0),
    r"removal\.classes must be at least 1, not -1": config_of(pairs="frequency", classes=-1),
    r"removal\.clusters must be at least 2, not 1": config_of(pairs="pseudo_labels", clusters=1),
    r"removal\.unit is 'view', but in rocl one view stands for another, so that only whole images": config_of(
        "rocl", pairs="frequency", unit="view"
    ),
    r"removal\.unit is 'view', but in clae one view .* choose instance": config_of("clae", pairs="recall", unit="view"),
    r"removal\.classes must be given with method\.pairs frequency and data\.name folder": config_of(
        pairs="frequency", data="folder"
    ),
    r"method\.pairs is precision, which suspects false negatives where there are no labels, but ascl has labels": config_of(
        "ascl", pairs="precision"
    ),
    r"method\.pairs is 'precision', but natural has no such option": config_of("natural", pairs="precision"),
    r"method\.pairs must be one of same_image, .* not 'precison'; did you mean 'precision'": config_of(
        pairs="precison"
    ),
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_what_does_not_fit_is_one_sentence(sentence):
    with pytest.raises(ValueError, match=sentence):
        resolve(REFUSED[sentence])


def test_unknown_words_in_python_are_refused_too():
    config = config_of(pairs="recall")
    object.__setattr__(config.removal, "unit", "image")
    with pytest.raises(ValueError, match=r"removal\.unit must be one of instance, view, not 'image'"):
        resolve(config)


def test_the_list_knows_them():
    assert {"frequency", "precision", "recall", "pseudo_labels"} < set(pairs())
    assert pairs()["precision"].startswith("Precision strategy: without the k nearest images")


def test_labels_are_not_needed():
    from sparring.training import needs_labels

    for name, _ in BUILT[3:6]:
        assert not needs_labels(resolve(name))
    assert not needs_labels(resolve(config_of("supcon", pairs="pseudo_labels")))
    assert needs_labels(resolve(config_of("supcon")))


@pytest.mark.parametrize(("base", "instead"), [(None, "simclr"), ("supcon", "clae --base simclr")])
@pytest.mark.parametrize("pairs", ["frequency", "precision", "recall"])
def test_supcon_on_pairs_without_labels_is_refused(pairs, base, instead):
    config = config_of("supcon" if base is None else "clae", pairs=pairs)
    config.method.base = base
    with pytest.raises(ValueError, match=f"method.pairs is {pairs}, .* but supcon .*: train {instead} --pairs {pairs}"):
        resolve(config)


def test_the_removal_is_counted_in_the_metrics(tmp_path):
    lines = records(train(tiny_removal(tmp_path / "run", "precision", every=1)))
    assert [line["removed"] for line in lines] == [0, 2]  # rows an anchor: both views of floor(t / 1) images
    assert [line["removal_precision"] == 1 for line in lines] == [True, False]
    assert lines[0]["removal_recall"] == 0 < lines[1]["removal_recall"] < 1


def test_true_labels_never_change_a_weight(tmp_path, monkeypatch):
    """The same run with the labels, which are counted, and without."""

    def run(name, change):
        def changed(train_images, *rest, **settings):
            return Batches(replace(train_images, labels=change(train_images.labels)), *rest, **settings)

        monkeypatch.setattr("sparring.training.fit.Batches", changed)
        return train(tiny_removal(tmp_path / name, "recall", "clae", every=1, replacement="resample"))

    other, unknown = run("other", lambda y: y.flip(0)), run("none", lambda y: None)
    assert same_weights(other, unknown)
    assert [line["removed"] for line in records(other)] == [line["removed"] for line in records(unknown)] == [16, 14]
    assert [0 < records(other)[-1]["removal_precision"] < 1, "removal_precision" in records(unknown)[-1]] == [
        True,
        False,
    ]


def stop_at(monkeypatch, epoch, step, first_stage=None):
    """A training step is asked to stop: in any run, or in the first (or not the first) of two stages."""
    training_step = ContrastiveModule.training_step

    def signalled(module, batch, batch_index):
        here = first_stage is None or (module.pseudo_labels is None) == first_stage
        if here and (module.epoch, module.step_in_epoch(batch_index)) == (epoch, step):
            signal.raise_signal(signal.SIGTERM)
        return training_step(module, batch, batch_index)

    monkeypatch.setattr(ContrastiveModule, "training_step", signalled)


def test_resampled_pairs_in_attack_and_loss_resume_to_the_bit(tmp_path, monkeypatch):
    def config(name):
        return tiny_removal(tmp_path / name, "recall", "clae", every=1, replacement="resample")

    whole = train(config("whole"))
    with monkeypatch.context() as patch:
        stop_at(patch, 1, 1)
        with pytest.raises(Stopped):
            train(config("run"))
    assert latest(tmp_path / "run").name == "epoch-0001-step-00002"
    assert_same_run(train(RunConfig(resume=str(tmp_path / "run"))), whole)


def pseudo(out, **removal):
    return tiny_removal(out, "pseudo_labels", clusters=4, **removal)


@pytest.fixture(scope="module")
def two_stages(tmp_path_factory):
    return train(pseudo(tmp_path_factory.mktemp("stages") / "run"))


class TestPseudoLabels:
    def test_the_first_stage_is_simclr_and_its_features_are_clustered(self, two_stages):
        stage_1 = load_config(two_stages / "stage-1")
        assert (stage_1.method.name, stage_1.method.pairs) == ("simclr", "same_image")
        config = load_config(two_stages)
        assert (stage_1.optimizer, stage_1.encoder, stage_1.data) == (config.optimizer, config.encoder, config.data)
        images, _ = load_images(config.data, seed=0)
        encoder = new_encoder(stage_1, 3, 4, weights=two_stages / "stage-1" / "weights.safetensors")
        with torch.no_grad():
            h = encoder.eval().represent(images.images / 255)
        clusters = load_pseudo_labels(two_stages, 64).numpy()
        best = KMeans(4, n_init=50, random_state=7).fit(h.numpy())
        inertia = sum(((h[clusters == c] - h[clusters == c].mean(0)) ** 2).sum().item() for c in range(4))
        assert inertia == pytest.approx(best.inertia_, rel=0.02)
        known = json.loads((two_stages / "pseudo-labels.json").read_text())
        assert known["sizes"] == np.bincount(clusters).tolist() and sum(known["sizes"]) == 64
        assert {"purity": known["purity"], "nmi": known["nmi"]} == agreement(clusters, images.labels.numpy())
        assert (known["stage_1"], known["checkpoint"]) == ("stage-1", "epoch-0002")
        assert "4 clusters, purity" in (two_stages / "log.txt").read_text()

    def test_the_second_stage_can_be_supcon_after_simclr_at_its_own_temperature(self, tmp_path):
        config = resolve(config_of("supcon", pairs="pseudo_labels"))
        first = resolve(stage_1_config(config, tmp_path / "stage-1"))
        assert config.method.temperature == 0.1
        assert (first.method.name, first.method.pairs, first.method.temperature) == ("simclr", "same_image", 0.5)

    def test_the_second_stage_is_told_the_cluster_of_each_image(self, two_stages, tmp_path, monkeypatch):
        seen, training_step = [], ContrastiveModule.training_step

        def watched(self, batch, batch_index):
            method = self.method

            def call(encoder, known):
                seen.append((batch[2], known.index, known.pseudo_labels))
                return method(encoder, known)

            self.method = call
            try:
                return training_step(self, batch, batch_index)
            finally:
                self.method = method

        monkeypatch.setattr(ContrastiveModule, "training_step", watched)
        config = pseudo(tmp_path / "run", stage_1=str(two_stages / "stage-1"))
        run = train(config)
        clusters = load_pseudo_labels(run, 64)
        assert len(seen) == 8  # no first stage of its own
        assert sorted(torch.cat([index for index, *_ in seen[:4]]).tolist()) == list(range(64))
        for index, known, labels in seen:
            assert torch.equal(index, known) and torch.equal(labels, clusters[index])
        assert same_weights(run, two_stages)
        assert not (run / "stage-1").exists()

    def test_stopped_in_both_stages_it_resumes_to_the_bit(self, two_stages, tmp_path, monkeypatch):
        run, config = tmp_path / "run", pseudo(tmp_path / "run")
        for first in (True, False):
            with monkeypatch.context() as patch:
                stop_at(patch, 1, 2, first_stage=first)
                with pytest.raises(Stopped, match=rf"--resume {run}$"):
                    train(config)
            assert (run / "pseudo-labels.npz").exists() != first
            config = RunConfig(resume=str(run))
        train(config)
        assert_same_run(run, two_stages)
        assert_same_run(run / "stage-1", two_stages / "stage-1")
        assert torch.equal(load_pseudo_labels(run, 64), load_pseudo_labels(two_stages, 64))

    def test_killed_before_its_first_checkpoint_it_begins_again_and_true_labels_change_nothing(
        self, two_stages, tmp_path, monkeypatch
    ):
        def killed(self, batch, batch_index):
            raise KeyboardInterrupt

        def unlabelled(config, *, seed):
            train_images, test_images = load_images(config, seed=seed)
            return replace(train_images, labels=None), test_images

        monkeypatch.setattr("sparring.training.engine.load_images", unlabelled)
        with monkeypatch.context() as patch:
            patch.setattr(ContrastiveModule, "training_step", killed)
            with pytest.raises((KeyboardInterrupt, SystemExit)):
                train(pseudo(tmp_path / "run"))
        run = train(RunConfig(resume=str(tmp_path / "run")))
        assert same_weights(run, two_stages) and same_weights(run / "stage-1", two_stages / "stage-1")
        assert torch.equal(load_pseudo_labels(run, 64), load_pseudo_labels(two_stages, 64))
        assert "purity" not in json.loads((run / "pseudo-labels.json").read_text())

    def test_what_no_two_stages_can_be_made_of(self, two_stages, tmp_path, monkeypatch):
        unfinished = tmp_path / "unfinished"
        with monkeypatch.context() as patch:
            stop_at(patch, 1, 1)
            with pytest.raises(Stopped):
                train(tiny(unfinished, method="simclr", epochs=2))
        sentences = {
            r"removal\.stage_1 is .*unfinished, but that run stopped after 1 of 2 epochs: finish it": pseudo(
                tmp_path / "a", stage_1=str(unfinished)
            ),
            r"removal\.stage_1 is .*nowhere, but there is no such run folder": pseudo(
                tmp_path / "a", stage_1=str(tmp_path / "nowhere")
            ),
            r"removal\.clusters is 65, but .* has only 64 images": tiny_removal(
                tmp_path / "a", "pseudo_labels", clusters=65
            ),
        }
        larger = pseudo(tmp_path / "a", stage_1=str(two_stages))
        larger.data.image_size = 12
        sentences[r"trained on images of 8 pixels a side, but these have 12"] = larger
        for sentence, config in sentences.items():
            with pytest.raises(ValueError, match=sentence):
                train(config)
        monkeypatch.setenv("WORLD_SIZE", "2")
        with pytest.raises(ValueError, match=r"two stages no outer launcher can run: use training\.processes on one"):
            train(pseudo(tmp_path / "a"))
        assert not (tmp_path / "a").exists()

    def test_two_processes_train_the_weights_of_one(self, two_stages, tmp_path):
        """Images' places in the training set, their clusters and the draws are those of all processes together."""
        for processes in (1, 2):
            config = pseudo(tmp_path / str(processes), stage_1=str(two_stages / "stage-1"), replacement="resample")
            config.training.processes, config.training.epochs = processes, 1
            config.encoder.name = "python:tests.training.runs.backbone_without_norm"
            config.optimizer = OptimizerConfig(name="sgd", lr=0.1, momentum=0.0, weight_decay=0.0, schedule="constant")
            train(config)
        one, two = (weights(tmp_path / str(processes)) for processes in (1, 2))
        for key, weight in one.items():
            torch.testing.assert_close(two[key], weight, rtol=1e-4, atol=1e-6)
        counted = [records(tmp_path / str(processes))[-1] for processes in (1, 2)]
        for key in ("loss", "removed", "removal_precision", "removal_recall"):
            assert counted[0][key] == pytest.approx(counted[1][key], rel=1e-5)

    def test_a_damaged_file_of_clusters_is_refused(self, two_stages):
        with pytest.raises(ValueError, match=r"pseudo-labels\.npz holds clusters of 64 images, but there are 63"):
            load_pseudo_labels(two_stages, 63)


def test_agreement_by_hand():
    found = agreement(np.array([0, 0, 0, 1, 1, 2]), np.array([5, 5, 3, 3, 3, 3]))
    assert found["purity"] == pytest.approx(5 / 6)
    classes, clusters, joint = [2, 4], [3, 2, 1], [2, 1, 2, 1]

    def entropy(counts):
        return -sum(c / 6 * np.log(c / 6) for c in counts)

    mutual = entropy(classes) + entropy(clusters) - entropy(joint)
    assert found["nmi"] == pytest.approx(2 * mutual / (entropy(classes) + entropy(clusters)))
    perfect = agreement(np.array([1, 1, 0]), np.array([0, 0, 4]))
    assert perfect == {"purity": pytest.approx(1.0), "nmi": pytest.approx(1.0)}
