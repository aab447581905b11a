"""Methods that train a classifier: their papers' settings, what is refused, whole runs, exact resumption."""

import json
import math
import signal

import pytest
import torch
from safetensors.torch import load_file

from sparring.attacks import PGD, Linf
from sparring.config import AttackConfig, DataConfig, EncoderConfig, MethodConfig, OptimizerConfig, RunConfig
from sparring.encoders import load_encoder
from sparring.methods import ADR, ASCL, AdversarialTraining, Natural, OrgSCL, Trades
from sparring.pairs import leaked, leaked_official
from sparring.training import Stopped, build_attack, build_method, latest, resolve, train
from sparring.training.module import ContrastiveModule
from tests.training.runs import SUPERVISED, tiny

CIFAR = DataConfig(name="cifar10", root="images")
FOLDER = DataConfig(name="folder", root="images")
METHODS = [Natural(), AdversarialTraining(), Trades(), ADR(), ASCL(), OrgSCL()]


def config_of(name, data=CIFAR, **changes):
    return RunConfig(method=MethodConfig(name=name, **changes), data=data)


@pytest.mark.parametrize("data", [DataConfig(), CIFAR, FOLDER], ids=lambda d: d.name)
@pytest.mark.parametrize(("name", "method"), list(zip(SUPERVISED, METHODS, strict=True)))
def test_a_resolved_configuration_resolves_to_itself_and_builds_the_default_method(name, method, data):
    config = resolve(config_of(name, data))
    assert resolve(config) == config
    assert build_method(config) == method


@pytest.mark.parametrize(
    ("encoder", "optimizer", "rate", "decay", "milestones", "factors"),
    [
        (None, "adam", 1e-3, 0.0, [80, 120, 160], [0.1, 0.01, 0.001]),
        ("resnet18", "sgd", 0.1, 5e-4, [100, 150], [0.1, 0.01]),
        ("wrn-34-10", "sgd", 0.1, 5e-4, [100, 150], [0.1, 0.01]),
        ("cnn-cifar", "adam", 1e-3, 0.0, [], []),
    ],
)
def test_the_published_settings_of_ascl_by_encoder(encoder, optimizer, rate, decay, milestones, factors):
    config = resolve(RunConfig(method=MethodConfig(name="ascl"), data=CIFAR, encoder=EncoderConfig(name=encoder)))
    found = config.optimizer
    assert (found.name, found.lr, found.weight_decay) == (optimizer, rate, decay)
    assert (found.milestones, found.factors, found.momentum) == (milestones, factors, 0.9)
    assert (config.training.batch_size, config.training.epochs) == (128, 200)
    assert (config.data.views, config.encoder.head) == ("shift-flip", "none")
    assert (config.method.pairs, config.method.temperature, config.method.similarity) == ("leaked", 0.07, "cosine")
    assert (config.method.lambda_scl, config.method.lambda_vat, config.method.clean_weight) == (1.0, 2.0, 1.0)
    assert build_attack(config) == PGD(Linf(8 / 255), steps=10, step_size=2 / 255)
    assert config.evaluation.knn_temperature == 0.07


def test_trades_starts_as_published_unless_told_otherwise():
    def start(**attack):
        config = resolve(RunConfig(method=MethodConfig(name="trades"), attack=AttackConfig(**attack)))
        assert resolve(config) == config
        return build_attack(config).start_std

    assert start() == start(eps=4 / 255) == 0.001
    assert start(start_std=0.01) == 0.01
    assert start(start_std=0.0) is None
    assert start(random_start=False) is None
    other = resolve(RunConfig(method=MethodConfig(name="adversarial_training")))
    assert build_attack(other).start_std is None and other.attack.start_std == 0.0


def test_the_official_preset_of_ascl_says_what_it_changes():
    config = resolve(config_of("ascl", preset="official"))
    assert (config.method.pairs, config.attack.update_statistics) == ("leaked_official", True)
    assert build_method(config).pairs is leaked_official
    assert resolve(config) == config
    assert build_method(resolve(config_of("ascl"))).pairs is leaked


