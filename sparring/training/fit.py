"""From a run folder to its last checkpoint: the encoder, Lightning's Trainer, this process's share of images."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy
from torch import nn

from sparring.config import RunConfig
from sparring.data import Batches, ImageSet, pipeline, small_crops
from sparring.data.views import half
from sparring.encoders import ContrastiveEncoder, build_encoder, load_weights
from sparring.encoders.bridge import feature_width
from sparring.encoders.exported import initial_weights, is_export
from sparring.training import checkpoints
from sparring.training.build import build_method, classifies, clusters, has_two_norms, needs_views
from sparring.training.check import device_of
from sparring.training.launch import on_this_machine
from sparring.training.loop import Loop
from sparring.training.module import ContrastiveModule
from sparring.training.probe import Probe
from sparring.training.progress import Display
from sparring.training.randomness import derive
from sparring.training.removal import has_two_stages
from sparring.training.run_folder import load_pseudo_labels
from sparring.training.signals import StopRequest, listening
from sparring.training.uniform import uniform_loss


def new_encoder(config: RunConfig, channels: int, classes: int, *, weights: Path | None = None) -> ContrastiveEncoder:
    """The encoder of a resolved configuration with its seeded first weights, or with those of `weights`.

    Methods that train a classifier get one for `classes` classes, those that cluster get prototypes and a queue.
    """
    assert config.data.image_size is not None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(config.training.seed, "weights"))
        encoder = build_encoder(
            config.encoder,
            channels=channels,
            image_size=config.data.image_size,
            dual=has_two_norms(config),
            classes=classes if classifies(config) else None,
            prototypes=config.method.prototypes if clusters(config) else None,
            queue=config.method.queue or 0,
        )
    if config.method.crops:  # which a backbone for one size of image cannot encode
        feature_width(encoder.backbone, str(config.encoder.name), channels, half(config.data.image_size))
    if weights is not None:
        load_weights(encoder, weights)
    return encoder


def weights_of(place: str) -> Path:
    """The weights that `init_from` names: a safetensors file, a checkpoint folder, a run folder (its newest), or an export."""
    path = Path(place)
    if is_export(path):
        return initial_weights(path)
    if path.is_dir():
        path = path if (path / checkpoints.WEIGHTS).is_file() else checkpoints.latest(path)
        path = path / checkpoints.WEIGHTS
    return path


def fit(
    run: Path,
    config: RunConfig,
    encoder: ContrastiveEncoder,
    train: ImageSet,
    resume: checkpoints.State | None = None,
    callbacks: Sequence[lightning.Callback] = (),
) -> None:
    """Train `encoder` in place, from `resume` or from the start, and leave checkpoints and metrics in `run`.

    `callbacks` are asked after our own.
    With more than one process (see launch.py) every process calls this; the first one writes.
    Raises FloatingPointError when a term is not finite, OSError when a checkpoint cannot be written, and Stopped
    (SystemExit 143) after a SIGTERM.
    """
    training, place = config.training, device_of(config)
    assert training.epochs is not None and training.batch_size is not None
    steps = len(train) // training.batch_size
    start_epoch, start_step = (0, 0) if resume is None else (resume.epoch, resume.step)
    if start_epoch >= training.epochs:
        return
    if training.channels_last:
        encoder.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    network: Any = encoder
    if training.processes > 1 and place.type == "cuda":
        network = nn.SyncBatchNorm.convert_sync_batchnorm(encoder)
    if training.compile:  # in place, and where it is called: `outputs` of a classifier goes past the encoder's own call
        (network.backbone if classifies(config) else network).compile()
    method = build_method(config)
    assert config.data.views is not None and config.data.image_size is not None
    views = pipeline(config.data.views, config.data.image_size)
    module = ContrastiveModule(
        network,
        method,
        replace(views, views=needs_views(config)),
        config,
        crops=small_crops(views, config.method.crops) if config.method.crops else None,
        steps_per_epoch=steps,
        start_epoch=start_epoch,
        start_step=start_step,
        pseudo_labels=load_pseudo_labels(run, len(train)) if has_two_stages(config) else None,
    )
    probe = None
    if train.labels is not None and training.probe_every:
        probe = Probe(train, config)
    with (
        quiet(),
        listening(StopRequest(one_of_several=training.processes > 1)) as request,
        torch.random.fork_rng(enabled=place.type == "cpu"),
    ):
        trainer = _trainer(config, run, training.epochs - start_epoch)
        display = Display(
            run / "log.txt" if trainer.is_global_zero else None, shown=training.progress and trainer.is_global_zero
        )
        left = len(train) - steps * training.batch_size
        left_out = f"; the {left} images beyond the last full batch differ from epoch to epoch" if left else ""
        display.say(f"{len(train):,} images, {steps:,} steps of {training.batch_size} an epoch{left_out}")
        if training.processes > 1 and place.type == "cpu":
            display.say("batch norms see the images of their own process only: synchronised ones exist on GPUs alone")
        loop = Loop(
            run,
            config,
            display,
            probe=probe,
            uniform=None if classifies(config) or clusters(config) else uniform_loss(method, training.batch_size),
            request=request,
            resume=resume,
        )
        trainer.callbacks.append(loop)  # pyright: ignore[reportAttributeAccessIssue]
        batches = Batches(
            train,
            training.batch_size,
            seed=training.seed,
            rank=trainer.global_rank,
            world_size=training.processes,
            device=trainer.strategy.root_device,
        )
        epochs = Epochs(batches, lambda: (module.epoch, start_step if module.current_epoch == 0 else 0))
        trainer.callbacks.extend(callbacks)  # pyright: ignore[reportAttributeAccessIssue]
        trainer.fit(module, train_dataloaders=epochs)
    encoder.to("cpu")


def _trainer(config: RunConfig, run: Path, epochs: int) -> lightning.Trainer:
    training, place = config.training, device_of(config)
    several = training.processes > 1
    trainer = lightning.Trainer(
        accelerator="gpu" if place.type == "cuda" else "cpu",
        devices=on_this_machine(training.processes),
        num_nodes=training.processes // on_this_machine(training.processes),
        strategy=DDPStrategy(process_group_backend="nccl" if place.type == "cuda" else "gloo") if several else "auto",
        # One process is one, whatever number of tasks a batch system's variables name: Lightning would refuse some.
        plugins=None if several else LightningEnvironment(),
        precision="bf16-mixed" if training.precision == "bf16" else "32-true",
        max_epochs=epochs,
        default_root_dir=run,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        inference_mode=False,
    )
    # Before each step Lightning asks all processes whether one got a SIGTERM, and waits for the answer; its handler tells
    # them in the middle of a step, in which they wait for one another for ever. Our own loop asks when it looks (loop.py).
    trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None
    trainer._signal_connector.register_signal_handlers = lambda: None
    return trainer


class Epochs:
    """One epoch of `batches` an iteration, from where the run stands. It has no length: a resumed epoch is shorter."""

    def __init__(self, batches: Batches, position: Callable[[], tuple[int, int]]) -> None:
        self.batches, self.position = batches, position

    def __iter__(self) -> Iterator[Any]:
        self.batches.set_epoch(*self.position())
        return iter(self.batches)


@contextmanager
def quiet() -> Iterator[None]:
    """Lightning's advice is meant for its own users; everything else that warns still does."""
    names = ("lightning.pytorch", "lightning.fabric", "lightning")
    levels = {name: logging.getLogger(name).level for name in names}
    try:
        for name in names:
            logging.getLogger(name).setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
