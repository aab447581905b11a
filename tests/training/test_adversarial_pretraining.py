"""RoCL and ACL as configurations: their papers' settings, what is refused, and training that loses what it climbs."""

import json
import math

import pytest
import torch

from sparring.attacks import PGD, Linf
from sparring.config import (
    AttackConfig,
    DataConfig,
    EncoderConfig,
    EvaluationConfig,
    MethodConfig,
    OptimizerConfig,
    RunConfig,
)
from sparring.methods import ACL, CLAE, RoCL, SimCLR
from sparring.norms import has_domains
from sparring.pairs import Precision
from sparring.training import build_attack, build_method, resolve, train, uniform_loss
from tests.training.runs import tiny

CIFAR = DataConfig(name="cifar10", root="images")


def config_of(name, data=CIFAR, **changes):
    return RunConfig(method=MethodConfig(name=name, **changes), data=data)


@pytest.mark.parametrize("data", [DataConfig(), CIFAR, DataConfig(name="folder", root="images")], ids=lambda d: d.name)
@pytest.mark.parametrize("method", [RoCL(), *(ACL(mode=mode) for mode in ("ds", "a2a", "a2s", "s2s"))])
def test_a_resolved_configuration_resolves_to_itself_and_builds_the_default_method(method, data):
    mode = getattr(method, "mode", None)
    config = resolve(config_of(type(method).__name__.lower(), data, mode=mode))
    assert resolve(config) == config
    assert build_method(config) == method
    assert config.evaluation.domain == ("adv" if getattr(method, "dual", False) else "clean")
    assert config.attack == AttackConfig() if mode == "s2s" else build_attack(config) == method.attack


def test_the_published_settings():
    rocl, acl = resolve(config_of("rocl")), resolve(config_of("acl"))
    for config, rate in ((rocl, 1.5), (acl, 5.0)):
        found = config.optimizer
        assert (found.name, found.lr, found.momentum, found.weight_decay) == ("lars", rate, 0.9, 1e-6)
        assert (found.schedule, found.warmup_epochs) == ("cosine", 10)
        assert (config.training.batch_size, config.training.epochs) == (512, 1000)
        assert (config.encoder.name, config.method.temperature) == ("resnet18", 0.5)
    assert (rocl.data.views, rocl.encoder.head, rocl.encoder.hidden, rocl.encoder.dim) == ("rocl", "mlp", 2048, 128)
    assert (rocl.encoder.mean, rocl.encoder.std) == ([0.0] * 3, [1.0] * 3)
    assert (rocl.method.regularizer, rocl.method.detach_keys, rocl.method.positives) == (1 / 256, True, "outside")
    assert build_attack(rocl) == PGD(Linf(0.0314), steps=7, step_size=0.007)
    assert (acl.data.views, acl.encoder.head, acl.encoder.hidden, acl.encoder.dim) == ("acl", "mlp3-bn", None, 512)
    assert (acl.encoder.mean, acl.encoder.std) == ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    assert (acl.method.mode, acl.method.alpha, acl.encoder.adv_momentum) == ("ds", 1.0, 0.1)
    assert build_attack(acl) == PGD(Linf(8 / 255), steps=5, step_size=2 / 255)
    assert resolve(config_of("clae")).encoder.adv_momentum == 0.01


def test_the_official_preset_of_acl_starts_outside_the_box_and_updates_no_statistics():
    config = resolve(config_of("acl", preset="official"))
    assert resolve(config) == config and config.attack.update_statistics is False
    assert build_method(config).attack == PGD(Linf(8 / 255), steps=5, step_size=2 / 255, clip_start=False)


@pytest.mark.parametrize("name", ["rocl", "acl"])
def test_with_a_selector_they_are_a_rocl_and_a_acl(name):
    config = resolve(config_of(name, pairs="precision"))
    assert build_method(config).pairs == Precision(every=100, replacement="resample")
    assert resolve(config) == config


