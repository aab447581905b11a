"""The ONNX file computes what torch computes, on batches of any size, or it is not written."""

import json
import sys

import numpy as np
import onnxruntime
import pytest
import torch

import sparring
from tests.exporting.tiny import SIDE, make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "run", "clae")


def test_it_computes_the_same_on_any_batch(run, tmp_path):
    out = sparring.export(run, tmp_path / "out", onnx=True, domain="adv")
    session = onnxruntime.InferenceSession(out / "encoder.onnx", providers=["CPUExecutionProvider"])
    encoder = sparring.from_pretrained(out)
    for n in (1, 2, 7):
        x = torch.rand(n, 3, SIDE, SIDE)
        (found,) = session.run(["features"], {"images": x.numpy()})
        np.testing.assert_allclose(found, encoder(x).detach().numpy(), atol=1e-5)
    check = json.loads((out / "onnx.json").read_text())
    assert 0 <= check["relative_difference"] <= check["tolerance"] == 1e-4 and check["images"] == 12
    assert (
        f"{check['relative_difference']:.1e} of the largest feature on 12 random images"
        in (out / "README.md").read_text()
    )
    assert "largest_difference" in check and check["versions"]["onnxruntime"] == onnxruntime.__version__


def test_a_file_that_differs_is_refused_and_nothing_stays(run, tmp_path, monkeypatch):
    class Other(onnxruntime.InferenceSession):
        def run(self, names, given):
            return [found + 1e-3 for found in super().run(names, given)]

    monkeypatch.setattr(onnxruntime, "InferenceSession", Other)
    with pytest.raises(RuntimeError, match=r"encoder.onnx differs from torch by .* at most 0.0001 is allowed"):
        sparring.export(run, tmp_path / "out", onnx=True)
    assert not list(tmp_path.iterdir())


def test_without_the_packages_that_is_one_sentence_before_any_work(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ValueError, match=r"--onnx needs onnxruntime, .* pip install 'sparring\[onnx\]'"):
        sparring.export(run, tmp_path / "out", onnx=True)
    assert not list(tmp_path.iterdir())