REFUSED = {
    r"method\.pairs is leaked, which asks a classifier for predictions, but simclr trains none": config_of(
        "simclr", pairs="leaked"
    ),
    r"method\.beta is 6\.0, but ascl has no such option": config_of("ascl", beta=6.0),
    r"method\.alpha is 1\.0, but adversarial_training has no such option": config_of("adversarial_training", alpha=1.0),
    r"method\.temperature is 0\.1, but natural has no such option \(it has none\)": config_of(
        "natural", temperature=0.1
    ),
    r"method\.lambda_vat must be at least 0, not -1\.0": config_of("ascl", lambda_vat=-1.0),
    r"method\.temperature must be more than 0, not 0": config_of("ascl", temperature=0.0),
    r"method\.preset is 'official', but trades is the same in paper and published code": config_of(
        "trades", preset="official"
    ),
    r"attack\.eps is 0\.1, but natural has no attack; adversarial_training has one": RunConfig(
        method=MethodConfig(name="natural"), attack=AttackConfig(eps=0.1)
    ),
    r"attack\.start_std is set to 0\.1, but fgsm has no such option": RunConfig(
        method=MethodConfig(name="trades"), attack=AttackConfig(name="fgsm", start_std=0.1)
    ),
    r"encoder\.head is linear, but trades trains no embedding: it must be none": RunConfig(
        method=MethodConfig(name="trades"), encoder=EncoderConfig(head="linear")
    ),
    r"optimizer\.lr must be given with optimizer\.name lars: ascl's paper gives 0\.1 for sgd": RunConfig(
        method=MethodConfig(name="ascl"),
        data=CIFAR,
        encoder=EncoderConfig(name="resnet18"),
        optimizer=OptimizerConfig(name="lars"),
    ),
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_what_does_not_fit_is_one_sentence(sentence):
    with pytest.raises(ValueError, match=sentence):
        resolve(REFUSED[sentence])


def test_restarts_are_for_methods_whose_objective_is_one_value_an_image():
    attack = AttackConfig(restarts=2)
    assert build_attack(RunConfig(method=MethodConfig(name="trades"), attack=attack)).restarts == 2
    with pytest.raises(ValueError, match=r"attack\.restarts must be 1 in training"):
        build_attack(RunConfig(attack=AttackConfig(name="pgd", restarts=2)))


def records(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("seconds", "images_per_second")} for line in lines]


@pytest.mark.parametrize("name", SUPERVISED)
def test_every_method_trains(tmp_path, name, monkeypatch):
    seen = []
    training_step = ContrastiveModule.training_step

    def watched(self, batch, batch_index):
        seen.append(self.pipeline.views)
        return training_step(self, batch, batch_index)

    monkeypatch.setattr(ContrastiveModule, "training_step", watched)
    run = train(tiny(tmp_path / "run", method=name, epochs=2))
    first, last = records(run)
    assert set(seen) == {2 if name == "org_scl" else 1}
    assert math.isfinite(last["loss"]) and last["clean"] < first["clean"] if "clean" in last else True
    assert 0 <= last["clean_accuracy"] <= 1
    assert ("adversarial_accuracy" in last) == (name not in ("natural", "org_scl"))


def test_the_weights_of_a_run_make_the_classifier_again(tmp_path):
    config = tiny(tmp_path / "run", method="natural", epochs=1, probe_every=0)
    config.encoder.name = "resnet20"
    run = train(config)
    encoder = load_encoder(run / "weights.safetensors")
    weights = load_file(run / "weights.safetensors")
    assert torch.equal(encoder.classifier.weight, weights["classifier.weight"])
    assert encoder.outputs(torch.rand(2, 3, 8, 8)).logits.shape == (2, encoder.classes)


def test_ascl_asked_to_stop_resumes_to_the_bit(tmp_path, monkeypatch):
    whole = train(tiny(tmp_path / "whole", method="ascl", epochs=2))
    training_step = ContrastiveModule.training_step

    def signalled(self, batch, batch_index):
        if (self.epoch, batch_index) == (1, 1):
            signal.raise_signal(signal.SIGTERM)
        return training_step(self, batch, batch_index)

    monkeypatch.setattr(ContrastiveModule, "training_step", signalled)
    with pytest.raises(Stopped):
        train(tiny(tmp_path / "run", method="ascl", epochs=2))
    monkeypatch.undo()
    assert latest(tmp_path / "run").name == "epoch-0001-step-00002"
    train(RunConfig(resume=str(tmp_path / "run")))
    ours, theirs = (load_file(latest(tmp_path / name) / "weights.safetensors") for name in ("run", "whole"))
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert records(tmp_path / "run") == records(whole)
