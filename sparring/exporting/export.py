"""From a run to a folder for others: weights with one plain batch norm a layer, what they are, and how good."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file

from sparring import __version__, norms
from sparring.encoders import ContrastiveEncoder, load_weights, read_weights, rebuild, save_weights
from sparring.encoders.exported import CONFIG, SCHEMA, WEIGHTS, WHOLE, digest
from sparring.exporting.card import CARD, model_card
from sparring.exporting.keys import FORMATS, LIBRARIES, bare, check_same, model_of, prefix_of
from sparring.exporting.onnx import CHECK, MODEL, check_installed, write_onnx
from sparring.exporting.pretrained import PretrainedEncoder
from sparring.norms.dual import DOMAINS
from sparring.reporting.run_folder import own_folder, read_run
from sparring.training import checkpoints, run_folder
from sparring.training.resume import run_and_checkpoint
from sparring.types import Domain

FILES = (CARD, CONFIG, WEIGHTS, MODEL, CHECK)
"""What an exported folder holds."""
IMAGES = 4
"""Random images on which two networks are compared."""


@dataclass(frozen=True)
class Source:
    """The encoder of a run's checkpoint, as it was trained."""

    run: Path
    checkpoint: Path
    encoder: ContrastiveEncoder
    domain: Domain


def export(
    run: Path | str,
    out: Path | str,
    *,
    domain: Domain | None = None,
    format: Literal["safetensors", "torchvision", "timm"] = "safetensors",
    onnx: bool = False,
    data_licence: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a run's encoder with `domain`'s batch norms to the folder `out`, and return its path.

    `run` is a run folder (its last epoch) or RUN/checkpoints/epoch-0010. `domain` None is the one that the run was measured
    with. `format` safetensors holds backbone, head and classifier under our names; torchvision and timm hold the backbone
    under theirs, after it was loaded strictly into their network and gave the same features. config.json says the rest,
    README.md is the model card, made of the run's files alone. `onnx` adds encoder.onnx with its numerical check.

    The folder appears when all of it is written; one that is there stays, also one that `out` is a link to, or the current one.
    Raises ValueError, before anything is written, for a place that is no run,
    a run that is not finished (one of its checkpoints may be named), `domain` adv of a single batch norm, a format that
    the architecture does not have, `out` with files in it (with `overwrite`, an export alone is replaced), and `onnx` without
    its packages; RuntimeError if features in the other library or runtime differ.
    """
    out = Path(out)
    if format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, not {format!r}")
    check_out(out, overwrite)
    if onnx:
        check_installed()
    source = _source(run, domain)
    name = source.encoder.architecture["encoder"]["name"]
    if format in LIBRARIES:
        model_of(name, format)
    encoder = _plain(source)
    place = out.resolve()
    writing = place.with_name(f".{place.name}.writing")
    shutil.rmtree(writing, ignore_errors=True)
    writing.mkdir(parents=True)
    try:
        config = _write(source, encoder, format, writing)
        checked = None
        if onnx:
            side, channels = config["image_size"], config["channels"]
            checked = write_onnx(PretrainedEncoder(encoder, config).eval(), writing, channels, side)
        (writing / CARD).write_text(model_card(source.run, config, checked, data_licence))
        _give_name(writing, place)
    finally:
        shutil.rmtree(writing, ignore_errors=True)
    return out


def _give_name(written: Path, place: Path) -> None:
    """config.json goes first and comes last: without it a folder is no export."""
    if not place.exists():
        written.rename(place)
        return
    for name in (CONFIG, *FILES):
        (place / name).unlink(missing_ok=True)
    for file in sorted(written.iterdir(), key=lambda file: file.name == CONFIG):
        file.replace(place / file.name)


def check_out(out: Path, overwrite: bool) -> None:
    """A ValueError unless `out` is new or empty, or an earlier export and nothing else that may be replaced."""
    if not out.exists():
        return
    if not out.is_dir():
        raise ValueError(f"out is {out}, which is a file, not a folder")
    found = sorted(path.name for path in out.iterdir())
    foreign = [name for name in found if name not in FILES]
    if foreign or (found and CONFIG not in found):
        raise ValueError(f"out is {out}, which holds {(foreign or found)[0]}: choose a new or empty folder")
    if found and not overwrite:
        raise ValueError(
            f"out is {out}, which holds an earlier export: choose another folder, or --overwrite to replace it"
        )


def _source(place: Path | str, domain: Domain | None) -> Source:
    run, checkpoint = run_and_checkpoint(str(place), field="RUN")
    config = run_folder.load_config(run)
    done, steps = checkpoints.position(checkpoint)
    if Path(place) == run and (done < (config.training.epochs or 0) or steps):
        raise ValueError(
            f"{run} is not finished: {done} of {config.training.epochs} epochs; continue it with sparring train --resume {run}, "
            f"or name the checkpoint, {checkpoint}"
        )
    checkpoints.verify(checkpoint)
    weights = checkpoint / checkpoints.WEIGHTS
    architecture = read_weights(weights)[1]
    if not architecture:
        raise ValueError(f"{weights} does not say which architecture it belongs to, so it cannot be exported")
    with torch.random.fork_rng(devices=[]):
        encoder = rebuild(architecture)
    load_weights(encoder, weights)
    domain = domain or config.evaluation.domain or "clean"
    if domain not in DOMAINS:
        raise ValueError(f"domain must be one of {', '.join(DOMAINS)}, not {domain!r}")
    if domain == "adv" and not norms.has_domains(encoder):
        raise ValueError(f"domain is adv, but {run} has one batch norm a layer, or none; it must be clean")
    return Source(run, checkpoint, encoder.eval(), domain)


def _plain(source: Source) -> ContrastiveEncoder:
    """The same encoder with one batch norm a layer and without prototypes and their queue, which training alone needs."""
    architecture = source.encoder.architecture | {"dual": False, "prototypes": None, "queue": 0}
    with torch.random.fork_rng(devices=[]):
        plain = rebuild(architecture)
    tensors = norms.extract(source.encoder, source.domain).state_dict()
    plain.load_state_dict({key: value for key, value in tensors.items() if not key.startswith("prototypes.")})
    return plain.eval()


def _write(source: Source, encoder: ContrastiveEncoder, format: str, folder: Path) -> dict[str, Any]:
    """The weights and config.json; the latter is returned."""
    architecture = encoder.architecture
    channels, side = architecture["channels"], architecture["image_size"]
    images = torch.rand(IMAGES, channels, side, side, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before, after = source.encoder.represent(images, source.domain), encoder.represent(images)
    if not torch.equal(before, after):
        raise RuntimeError(
            f"the encoder gives other features with the {source.domain} batch norms alone: a fault of sparring"
        )
    difference = None
    if format == WHOLE:
        save_weights(encoder, folder / WEIGHTS)
    else:
        difference = check_same(encoder, format, images)
        save_file({key: value.contiguous() for key, value in bare(encoder).items()}, folder / WEIGHTS, {"format": "pt"})
        bare_encoder = architecture["encoder"] | {"head": "none", "hidden": None}
        architecture = architecture | {"encoder": bare_encoder, "classes": None}
    trained = read_run(source.run).environment
    config = {
        "schema": SCHEMA,
        "format": format,
        "prefix": "" if format == WHOLE else prefix_of(encoder),
        "name": architecture["encoder"]["name"],
        "channels": channels,
        "image_size": side,
        "mean": architecture["encoder"]["mean"],
        "std": architecture["encoder"]["std"],
        "features": encoder.features,
        "domain": source.domain,
        "knn_temperature": run_folder.load_config(source.run).evaluation.knn_temperature,
        "norms": "one batch norm a layer" + (", extracted from two" if norms.has_domains(source.encoder) else ""),
        "run": own_folder(source.run.resolve()).name,
        "checkpoint": source.checkpoint.name,
        "trained": {"sparring": trained.get("versions", {}).get("sparring"), "commit": trained.get("commit")},
        "exported": {"sparring": __version__, "commit": run_folder.commit()},
        "largest_difference_in_library": difference,
        "sha256": digest(folder / WEIGHTS),
        "architecture": architecture,
    }
    run_folder.write_json(folder / CONFIG, config)
    return config
