"""Every None is filled in, every wrong value is one sentence before any work."""

from dataclasses import replace

import pytest
import torch

from sparring.attacks import FFGSM, FGSM, L2, PGD, Linf
from sparring.config import (
    AttackConfig,
    DataConfig,
    EncoderConfig,
    EvaluationConfig,
    MethodConfig,
    OptimizerConfig,
    RunConfig,
    TrainingConfig,
)
from sparring.methods import CLAE, UEL, Plain, SimCLR
from sparring.pairs import same_label
from sparring.training import build_attack, build_method, resolve, train
from tests.training.runs import tiny

CIFAR = DataConfig(name="cifar10", root="images")
FOLDER = DataConfig(name="folder", root="images")


@pytest.mark.parametrize("name", ["plain", "uel", "simclr", "clae"])
@pytest.mark.parametrize("data", [DataConfig(), CIFAR, FOLDER], ids=lambda d: d.name)
def test_a_resolved_configuration_resolves_to_itself(name, data):
    config = resolve(RunConfig(method=MethodConfig(name=name), data=data))
    assert resolve(config) == config


@pytest.mark.parametrize("attack", ["fgsm", "rfgsm", "ffgsm", "pgd", "noise"])
def test_attacks_are_complete_and_resolve_to_themselves(attack):
    config = resolve(RunConfig(attack=AttackConfig(name=attack, eps=8 / 255)))
    assert resolve(config) == config
    assert config.attack.eps == 8 / 255
    assert (config.attack.step_size is None) == (attack in ("fgsm", "rfgsm", "noise"))
    assert build_attack(config) == build_method(config).attack


PLAIN_AND_UEL = {
    "method.temperature": 0.1,
    "data.views": "uel",
    "encoder.name": "resnet18",
    "encoder.head": "linear",
    "encoder.dim": 128,
    "encoder.mean": [0.4914, 0.4822, 0.4465],
    "encoder.std": [0.2023, 0.1994, 0.2010],
    "encoder.adv_momentum": 0.01,
    "optimizer.name": "sgd",
    "optimizer.lr": 0.03,
    "optimizer.momentum": 0.9,
    "optimizer.weight_decay": 5e-4,
    "optimizer.schedule": "step",
    "optimizer.milestones": [120, 160, 200],
    "optimizer.factors": [0.1, 0.05, 0.01],
    "optimizer.warmup_epochs": 0,
    "training.batch_size": 128,
    "training.epochs": 301,
    "evaluation.knn_k": 200,
    "evaluation.knn_temperature": 0.1,
    "evaluation.knn_features": "z",
    "evaluation.logistic_features": "z",
    "evaluation.logistic_lr": 3e-4,
    "evaluation.logistic_epochs": 1000,
    "evaluation.logistic_batch_size": 128,
}
SIMCLR = PLAIN_AND_UEL | {
    "method.temperature": 0.5,
    "data.views": "simclr",
    "encoder.head": "mlp",
    "encoder.dim": 64,
    "encoder.mean": [0.5] * 3,
    "encoder.std": [0.5] * 3,
    "optimizer.name": "adam",
    "optimizer.lr": 3e-4,
    "optimizer.weight_decay": 0.0,
    "optimizer.schedule": "constant",
    "optimizer.milestones": [],
    "optimizer.factors": [],
    "training.batch_size": 256,
    "training.epochs": 100,
    "evaluation.knn_temperature": 0.5,
    "evaluation.knn_features": "h",
    "evaluation.logistic_features": "h",
    "evaluation.logistic_batch_size": 256,
}
CLAE_ATTACK = {
    "method.alpha": 1.0,
    "attack.name": "fgsm",
    "attack.norm": "linf",
    "attack.eps": 0.03,
    "attack.space": "normalized",
    "attack.clip": False,
    "attack.update_statistics": False,
}


@pytest.mark.parametrize("data", ["cifar10", "cifar100"])
@pytest.mark.parametrize(
    ("name", "base", "expected"),
    [
        ("plain", None, PLAIN_AND_UEL),
        ("uel", None, PLAIN_AND_UEL),
        ("simclr", None, SIMCLR),
        ("clae", "plain", PLAIN_AND_UEL | CLAE_ATTACK),
        ("clae", "uel", PLAIN_AND_UEL | CLAE_ATTACK),
        ("clae", "simclr", SIMCLR | CLAE_ATTACK),
    ],
)
def test_the_published_settings_of_clae_on_cifar(name, base, expected, data):
    """chihhuiho/CLAE's scripts: training, augmentation, normalisation (CIFAR-10's on both sets) and evaluation."""
    method = MethodConfig(name=name, base=base)
    config = resolve(RunConfig(method=method, data=DataConfig(name=data, root="images")))
    found = {key: getattr(getattr(config, key.partition(".")[0]), key.partition(".")[2]) for key in expected}
    assert found == expected


