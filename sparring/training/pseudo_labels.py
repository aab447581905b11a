"""Pseudo-labels in two stages: a first encoder is trained, k-means clusters its features, the clusters are the labels.

Stage 1 is SimCLR with the run's own encoder, data, optimiser and length, in the run's folder stage-1 (a run folder like any
other), or the finished run that `removal.stage_1` names. Its final encoder gives h of every un-augmented training image;
k-means (scikit-learn, the best of INITIALISATIONS seeded starts) finds `removal.clusters` clusters. Stage 2 is the run
itself. True labels are never used; where they exist, purity and mutual information are written beside the clusters.

RUN/pseudo-labels.npz holds `cluster` [n], in the order of the training set; RUN/pseudo-labels.json what is known of them.

Paper: Gupta et al. 2022, section 5, "Clustering-based (static)", K 20.
Differs from: nothing that is known; where the paper is silent our readings are k-means on h (not on z), of un-augmented
       images, the best of 10 starts, and a first stage as long as the second.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sparring.config import AttackConfig, MethodConfig, RemovalConfig, RunConfig
from sparring.data import ImageSet
from sparring.evaluation import features
from sparring.training.check import device_of
from sparring.training.checkpoints import WEIGHTS, checkpoints, latest, position, verify
from sparring.training.fit import new_encoder
from sparring.training.launch import launched_by_others
from sparring.training.progress import Display
from sparring.training.randomness import derive
from sparring.training.removal import has_two_stages
from sparring.training.resume import run_and_checkpoint
from sparring.training.run_folder import FIRST_STAGE, PSEUDO_LABELS, load_config, write_json
from sparring.training.signals import Stopped

INITIALISATIONS = 10


def check_stages(config: RunConfig, images: ImageSet) -> None:
    """Refuses, before any work, what two stages cannot be made of."""
    if not has_two_stages(config):
        return
    if launched_by_others():
        raise ValueError(
            "method.pairs is pseudo_labels, whose two stages no outer launcher can run: use training.processes on one machine"
        )
    removal = config.removal
    if removal.clusters > len(images):
        raise ValueError(f"removal.clusters is {removal.clusters}, but {images.name} has only {len(images)} images")
    if removal.stage_1 is None or config.resume is not None:
        return
    run, checkpoint = run_and_checkpoint(removal.stage_1, field="removal.stage_1")
    stored = load_config(run)
    if not finished(run):
        raise ValueError(
            f"removal.stage_1 is {removal.stage_1}, but that run stopped after {position(checkpoint)[0]} of "
            f"{stored.training.epochs} epochs: finish it with sparring train --resume {run}"
        )
    if stored.data.image_size != images.image_size:
        raise ValueError(
            f"removal.stage_1 is {removal.stage_1}, which was trained on images of {stored.data.image_size} pixels a side, "
            f"but these have {images.image_size}"
        )


def finished(run: Path) -> bool:
    """Whether the last epoch of a run is saved."""
    saved = checkpoints(run)
    return bool(saved) and position(saved[-1])[0] == load_config(run).training.epochs


def ensure_pseudo_labels(run: Path, config: RunConfig, images: ImageSet, train: Callable[[RunConfig], Path]) -> None:
    """Leave the clusters in `run`, unless they are there: train the first stage by `train`, or continue it, and cluster."""
    if (run / PSEUDO_LABELS).is_file():
        return
    display = Display(run / "log.txt", shown=config.training.progress)
    stage_1 = _first_stage(run, config, train, display)
    found = _cluster(config, stage_1, images)
    known: dict[str, Any] = {"clusters": config.removal.clusters, "sizes": np.bincount(found).tolist()}
    known |= {"stage_1": str(config.removal.stage_1 or FIRST_STAGE), "checkpoint": latest(stage_1).name}
    sentence = f"{len(found):,} images in {config.removal.clusters} clusters"
    if images.labels is not None:
        quality = agreement(found, images.labels.numpy())
        known |= quality
        sentence += (
            f", purity {quality['purity']:.3f}, normalised mutual information {quality['nmi']:.3f} with the labels"
        )
    write_json((run / PSEUDO_LABELS).with_suffix(".json"), known)
    writing = run / f".{PSEUDO_LABELS}.writing"
    with writing.open("wb") as file:
        np.savez(file, cluster=found)
    writing.replace(run / PSEUDO_LABELS)
    display.say(sentence)


def agreement(found: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Purity, the part of the images that belong to the commonest class of their cluster, and normalised mutual
    information of clusters and classes; both as fractions."""
    from sklearn.metrics import normalized_mutual_info_score

    commonest = sum(np.bincount(labels[found == cluster]).max() for cluster in np.unique(found))
    return {"purity": float(commonest / len(found)), "nmi": float(normalized_mutual_info_score(labels, found))}


def stage_1_config(config: RunConfig, folder: Path) -> RunConfig:
    """SimCLR, otherwise as `config` says."""
    own = "simclr" in (config.method.name, config.method.base)
    return replace(
        config,
        method=MethodConfig(name="simclr", pairs="same_image", temperature=config.method.temperature if own else None),
        attack=AttackConfig(),
        removal=RemovalConfig(),
        evaluation=replace(config.evaluation, domain="clean"),
        out=str(folder),
        overwrite=False,
        resume=None,
        init_from=None,
    )


def _first_stage(run: Path, config: RunConfig, train: Callable[[RunConfig], Path], display: Display) -> Path:
    """The finished run of the first stage."""
    if config.removal.stage_1 is not None:
        return run_and_checkpoint(config.removal.stage_1, field="removal.stage_1")[0]
    folder = run / FIRST_STAGE
    try:
        if not checkpoints(folder):
            shutil.rmtree(folder, ignore_errors=True)
            display.say("first stage: SimCLR, whose features are clustered")
            train(stage_1_config(config, folder))
        elif not finished(folder):
            train(RunConfig(resume=str(folder)))
    except Stopped as stopped:
        message = f"stopped by a signal in the first stage, saved; continue with: sparring train --resume {run}"
        raise Stopped(int(stopped.code or 0), message) from None
    return folder


def _cluster(config: RunConfig, stage_1: Path, images: ImageSet) -> np.ndarray:
    """The cluster of each training image, by k-means on the representations of the last checkpoint of `stage_1`."""
    from sklearn.cluster import KMeans

    checkpoint = latest(stage_1)
    verify(checkpoint)
    encoder = new_encoder(load_config(stage_1), images.channels, len(images.classes), weights=checkpoint / WEIGHTS)
    h = features(encoder, images.images, layer="h", device=device_of(config)).numpy()
    seed = derive(config.training.seed, "clusters") % 2**32
    settings: Any = {"n_clusters": config.removal.clusters, "n_init": INITIALISATIONS, "random_state": seed}
    return KMeans(**settings).fit_predict(h).astype(np.int64)
