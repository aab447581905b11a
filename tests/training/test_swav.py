"""Whole runs of SwAV: its settings, prototypes and queue over training, exact resumption, crops, what is refused."""

import json
import signal
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from sparring.config import DataConfig, EncoderConfig, MethodConfig, OptimizerConfig, RunConfig
from sparring.data import pipeline, small_crops
from sparring.encoders import load_encoder
from sparring.methods import SwAV
from sparring.training import Gathered, Stopped, build_method, latest, new_encoder, resolve, train
from sparring.training.module import ContrastiveModule
from tests.methods.networks import SmallEncoder
from tests.training.runs import tiny

CIFAR = DataConfig(name="cifar10", root="images")


def swav(out, epochs=3, optimizer="adam", **settings) -> RunConfig:
    given = {"prototypes": 6, "queue": 20, "queue_from": 1, "freeze_prototypes": 1} | settings
    config = tiny(out, method="swav", epochs=epochs, probe_every=0)
    config.method = MethodConfig(name="swav", **given)
    config.optimizer = OptimizerConfig(name=optimizer, lr=0.01, schedule="constant", weight_decay=1e-3)
    config.encoder.hidden = 16
    return config


def records(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("seconds", "images_per_second")} for line in lines]


def weights(run, epoch):
    return load_file(run / f"checkpoints/epoch-{epoch:04d}/weights.safetensors")


def test_the_settings_of_the_cifar_recipe():
    config = resolve(RunConfig(method=MethodConfig(name="swav"), data=CIFAR))
    assert resolve(config) == config
    assert build_method(config) == SwAV()
    method, encoder, optimizer = config.method, config.encoder, config.optimizer
    assert (method.prototypes, method.sinkhorn_eps, method.sinkhorn_steps, method.temperature) == (3000, 0.05, 3, 0.1)
    assert (method.queue, method.queue_from, method.freeze_prototypes, method.crops) == (3840, 50, 2, 0)
    assert (encoder.name, encoder.head, encoder.hidden, encoder.dim) == ("resnet18", "mlp-bn", 2048, 128)
    assert (optimizer.name, optimizer.lr, optimizer.weight_decay, optimizer.schedule) == ("lars", 0.6, 1e-6, "cosine")
    assert (config.training.batch_size, config.training.epochs, optimizer.warmup_epochs) == (256, 1000, 10)
    assert config.data.views == "swav"


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "lars"])
def test_prototypes_are_frozen_then_move_and_are_always_of_unit_length(tmp_path, optimizer, monkeypatch):
    seen = []
    training_step = ContrastiveModule.training_step

    def watched(self, batch, batch_index):
        seen.append((self.epoch, self.encoder.prototypes.weight.detach().clone()))
        return training_step(self, batch, batch_index)

    monkeypatch.setattr(ContrastiveModule, "training_step", watched)
    run = train(swav(tmp_path / "run", epochs=2, optimizer=optimizer))
    first = seen[0][1]
    assert all(torch.allclose(weight, first, rtol=0, atol=2e-7) for epoch, weight in seen if epoch == 0)
    moved = [weight for epoch, weight in seen if epoch == 1][1:]
    moved.append(weights(run, 2)["prototypes.weight"])
    assert all((weight - first).abs().max() > 1e-6 for weight in moved)
    for weight in [first, *moved, weights(run, 1)["prototypes.weight"]]:
        assert (weight.norm(dim=1) - 1).abs().max() < 1e-6


def test_the_queue_fills_from_its_epoch_on_and_is_in_every_checkpoint(tmp_path):
    run = train(swav(tmp_path / "run", epochs=2))
    empty, full = (weights(run, epoch)["prototypes.queue"] for epoch in (1, 2))
    assert empty.shape == full.shape == (2, 20, 8)
    assert not empty.any()
    torch.testing.assert_close(full.norm(dim=-1), torch.ones(2, 20))
    first, last = records(run)
    assert 1 <= first["prototypes_used"] <= 6 and last["loss"] == last["swapped_prediction"]