def test_the_official_preset_says_that_it_updates_statistics():
    method = MethodConfig(name="clae", preset="official")
    config = resolve(RunConfig(method=method))
    assert config.attack.update_statistics is True
    assert resolve(config) == config
    with pytest.raises(ValueError, match=r"attack\.update_statistics is False, but method\.preset official"):
        resolve(RunConfig(method=method, attack=AttackConfig(update_statistics=False)))


def test_the_methods_that_are_built():
    built = build_method(RunConfig(method=MethodConfig(name="clae", base="uel", alpha=0.5, detach_keys=False)))
    assert built == CLAE(base=UEL(detach_keys=False), alpha=0.5)
    assert build_method(RunConfig(method=MethodConfig(name="plain", temperature=0.2))) == Plain(temperature=0.2)
    pairs = build_method(RunConfig(method=MethodConfig(name="simclr", pairs="same_label")))
    assert pairs == SimCLR(pairs=same_label)


def test_the_attacks_that_are_built():
    assert build_attack(RunConfig()) == FGSM(Linf(0.03, space="normalized", clip=False))
    given = AttackConfig(name="pgd", eps=8 / 255, space="pixel", steps=3, random_start=False)
    assert build_attack(RunConfig(attack=given)) == PGD(Linf(8 / 255), steps=3, random_start=False)
    other = build_attack(RunConfig(attack=AttackConfig(norm="l2", eps=0.5)))
    assert other == FGSM(L2(0.5, space="normalized", clip=False))
    started = build_attack(RunConfig(attack=AttackConfig(name="fgsm", random_start=True)))
    assert started == FFGSM(Linf(0.03, space="normalized", clip=False))
    unclipped = build_attack(RunConfig(attack=AttackConfig(eps=8 / 255, space="pixel", clip=False)))
    assert unclipped == FGSM(Linf(8 / 255, clip=False))


def test_a_given_value_is_kept():
    given = RunConfig(
        method=MethodConfig(temperature=0.2),
        optimizer=OptimizerConfig(lr=0.1),
        training=TrainingConfig(epochs=7, batch_size=32),
        evaluation=EvaluationConfig(knn_k=3, logistic_epochs=4),
    )
    config = resolve(given)
    assert (config.method.temperature, config.optimizer.lr, config.training.epochs) == (0.2, 0.1, 7)
    assert (config.training.batch_size, config.evaluation.knn_k, config.evaluation.logistic_epochs) == (32, 3, 4)
    assert config.evaluation.knn_temperature == 0.2
    assert given.encoder.name is None, "the given configuration is left alone"


def method(**settings):
    return RunConfig(method=MethodConfig(**settings))


def attack(**settings):
    return RunConfig(attack=AttackConfig(**settings))


def training(**settings):
    return RunConfig(training=TrainingConfig(**settings))


def optimizer(**settings):
    return RunConfig(optimizer=OptimizerConfig(**settings))


