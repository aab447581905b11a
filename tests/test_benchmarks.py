"""The arithmetic of `benchmarks/step_cost.py` is that of the steps which are made, counted in two independent ways."""

import json
import math
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from benchmarks import step_cost
from benchmarks.step_cost import ROWS, Passes, Trained, measure

BATCH = 4
ATTACKED = [name for name, row in ROWS.items() if hasattr(row.method, "attack")]


def tiny(row):
    return Trained(row, "wrn-10-1", BATCH, 8, "cpu", nullcontext())


class Taps:
    """Counts at one layer, by nodes of the graph: images forwarded, gradients of its output and of its weight."""

    def __init__(self, layer: nn.Module):
        self.forward = self.backward = self.weight = 0
        self.images: list[int] = []
        taps = self

        class Tap(torch.autograd.Function):
            @staticmethod
            def forward(ctx, weight):
                ctx.call = len(taps.images)
                taps.images.append(0)
                return weight.clone()

            @staticmethod
            def backward(ctx, *gradients):
                taps.weight += taps.images[ctx.call]
                return gradients[0]

        class TappedWeight(nn.Module):
            def forward(self, weight):
                return Tap.apply(weight)

        def forwarded(_, __, out):
            images = len(out)
            self.images[-1] = images
            self.forward += images
            if out.requires_grad:
                out.register_hook(lambda _: setattr(self, "backward", self.backward + images))

        layer.register_forward_hook(forwarded)
        parametrize.register_parametrization(layer, "weight", TappedWeight())
        self.forward = self.backward = self.weight = 0
        self.images.clear()

    def passes(self) -> Passes:
        return Passes(self.forward / BATCH, (self.backward - self.weight) / BATCH, self.weight / BATCH)


def convolutions(trained: Trained) -> list[nn.Module]:
    return [module for module in trained.encoder.modules() if isinstance(module, nn.Conv2d)]


@pytest.mark.parametrize("name", ROWS)
def test_a_step_makes_the_passes_of_its_arithmetic(name):
    trained = tiny(ROWS[name])
    taps = [Taps(layer) for layer in (convolutions(trained)[0], convolutions(trained)[-1])]
    assert trained.counted() == ROWS[name].passes
    assert [tap.passes() for tap in taps] == [ROWS[name].passes] * 2


class WatchedAttack:
    """An attack that notes which parameters' gradients were computed while it ran."""

    def __init__(self, attack, encoder: nn.Module):
        self.attack, self.encoder = attack, encoder
        self.running, self.called = False, False
        self.computed: set[str] = set()
        for name, parameter in encoder.named_parameters():
            parameter.register_hook(lambda _, name=name: self.computed.add(name) if self.running else None)

    def __getattr__(self, name):
        return getattr(self.attack, name)

    def __call__(self, *args, **kwargs):
        self.running = self.called = True
        x_adv = self.attack(*args, **kwargs)
        self.running = False
        assert self.computed or all(p.grad is None for p in self.encoder.parameters())
        return x_adv


def parameters_differentiated_by(attack, row) -> set[str]:
    trained = tiny(row)
    watched = WatchedAttack(attack, trained.encoder)
    trained.row = replace(row, method=replace(row.method, attack=watched))
    trained.step()
    assert watched.called
    return watched.computed


class TestAttacks:
    @pytest.mark.parametrize("name", ATTACKED)
    def test_no_step_of_an_attack_computes_a_parameters_gradient(self, name):
        assert parameters_differentiated_by(ROWS[name].method.attack, ROWS[name]) == set()

    def test_the_published_form_computes_them_all(self):
        row = ROWS["adversarial_training"]
        computed = parameters_differentiated_by(step_cost.PublishedPGD(), row)
        assert computed == {name for name, _ in tiny(row).encoder.named_parameters()}


class TestArithmetic:
    @pytest.mark.parametrize(
        ("name", "ours", "published"),
        [
            ("natural", 1, None),
            ("adversarial_training", 26 / 3, 13),
            ("trades", 26 / 3, 41 / 3),
            ("adr", 8, 28 / 3),
            ("ascl leaked", 26 / 3, 13),
            ("simclr", 1, None),
            ("clae", 11 / 6, 5 / 2),
            ("rocl", 4, 6),
            ("acl", 16 / 3, 7),
            ("simclr recall", 1, None),
        ],
    )
    def test_steps_of_the_reference_at_1_1_2(self, name, ours, published):
        row = ROWS[name]
        reference = ROWS[row.over].passes.cost()
        assert math.isclose(row.passes.cost() / reference, ours)
        if published:
            assert row.published is not None
            assert math.isclose(row.published.cost() / reference, published)

    def test_own_shares_weigh_the_passes(self):
        assert Passes(4, 1, 3).cost(f=10, x=9, b=21, u=2) == 40 + 9 + 63 + 2

    def test_published_rows_run_what_the_published_column_says(self):
        for name in ("adversarial_training", "clae"):
            assert ROWS[f"{name} published"].passes == ROWS[name].published


class TestMeasure:
    def test_figures_are_those_of_the_seconds(self, monkeypatch):
        seconds = {"natural": iter([9, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0]), "trades": iter([9, 8.0, 20.0])}
        names = {id(ROWS[name].method): name for name in seconds}
        monkeypatch.setattr(Trained, "step", lambda self: next(seconds[names[id(self.row.method)]]))
        monkeypatch.setattr(Trained, "shares", lambda self: (1.0, 1.5, 2.5, 0.5))
        monkeypatch.setattr(Trained, "counted", lambda self: self.step() and self.row.passes)
        rows = {"natural": ROWS["natural"], "trades": ROWS["trades"]}
        trades = measure(rows, 2, tiny)["rows"]["trades"]
        assert trades["ratio"] == pytest.approx((8 / 1 + 20 / 2) / 2)
        assert (trades["ratio_min"], trades["ratio_max"], trades["repeats"]) == (8.0, 10.0, 2)
        assert trades["ratio_own_shares"] == pytest.approx((12 + 15 + 5 + 0.5) / (1 + 2.5 + 0.5))
        assert trades["deviation"] == pytest.approx(9 / 8.125 - 1)

    def test_a_step_that_makes_other_passes_is_refused(self):
        rows = {"natural": replace(ROWS["natural"], passes=Passes(2, 0, 1))}
        with pytest.raises(ValueError, match="natural makes 1 f \\+ 0 x \\+ 1 b, but its arithmetic says 2 f"):
            measure(rows, 1, tiny)

    def test_a_whole_run(self, tmp_path, monkeypatch, capsys):
        words = ["--batch", "4", "--image-size", "8", "--repeats", "1", "--methods", "clae", "--device", "cpu"]
        monkeypatch.setattr("sys.argv", ["step_cost", *words, "--json", str(tmp_path / "cost.json")])
        step_cost.main()
        written = json.loads((tmp_path / "cost.json").read_text())
        assert list(written["rows"]) == ["simclr", "clae"]
        assert all(row["ratio"] > 0 for row in written["rows"].values())
        assert written["environment"]["versions"]["torch"] == torch.__version__
        out = capsys.readouterr().out
        assert "must be at most 1.95" in out and "4 f + 1 x + 3 b" in out