def test_asked_to_stop_resumes_to_the_bit_with_queue_and_crops(tmp_path, monkeypatch):
    whole = train(swav(tmp_path / "whole", crops=2))
    training_step = ContrastiveModule.training_step

    def signalled(self, batch, batch_index):
        if (self.epoch, batch_index) == (1, 1):
            signal.raise_signal(signal.SIGTERM)
        return training_step(self, batch, batch_index)

    monkeypatch.setattr(ContrastiveModule, "training_step", signalled)
    with pytest.raises(Stopped):
        train(swav(tmp_path / "run", crops=2))
    monkeypatch.undo()
    stopped = load_file(latest(tmp_path / "run") / "weights.safetensors")["prototypes.queue"]
    assert latest(tmp_path / "run").name == "epoch-0001-step-00002" and stopped.any()
    train(RunConfig(resume=str(tmp_path / "run")))
    ours, theirs = (load_file(latest(tmp_path / name) / "weights.safetensors") for name in ("run", "whole"))
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert records(tmp_path / "run") == records(whole)


def test_the_weights_of_a_run_make_the_encoder_again(tmp_path):
    config = swav(tmp_path / "run", epochs=1, queue_from=0)
    config.encoder.name = "resnet20"
    run = train(config)
    encoder, saved = load_encoder(run / "weights.safetensors"), load_file(run / "weights.safetensors")
    assert torch.equal(encoder.prototypes.queue, saved["prototypes.queue"])
    z, scores = encoder.eval().scored(torch.rand(2, 3, 8, 8))
    assert (z.shape, scores.shape) == ((2, 8), (2, 6))
    torch.testing.assert_close(scores, z @ saved["prototypes.weight"].T)
    plain = tiny(tmp_path / "plain", method="simclr", epochs=1)
    plain = replace(plain, encoder=config.encoder, init_from=str(run / "weights.safetensors"))
    with pytest.raises(ValueError, match="the file has prototypes, the encoder none"):
        train(plain)


def test_small_crops_are_of_half_the_side_and_of_areas_below_the_views():
    views = pipeline("swav", 9)
    crops = small_crops(views, 3)
    assert crops.operations[0].scale == (0.05, 0.14) and views.operations[0].scale == (0.14, 1.0)
    assert crops.operations[1:] == views.operations[1:]
    shown = small_crops(pipeline("digits", 8), 1).operations[1]
    assert (shown.scale, shown.size) == ((0.05, 0.5), 4)
    assert crops(torch.rand(4, 3, 9, 9), torch.Generator().manual_seed(0)).shape == (3, 4, 3, 5, 5)


def test_an_encoder_without_prototypes_says_so():
    with pytest.raises(TypeError, match="SmallEncoder has no `scored`, so it gives no scores of prototypes"):
        Gathered(SmallEncoder()).scored(torch.rand(2, 3, 8, 8))
    config = resolve(tiny("unused", method="simclr"))
    with pytest.raises(ValueError, match="this encoder has no prototypes, so it gives no scores"):
        new_encoder(config, 3, 2).scored(torch.rand(2, 3, 8, 8))


def test_a_backbone_for_images_of_one_size_is_refused_with_crops():
    config = resolve(replace(of(crops=2), encoder=EncoderConfig(name="cnn-cifar")))
    with pytest.raises(ValueError, match=r"encoder\.name cnn-cifar cannot encode an image of 3 x 16 x 16"):
        new_encoder(config, 3, 10)


def of(**settings):
    return RunConfig(method=MethodConfig(name="swav", **settings), data=CIFAR)


REFUSED = {
    r"method\.prototypes must be at least 2, not 1": of(prototypes=1),
    r"method\.sinkhorn_eps must be more than 0, not 0": of(sinkhorn_eps=0.0),
    r"method\.sinkhorn_steps must be at least 1, not 0": of(sinkhorn_steps=0),
    r"method\.queue must be at least 0, not -1": of(queue=-1),
    r"method\.queue_from must be at least 0, not -3": of(queue_from=-3),
    r"method\.freeze_prototypes must be at least 0, not -1": of(freeze_prototypes=-1),
    r"method\.crops must be at least 0, not -2": of(crops=-2),
    r"crops: 2 further views need a pipeline with random crops, unlike 'the image itself": replace(
        of(crops=2), data=DataConfig(name="cifar10", root="images", views="none")
    ),
    r"method\.pairs is 'same_label', but swav has no such option": of(pairs="same_label"),
    r"method\.prototypes is 9, but simclr has no such option": RunConfig(
        method=MethodConfig(name="simclr", prototypes=9)
    ),
    r"method\.base must be one of .*, not 'swav'": RunConfig(method=MethodConfig(name="clae", base="swav")),
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_what_does_not_fit_is_one_sentence(sentence):
    with pytest.raises(ValueError, match=sentence):
        resolve(REFUSED[sentence])
