"""An encoder as an ONNX file, checked against torch on random images before it is believed.

    difference = max |h_onnx - h_torch| / max |h_torch|

Differs from: nothing published; 1e-4 is a hundred times the rounding of float32 features and a hundredth of what moves a
cosine in its second digit.
"""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sparring.training import run_folder

MODEL, CHECK = "encoder.onnx", "onnx.json"
TOLERANCE = 1e-4
BATCHES = (1, 3, 8)
"""Sizes of the batches that are compared: the file takes any."""
EXTRA = ("onnx", "onnxscript", "onnxruntime")


def check_installed() -> None:
    """Raises ValueError unless the optional packages are there."""
    for name in EXTRA:
        try:
            importlib.import_module(name)
        except ImportError:
            raise ValueError(f"--onnx needs {name}, which is not installed: pip install 'sparring[onnx]'") from None


def write_onnx(
    encoder: nn.Module, folder: Path, channels: int, image_size: int, *, tolerance: float = TOLERANCE, seed: int = 0
) -> dict[str, Any]:
    """Write encoder.onnx (images [batch, C, S, S] in [0, 1] -> features [batch, D]) and onnx.json, which is returned.

    The batch axis is free, the normalisation inside. ONNX Runtime computes seeded uniform images on the CPU, and the largest
    difference stands in onnx.json. Raises RuntimeError, leaving neither file, if it is above `tolerance`, and if the encoder
    cannot be written as ONNX.
    """
    check_installed()
    onnxruntime: Any = importlib.import_module("onnxruntime")
    generator = torch.Generator().manual_seed(seed)
    batches = [torch.rand(n, channels, image_size, image_size, generator=generator) for n in BATCHES]
    path = folder / MODEL
    try:
        with warnings.catch_warnings(action="ignore"):  # of the exporter's own machinery
            torch.onnx.export(
                encoder,
                (batches[1],),
                path,
                input_names=["images"],
                output_names=["features"],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                external_data=False,
                verbose=False,
                dynamo=True,
            )
            session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
            found = [torch.from_numpy(session.run(None, {"images": x.numpy()})[0]) for x in batches]
    except Exception as error:  # the exporter and the runtime have classes of their own
        path.unlink(missing_ok=True)
        first = (str(error).strip().splitlines() or [""])[0]
        raise RuntimeError(f"the encoder cannot be written as ONNX: {type(error).__name__}: {first}") from error
    with torch.no_grad():
        wanted = [encoder(x) for x in batches]
    largest = max((a - b).abs().max().item() for a, b in zip(found, wanted, strict=True))
    scale = max(b.abs().max().item() for b in wanted)
    difference = largest / max(scale, 1e-12)
    check = {
        "largest_difference": largest,
        "largest_feature": scale,
        "relative_difference": difference,
        "tolerance": tolerance,
        "images": sum(BATCHES),
        "batches": list(BATCHES),
        "seed": seed,
        "provider": "CPUExecutionProvider",
        "versions": {name: str(importlib.import_module(name).__version__) for name in ("torch", *EXTRA)},
    }
    if not difference <= tolerance:
        path.unlink()
        raise RuntimeError(
            f"{MODEL} differs from torch by {difference:.2g} of the largest feature on {sum(BATCHES)} random images; at most "
            f"{tolerance:.2g} is allowed, so nothing was exported"
        )
    run_folder.write_json(folder / CHECK, check)
    return check
