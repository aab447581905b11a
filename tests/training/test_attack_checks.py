"""What stands in the place of waiting for the device in every step: checks that are read when the loop looks."""

import signal

import lightning
import pytest
import torch

from sparring.attacks import PGD, Linf, watched
from sparring.data import pipeline
from sparring.methods import CLAE, SimCLR
from sparring.training import latest, loop, new_encoder, resolve, train
from sparring.training.fit import _trainer
from sparring.training.module import ContrastiveModule
from tests.training.runs import tiny


class TestAttacksChecks:
    """What an attack complains of is kept on a GPU until the loop looks, and then says the same."""

    @staticmethod
    def nan_at(value):
        def objective(x):
            return (x * value).sum()

        return objective

    def test_kept_and_in_order(self, monkeypatch):
        monkeypatch.setattr(watched, "free_to_read", lambda _: False)
        attack, x = PGD(Linf(0.1), steps=2, random_start=False), torch.full((2, 3, 4, 4), 0.5)
        with pytest.raises(FloatingPointError, match="not finite at step 1 of 2"):
            attack(self.nan_at(float("nan")), x)
        with watched.keeping_checks() as checks:
            attack(self.nan_at(1.0), x)
            attack(self.nan_at(float("nan")), x)
            attack(self.nan_at(1.0), x + 1)
        assert [bool(fine) for fine, _ in checks] == [True, True, True, True, False, False, False, True, True]
        assert str(checks[4][1]()) == "the gradient of the objective is not finite at step 1 of 2 of the attack."
        assert "x lies in [1.5, 1.5]" in str(checks[6][1]())
        with pytest.raises(FloatingPointError):
            attack(self.nan_at(float("nan")), x)

    @pytest.mark.parametrize("at_once", [True, False])
    def test_the_run_says_where_it_stopped(self, tmp_path, monkeypatch, at_once):
        objective = CLAE.objective

        def spoilt(self, encoder, a, batch):
            found = objective(self, encoder, a, batch)
            return (lambda x: found(x) * float("nan")) if batch.epoch == 1 else found

        monkeypatch.setattr(CLAE, "objective", spoilt)
        monkeypatch.setattr(watched, "free_to_read", lambda _: at_once)
        sentence = "step 0 of epoch 1, inside the attack: the gradient of the objective is not finite at step 1 of 1"
        with pytest.raises(FloatingPointError, match=sentence):
            train(tiny(tmp_path / "run", epochs=2))
        assert latest(tmp_path / "run").name == "epoch-0001"

    @pytest.mark.parametrize(
        ("term_at", "error", "sentence"),
        [
            (None, FloatingPointError("g"), "stopped at step 2 of epoch 300, inside the attack: g"),
            (2, FloatingPointError("g"), "stopped at step 2 of epoch 300, inside the attack: g"),
            (3, ValueError("x lies"), "^x lies$"),
            (1, FloatingPointError("g"), "'loss' became NaN or infinite at step 1 of epoch 300"),
        ],
    )
    def test_what_came_first_is_reported(self, tmp_path, term_at, error, sentence):
        config = resolve(tiny(tmp_path))
        views, encoder = pipeline("simclr", 8), new_encoder(config, 3, 4)
        module = ContrastiveModule(encoder, SimCLR(), views, config, steps_per_epoch=9, start_epoch=300)
        module.begin_epoch()
        for step in range(4):
            module._record({"loss": torch.tensor(float("nan") if step == term_at else 1.0)}, {}, step)
        fine, bad = torch.tensor(True), torch.tensor(False)
        module.attacks = [
            (1, [(fine, Exception)]),
            (2, [(fine, Exception), (bad, lambda: error)]),
            (3, [(bad, Exception)]),
        ]
        with pytest.raises((FloatingPointError, ValueError), match=sentence):
            module.check_finite()


def test_lightning_asks_nobody_before_a_step_and_hears_no_signal(tmp_path):
    asked = "_broadcast_sigterm_tensor"
    assert callable(getattr(type(lightning.Trainer(logger=False).fit_loop.epoch_loop), asked))
    trainer = _trainer(resolve(tiny(tmp_path)), tmp_path, 1)
    assert getattr(trainer.fit_loop.epoch_loop, asked)() is None
    registered, before = "register_signal_handlers", signal.getsignal(signal.SIGTERM)
    assert callable(getattr(type(trainer._signal_connector), registered))
    getattr(trainer._signal_connector, registered)()
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(("seconds", "steps"), [(1e9, [1, 4, 7]), (0.0, list(range(1, 9)))])
def test_a_gpu_is_looked_at_after_so_many_steps_or_seconds(tmp_path, monkeypatch, seconds, steps):
    made, looks = [], []
    training_step, check_finite = ContrastiveModule.training_step, ContrastiveModule.check_finite
    monkeypatch.setattr(loop, "_looks_are_free", lambda module: False)
    monkeypatch.setattr(loop, "LOOK_EVERY", 3)
    monkeypatch.setattr(loop, "LOOK_SECONDS", seconds)
    monkeypatch.setattr(ContrastiveModule, "training_step", lambda *a: made.append(1) or training_step(*a))
    monkeypatch.setattr(ContrastiveModule, "check_finite", lambda *a: looks.append(len(made)) or check_finite(*a))
    train(tiny(tmp_path / "run", method="simclr", epochs=1, batch_size=8, probe_every=0))
    assert looks == [*steps, 8]  # and at the epoch's end