def test_another_evaluation_domain_and_head_are_kept():
    config = config_of("acl")
    config.evaluation, config.encoder = EvaluationConfig(domain="clean"), EncoderConfig(head="mlp", adv_momentum=0.3)
    config = resolve(config)
    assert (config.evaluation.domain, config.encoder.head, config.encoder.adv_momentum) == ("clean", "mlp", 0.3)
    rocl = config_of("rocl")
    rocl.encoder = EncoderConfig(head="linear")
    assert resolve(rocl).encoder.hidden is None


def with_attack(config, **attack):
    config.attack = AttackConfig(**attack)
    return config


def with_domain(config):
    config.evaluation = EvaluationConfig(domain="adv")
    return config


REFUSED = {
    r"method\.mode is 'ds', but rocl has no such option": config_of("rocl", mode="ds"),
    r"method\.regularizer is 0\.1, but acl has no such option": config_of("acl", regularizer=0.1),
    r"method\.regularizer must be at least 0, not -1": config_of("rocl", regularizer=-1.0),
    r"method\.base must be one of plain, simclr, supcon, uel, not 'acl'": config_of("clae", base="acl"),
    r"method\.preset is 'official', but rocl is the same in paper and published code": config_of(
        "rocl", preset="official"
    ),
    r"attack\.eps is 0\.1, but acl in mode s2s has no attack; mode ds has one": with_attack(
        config_of("acl", mode="s2s"), eps=0.1
    ),
    r"attack\.restarts must be 1 in training, not 2": with_attack(config_of("acl"), restarts=2),
    r"evaluation\.domain is adv, but acl has one batch norm": with_domain(config_of("acl", mode="a2a")),
    r"optimizer\.lr must be given with optimizer\.name adam: rocl's paper gives 1\.5 for lars": RunConfig(
        method=MethodConfig(name="rocl"), data=CIFAR, optimizer=OptimizerConfig(name="adam")
    ),
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_what_does_not_fit_is_one_sentence(sentence):
    with pytest.raises(ValueError, match=sentence):
        resolve(REFUSED[sentence])


def test_the_loss_of_an_encoder_that_tells_nothing_apart():
    n = 8
    assert uniform_loss(RoCL(), n) == pytest.approx(2 * math.log(3 * n - 1) + math.log(2 * n - 1) / 256)
    inside = RoCL(positives="inside", regularizer=0.0)
    assert uniform_loss(inside, n) == pytest.approx(math.log((3 * n - 1) / 2))
    for mode in ("ds", "a2a", "a2s", "s2s"):
        assert uniform_loss(ACL(mode=mode), n) == pytest.approx(math.log(2 * n - 1))
    assert uniform_loss(CLAE(), n) == pytest.approx(2 * uniform_loss(SimCLR(), n))


def records(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("name", "changes", "terms"),
    [
        ("rocl", {"pairs": "precision"}, {"rocl", "regularizer", "removed", "removal_precision"}),
        ("acl", {"pairs": "frequency"}, {"clean", "adversarial", "removed", "removal_recall"}),
        ("acl", {"mode": "a2s"}, {"adversarial"}),
    ],
)
def test_a_run_trains_and_says_what_it_removed(tmp_path, name, changes, terms):
    config = tiny(tmp_path / "run", method=name, epochs=3)
    config.method = MethodConfig(name=name, **changes)
    config.encoder.head, config.encoder.hidden = None, 16
    if "pairs" in changes and name == "rocl":
        config.removal.every = 1
    run = train(config)
    first, *_, last = records(run)
    assert terms <= last.keys() and last["loss"] < first["loss"]
    if "pairs" in changes:
        assert last["removed"] == pytest.approx(2 * (2 if name == "rocl" else 16 // 4))  # rows: epoch 2 of 1; 4 classes
        assert 0 <= last.get("removal_precision", 0) <= 1
    encoder = load_weights(run)
    assert has_domains(encoder) == (name == "acl")


def load_weights(run):
    """The encoder of the run with its weights."""
    from sparring.training import new_encoder, run_folder

    config = run_folder.load_config(run)
    encoder = new_encoder(config, 3, 10, weights=run / "weights.safetensors")
    assert encoder(torch.rand(4, 3, 8, 8)).shape[1] == encoder.dim
    return encoder
