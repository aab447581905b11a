"""`benchmarks/throughput.py`: its shares against hand-made traces, its counts against torch's, and one whole run."""

import json
import time
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.autograd import DeviceType
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import throughput
from benchmarks.throughput import UPDATE, WINDOW, CountingFlop, busy, lines, look, peak
from sparring.methods import SimCLR
from sparring.training.loop import Loop


def event(name, start, end, device=DeviceType.CPU, note=False):
    time_range = SimpleNamespace(start=start, end=end, elapsed_us=lambda: end - start)
    return SimpleNamespace(name=name, time_range=time_range, device_type=device, is_user_annotation=note)


def kernel(start, end, name="gemm", note=False):
    return event(name, start, end, DeviceType.CUDA, note)


TRACE = [
    event("loop: fetch", 0, 90),  # before the window
    event(WINDOW, 100, 1100),
    event("loop: fetch", 110, 130),
    event("loop: batch", 150, 1050),
    event("loop: [Strategy]SingleDeviceStrategy.training_step", 200, 600),
    event("aten::_local_scalar_dense", 300, 301),
    event("loop: [Strategy]SingleDeviceStrategy.backward", 600, 900),
    event("loop: [Callback]Loop.on_after_backward", 880, 890),
    event(UPDATE, 900, 1000),
    event("aten::_local_scalar_dense", 950, 951),
    event("cudaStreamSynchronize", 1010, 1020),
    event("cudaDeviceSynchronize", 1090, 1095),
    event("aten::_local_scalar_dense", 1200, 1201),
]


class TestLook:
    def test_shares_of_a_trace(self):
        seen = look(TRACE, 1.0, 1)
        assert seen.outside == pytest.approx(0.2)
        assert seen.where == pytest.approx(
            {"batch": 0.1, "window": 0.08, "fetch": 0.02, "[Callback]Loop.on_after_backward": 0.01}
        )
        assert seen.idle is None

    def test_waits_leave_out_the_optimisers_counters_and_the_windows_own(self):
        assert look(TRACE, 1.0, 1).waits == {"aten::_local_scalar_dense": 1, "cudaStreamSynchronize": 1}

    def test_waiting_copies_and_the_idle_share_of_a_gpu(self):
        device = [
            kernel(100, 400),
            kernel(300, 600),  # on another stream
            kernel(700, 800, "Memcpy HtoD (Pageable -> Device)"),
            kernel(900, 1300),
            kernel(0, 1500, "window", note=True),
        ]
        seen = look(TRACE + device, 1.0, 1)
        assert seen.idle == pytest.approx(1 - 0.8)
        assert seen.waits["Memcpy HtoD (Pageable"] == 1
        assert busy(device, 100, 1100) == 800


def test_flop_are_those_of_torchs_counter():
    net, x = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(180, 4)), torch.rand(2, 3, 8, 8)
    with CountingFlop() as ours:
        net(x).sum().backward()
    with FlopCounterMode(display=False) as theirs:
        net(x).sum().backward()
    assert ours.flop == theirs.get_total_flops() > 2 * 2 * 5 * 27 * 36


def test_an_unknown_gpu_has_no_peak(monkeypatch):
    for name, known in (("NVIDIA H200", 989.4e12), ("Some other GPU", None)):
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _, name=name: SimpleNamespace(name=name))
        assert peak("cuda", "bf16")[0] == known


def test_a_loop_that_wastes_its_time_fails():
    row = {
        "images_per_second": 10.0,
        "seconds_per_step": {"median": 1.0, "min": 0.9, "max": 1.1},
        "outside_the_step": {"median": 0.06, "min": 0.04, "max": 0.07},
        "where": {"fetch": 0.05},
        "gpu_idle": None,
        "waits_per_step": {},
        "flop_per_step": 5e9,
        "flop_per_second": 5e9,
    }
    assert "FAIL" in lines("simclr", row, 1e10, judged=True)[1]
    assert "50.0% of the peak" in lines("simclr", row, 1e10, judged=True)[-1]
    row["outside_the_step"]["median"] = 0.05
    assert "pass" in lines("simclr", row, 1e10, judged=True)[1]
    assert "peak unknown" in lines("simclr", row, None, judged=True)[-1]


TINY = ["--network", "python:tests.training.runs.backbone", "--image-size", "8", "--batch-size", "8"]


def run(monkeypatch, tmp_path, *words):
    monkeypatch.setattr(
        "sys.argv", ["throughput", *TINY, *words, "--device", "cpu", "--out", str(tmp_path / "out.json")]
    )
    throughput.main()
    return json.loads((tmp_path / "out.json").read_text())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_one_sentence(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["throughput", "--device", "cuda"])
    with pytest.raises(SystemExit, match="2"):
        throughput.main()
    assert "--device is cuda, but this machine has no GPU" in capsys.readouterr().err


@pytest.fixture
def small_peak(monkeypatch):
    monkeypatch.setattr(throughput, "peak", lambda device, precision: peak(device, precision, size=32, repeats=1))


@pytest.mark.usefixtures("small_peak")
class TestRuns:
    def test_a_whole_run(self, tmp_path, monkeypatch, capsys):
        written = run(monkeypatch, tmp_path, "--methods", "clae", "--rounds", "2", "--peak-tflops", "0.5")
        row = written["rows"]["clae"]
        assert 0 < row["outside_the_step"]["min"] <= row["outside_the_step"]["max"] < 1
        assert row["images_per_second"] == pytest.approx(8 / row["seconds_per_step"]["median"])
        assert row["flop_per_second"] * row["seconds_per_step"]["median"] == pytest.approx(row["flop_per_step"])
        assert row["waits_per_step"] == {}
        assert written["peak"] == {"flop_per_second": 0.5e12, "source": "--peak-tflops"}
        assert written["environment"]["seed"] == 0
        assert "2 rounds of 2 steps after 1" in capsys.readouterr().out

    def test_what_a_loop_wastes_and_waits_for_is_seen(self, tmp_path, monkeypatch):
        end, call = Loop.on_train_batch_end, SimCLR.__call__

        def slow(self, *args, **kwargs):
            time.sleep(0.5)
            end(self, *args, **kwargs)

        def waiting(self, encoder, batch):
            terms = call(self, encoder, batch)
            terms["nt_xent"].item()
            return terms

        monkeypatch.setattr(Loop, "on_train_batch_end", slow)
        monkeypatch.setattr(SimCLR, "__call__", waiting)
        row = run(monkeypatch, tmp_path, "--methods", "simclr", "--rounds", "1")["rows"]["simclr"]
        assert row["outside_the_step"]["median"] > 0.1
        assert next(iter(row["where"])) == "[Callback]Loop.on_train_batch_end"
        assert row["waits_per_step"] == {"aten::_local_scalar_dense": 1}
