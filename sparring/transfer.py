"""The encoder of a trained run transferred to other data sets: measured, written into its folder, with a report."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from sparring import configuration
from sparring.config import RunConfig
from sparring.data import ImageSet, Target, about, open_target
from sparring.data.transfer import batches
from sparring.evaluation import Transfer, features
from sparring.evaluation.protocols import Split
from sparring.evaluation.robust import Progress
from sparring.measuring import TRANSFER, TransferConfig
from sparring.reporting import write_report
from sparring.training import checkpoints, new_encoder, resolve, run_folder
from sparring.training.build import classifies
from sparring.training.check import device_of
from sparring.training.resume import run_and_checkpoint
from sparring.types import Encoder

LARGEST = 224
"""Pixels a side in the paper's protocol."""
FILE = "transfer.json"


def check(config: TransferConfig) -> list[str]:
    """The names of the data sets, `all` spelled out; a ValueError for what cannot be measured, before any work."""
    names = [*TRANSFER] if config.name == ["all"] else list(config.name)
    if not names:
        raise ValueError(f"transfer.name names no data set; it takes {', '.join(TRANSFER)}, or all")
    for name in names:
        if name not in TRANSFER:
            near = get_close_matches(name, TRANSFER, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"transfer.name must be among {', '.join(TRANSFER)}, or all, not {name!r}{hint}")
    if len(set(names)) < len(names):
        raise ValueError(f"transfer.name names a data set twice: {', '.join(names)}")
    for field, least in (("image_size", 1), ("workers", 0), ("seed", 0)):
        value = getattr(config, field)
        if value is not None and value < least:
            raise ValueError(f"transfer.{field} must be at least {least}, not {value}")
    if config.root is not None and not config.download and not config.generated and not Path(config.root).is_dir():
        raise ValueError(f"transfer.root is {config.root}, but there is no such folder")
    return names


def of_a_run(
    place: str | Path,
    settings: dict[str, Any],
    transfer: TransferConfig,
    *,
    progress: Progress | None = None,
    protocol: Transfer | None = None,
) -> dict[str, dict[str, Any]]:
    """Measure the checkpoint that `place` names on every data set, and write transfer.json and report.html into its run.

    One entry a data set; of one that is not there, or damaged, `{"left_out": sentence}`, and the others are measured.
    Earlier figures are kept as transfer-1.json and so on. `settings` (dotted names) go on top of the run's. Raises
    ValueError, before any work, for what cannot be measured, and if none of the data sets is there.
    """
    names = check(transfer)
    run, checkpoint = run_and_checkpoint(place, field="RUN")
    checkpoints.verify(checkpoint)
    config = resolve(configuration.build(configuration.read_yaml(run / "config.yaml") | settings))
    protocol = protocol or Transfer(layer=transfer.layer, domain=config.evaluation.domain or "clean")
    size = size_of(config, transfer)
    with run_folder.held(run):
        targets = opened(names, transfer, size, progress)
        encoder, channels = encoder_of(config, checkpoint / checkpoints.WEIGHTS)
        entries = measure(encoder, targets, protocol, size, channels, device=str(device_of(config)), progress=progress)
        epochs = checkpoints.position(checkpoint)[0]
        written = {
            "schema": 1,
            "protocol": protocol.settings,
            "label": protocol.label,
            "subject": {
                "words": f"{config.method.name} on {config.data.name} after {epochs:,} epochs",
                "checkpoint": checkpoint.name,
                "domain": protocol.domain,
            },
            "image_size": size,
            "seed": transfer.seed,
            "sets": entries,
            "environment": run_folder.environment(config.training.seed),
        }
        run_folder.keep_earlier(run, "transfer")
        run_folder.write_json(run / FILE, written)
        write_report(run)
    return entries


def opened(
    names: Sequence[str], config: TransferConfig, size: int, progress: Progress | None = None
) -> dict[str, Target | str]:
    """Every data set, or the sentence that says why it is left out; a ValueError if all are."""
    found: dict[str, Target | str] = {}
    for name in names:
        try:
            found[name] = open_target(name, config, size, progress=_told(progress, f"{name}: files"))
        except ValueError as error:
            found[name] = str(error)
    reasons = [target for target in found.values() if isinstance(target, str)]
    if len(reasons) == len(found):
        more = f" (and {len(reasons) - 1} others are missing too)" if len(reasons) > 1 else ""
        raise ValueError(f"{reasons[0]}{more}")
    return found


def measure(
    encoder: Encoder,
    targets: dict[str, Target | str],
    protocol: Transfer,
    size: int,
    channels: int,
    *,
    device: str = "cpu",
    progress: Progress | None = None,
) -> dict[str, dict[str, Any]]:
    """One entry a data set: the protocol's, with how the data set was divided and at which size its images were seen."""

    def split(images: ImageSet) -> Split:
        shown = batches(images, size, channels)
        rows = features(encoder, shown, layer=protocol.layer, domain=protocol.domain, device=device)
        assert images.labels is not None
        return Split(rows.to(device), images.labels)

    entries: dict[str, dict[str, Any]] = {}
    for name, target in targets.items():
        if isinstance(target, str):
            entries[name] = {"left_out": target}
            continue
        start = time.perf_counter()
        try:
            train, val, test = (split(part) for part in (target.train, target.val, target.test))
            told = _told(progress, f"{name}: penalties")
            entry = protocol.measure(train, val, test, len(target.train.classes), TRANSFER[name], progress=told)
        except ValueError as error:  # a file that is cut off shows only when it is decoded
            entries[name] = {"left_out": str(error)}
            continue
        words = (
            f"L-BFGS logistic regression on {protocol.layer}, l2 {entry['l2']:.3g} of {protocol.count} chosen on "
            f"{entry['n_val']:,} validation images, {entry['metric']}, {size} px, {target.selection}"
        )
        entries[name] = {
            "data": name,
            "words": words,
            **entry,
            "image_size": size,
            "selection": target.selection,
            "seconds": time.perf_counter() - start,
        }
    return entries


def size_of(config: RunConfig, transfer: TransferConfig) -> int:
    """Pixels a side that the encoder is shown."""
    return transfer.image_size or min(LARGEST, config.data.image_size or LARGEST)


def encoder_of(config: RunConfig, weights: Path) -> tuple[Any, int]:
    """The encoder of a run and its channels, without its training images: the weights say how many classes there were."""
    from safetensors import safe_open

    channels = about(config.data.name).channels
    classes = 1
    if classifies(config):
        with safe_open(weights, "pt") as stored:
            classes = stored.get_slice("classifier.weight").get_shape()[0]
    encoder = new_encoder(config, channels, classes, weights=weights)
    return encoder.to(device_of(config)), channels


def _told(progress: Progress | None, what: str) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    return lambda done, total: progress(what, done, total, None)
