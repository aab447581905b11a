"""From a configuration to a trained run folder: check everything first, then train."""

from __future__ import annotations

import shutil
from pathlib import Path

from sparring.config import RunConfig
from sparring.data import load_images
from sparring.training.check import check_computes, check_images
from sparring.training.checkpoints import WEIGHTS, latest, load_state
from sparring.training.defaults import never_used, shrink
from sparring.training.fit import fit, new_encoder, weights_of
from sparring.training.launch import check_launched, is_first, launch, launched_by_others
from sparring.training.progress import Display
from sparring.training.pseudo_labels import check_stages, ensure_pseudo_labels
from sparring.training.removal import has_two_stages
from sparring.training.resolve import needs_labels, resolve
from sparring.training.resume import run_to_continue
from sparring.training.run_folder import choose_folder, create, held, save_config


def train(config: RunConfig) -> Path:
    """Train; the path of the run folder.

    The folder holds config.yaml (complete, rerunnable), environment.json, metrics.jsonl (one line an epoch), log.txt,
    tensorboard/, checkpoints/ and weights.safetensors (the last epoch's). `sparring.experiment.run` measures it too.
    Raises ValueError with one sentence for whatever can be known to be wrong beforehand, before anything is written;
    see `sparring.training.fit` for what can go wrong while training. With pseudo-labels the first stage is trained before,
    in the run's folder (see pseudo_labels.py).
    """
    given, config = config, resolve(config)
    train_images, _ = load_images(config.data, seed=config.training.seed)
    config.data.image_size = train_images.image_size
    notices = [*shrink(config, given, len(train_images)), *never_used(config)]
    check_images(config, train_images, needs_labels(config))
    check_stages(config, train_images)
    check_launched(config.training.processes)
    check_computes(config.training)
    run, checkpoint, state, weights = choose_folder(config), None, None, None
    if config.resume is not None:
        run, checkpoint = run_to_continue(config.resume)
    if checkpoint is not None:
        state, weights = load_state(checkpoint), checkpoint / WEIGHTS
    elif config.init_from is not None:
        weights = weights_of(config.init_from)
    encoder = new_encoder(config, train_images.channels, len(train_images.classes), weights=weights)
    if not is_first():
        fit(run, config, encoder, train_images, state)
        return run
    with held(run, "wait for it, or choose another --out"):
        if config.resume is None:
            create(config, run)
        else:
            save_config(config, run / "config.yaml")
        if state is not None and state.epoch >= (config.training.epochs or 0):
            notices.append(f"nothing is left to train: {run} has all of its {state.epoch:,} epochs")
        display = Display(run / "log.txt", shown=config.training.progress)
        for notice in notices:
            display.say(notice)
        if has_two_stages(config):
            ensure_pseudo_labels(run, config, train_images, train)
        if config.training.processes > 1 and not launched_by_others():
            launch(run, config.training.processes, checkpoint)
        else:
            fit(run, config, encoder, train_images, state)
        shutil.copyfile(latest(run) / WEIGHTS, run / WEIGHTS)
    return run