WRONG = {
    r"attack\.eps must be smaller than the range of an image, not 8 \(in pixels of \[0, 1\]\); .* 8/255": RunConfig(
        attack=AttackConfig(eps=8.0, space="pixel")
    ),
    r"attack\.eps must be smaller than .*, not 8 \(in normalised units, 1 of them 0\.5 in pixels\)": RunConfig(
        attack=AttackConfig(eps=8.0)
    ),
    r"data\.root is images, but digits has no files; .*--data folder": RunConfig(data=DataConfig(root="images")),
    r"method\.alpha is 2\.0, .* stream of mode ds; mode is s2s": method(name="acl", mode="s2s", alpha=2.0),
    r"data\.test_root is images, but only an image folder": RunConfig(data=DataConfig(test_root="images")),
    r"data\.workers must be at least 0, not -1": RunConfig(data=DataConfig(workers=-1)),
    r"training\.seed must be less than 2\^63, not": RunConfig(training=TrainingConfig(seed=2**64)),
    r"method\.name must be one of .*, not 'simclear'; did you mean 'simclr'\?": method(name="simclear"),
    r"method\.base must be one of plain, simclr, supcon, uel, not 'rocl'": method(base="rocl"),
    r"method\.pairs must be one of same_image, same_label, .*, not 'samelabel'; did you mean 'same_label'\?": method(
        pairs="samelabel"
    ),
    r"method\.alpha is 2\.0, but simclr has no such option \(it has pairs, temperature\)": method(
        name="simclr", alpha=2.0
    ),
    r"method\.detach_keys is True, but clae over plain has no such option": method(base="plain", detach_keys=True),
    r"method\.temperature must be more than 0, not 0": method(temperature=0.0),
    r"method\.preset is 'official', but simclr is the same in paper": method(name="simclr", preset="official"),
    r"attack\.eps must be more than 0, such as 8/255, not -0\.1": attack(eps=-0.1),
    r"attack\.eps must be more than 0, such as 8/255, not 0": attack(eps=0.0),
    r"attack\.steps is set to 5, but fgsm has no such option": attack(steps=5),
    r"attack\.steps must be at least 1, not 0": attack(name="pgd", steps=0),
    r"attack\.eps must be given with attack\.norm l2": attack(norm="l2"),
    r"attack\.restarts must be 1 in training, not 3": attack(name="pgd", restarts=3),
    r"attack\.eps is 0\.1, but simclr has no attack": replace(attack(eps=0.1), method=MethodConfig(name="simclr")),
    r"training\.batch_size must be at least 2, not 1: one image has no other": training(batch_size=1),
    r"training\.epochs must be at least 1, not 0": training(epochs=0),
    r"training\.accumulate must be 1, not 4: the negatives": training(accumulate=4),
    r"training\.checkpoint_every must be at least 1, not 0": training(checkpoint_every=0),
    r"training\.probe_every must be at least 0, not -1": training(probe_every=-1),
    r"training\.seed must be at least 0, not -1": training(seed=-1),
    r"training\.processes must be at least 1, not 0": training(processes=0),
    r"batch_size is 15, which 2 processes cannot share equally": training(batch_size=15, processes=2, device="cpu"),
    r"optimizer\.lr must be more than 0, not -1": optimizer(lr=-1.0),
    r"optimizer\.momentum must be at least 0 and less than 1, not 1\.0": optimizer(momentum=1.0),
    r"optimizer\.lr must be given with optimizer\.name lars": optimizer(name="lars"),
    r"milestones and optimizer\.factors must be equally long, not 2 and 1": optimizer(
        schedule="step", milestones=[1, 2], factors=[0.1]
    ),
    r"milestones must be rising epochs from 1 on, not \[5, 3\]": optimizer(
        schedule="step", milestones=[5, 3], factors=[0.1, 0.2]
    ),
    r"warmup_epochs must be less than training\.epochs \(30\), not 30": optimizer(schedule="cosine", warmup_epochs=30),
    r"evaluation\.knn_k must be at least 1, not 0": RunConfig(evaluation=EvaluationConfig(knn_k=0)),
    r"evaluation\.domain is adv, but simclr has one batch norm": RunConfig(
        method=MethodConfig(name="simclr"), evaluation=EvaluationConfig(domain="adv")
    ),
    r"encoder\.name is 'resnet19'.*did you mean": RunConfig(encoder=EncoderConfig(name="resnet19")),
    r"data\.name: 'cifar' is none of .*did you mean 'cifar10'": RunConfig(data=DataConfig(name="cifar")),
    r"data\.views must be one of .*'simclear'; did you mean 'simclr'": RunConfig(data=DataConfig(views="simclear")),
    r"init_from is w\.safetensors, but there is no such file": RunConfig(init_from="w.safetensors"),
}


@pytest.mark.parametrize("sentence", list(WRONG))
def test_what_is_wrong_is_one_sentence(sentence):
    with pytest.raises(ValueError, match=sentence) as error:
        resolve(WRONG[sentence])
    assert "\n" not in str(error.value)


def test_cuda_without_a_device(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=r"training\.device is cuda, but no CUDA device is available"):
        resolve(training(device="cuda"))


def test_a_taken_folder_is_not_overwritten_unasked(tmp_path):
    (tmp_path / "config.yaml").write_text("method: {name: clae}")
    with pytest.raises(ValueError, match="exists: choose another folder, or --overwrite"):
        resolve(RunConfig(out=str(tmp_path)))
    resolve(RunConfig(out=str(tmp_path), overwrite=True))
    (tmp_path / "config.yaml").rename(tmp_path / "thesis.tex")
    with pytest.raises(ValueError, match="only a run folder is overwritten"):
        resolve(RunConfig(out=str(tmp_path), overwrite=True))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda c: setattr(c.training, "batch_size", 65),
            "batch_size is 65, but synthetic has only 64 training images",
        ),
        (lambda c: setattr(c.evaluation, "knn_k", 65), "knn_k is 65, but synthetic has only 64 training images"),
    ],
)
def test_too_few_images_are_noticed_before_anything_is_written(tmp_path, change, sentence):
    config = tiny(tmp_path / "run")
    change(config)
    with pytest.raises(ValueError, match=sentence):
        train(config)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("settings", [{"name": "supcon"}, {"name": "simclr", "pairs": "same_label"}, {"name": "ascl"}])
def test_missing_labels_are_noticed_before_anything_is_written(tmp_path, monkeypatch, settings):
    from sparring.training import engine

    def unlabelled(config, *, seed):
        return tuple(replace(images, labels=None) for images in load(config, seed=seed))

    load = engine.load_images
    monkeypatch.setattr(engine, "load_images", unlabelled)
    config = replace(tiny(tmp_path / "run", method="simclr"), method=MethodConfig(**settings))
    config.optimizer = OptimizerConfig(name="sgd", lr=0.1)
    with pytest.raises(ValueError, match=r"needs labels, but the training images of synthetic have none"):
        train(config)
    assert not (tmp_path / "run").exists()
