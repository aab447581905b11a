"""What cannot be trained is refused before any work: one sentence with the field, its value and what is allowed."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch

from sparring.attacks import check_radius
from sparring.config import RunConfig, TrainingConfig
from sparring.data import ImageSet, check_source, pipeline, pipeline_names, small_crops
from sparring.encoders import check_name
from sparring.encoders.head import HEADS
from sparring.methods import ACL
from sparring.training.build import build_method, choose, classifies, clusters, embeds, has_two_norms
from sparring.training.launch import on_this_machine


def at_least(field: str, value: int | float | None, least: int | float, why: str = "") -> None:
    """A ValueError unless `value` is a number of at least `least`."""
    if value is None or not value >= least:
        raise ValueError(f"{field} must be at least {least:g}, not {value}{why}")


def above(field: str, value: int | float | None, bound: int | float) -> None:
    """A ValueError unless `value` is a number above `bound`."""
    if value is None or not value > bound:
        raise ValueError(f"{field} must be more than {bound:g}, not {value}")


def check(config: RunConfig, needs_labels: bool) -> None:
    """Refuses a complete configuration that cannot be trained, without looking at the images."""
    choose("data.views", str(config.data.views), pipeline_names())
    if clusters(config):
        _prototypes(config)
    if config.method.mode not in (None, "ds") and config.method.alpha != ACL.alpha:
        raise ValueError(
            f"method.alpha is {config.method.alpha}, but it weighs the adversarial stream of mode ds; mode is "
            f"{config.method.mode}"
        )
    _data(config)
    _attack(config)
    _encoder(config)
    _training(config)
    _optimizer(config)
    _evaluation(config)
    if config.init_from is not None and not Path(config.init_from).exists():
        raise ValueError(f"init_from is {config.init_from}, but there is no such file")


def _data(config: RunConfig) -> None:
    data = config.data
    at_least("data.workers", data.workers, 0)
    check_source(data)


def _prototypes(config: RunConfig) -> None:
    method = config.method
    at_least("method.prototypes", method.prototypes, 2)
    above("method.sinkhorn_eps", method.sinkhorn_eps, 0)
    at_least("method.sinkhorn_steps", method.sinkhorn_steps, 1)
    if method.crops:
        small_crops(pipeline(str(config.data.views), 2), method.crops)


def _attack(config: RunConfig) -> None:
    attack = config.attack
    if attack.norm is None or attack.eps is None:
        return
    unit = None if attack.space == "pixel" else max(config.encoder.std or [1.0])
    check_radius("attack.eps", attack.eps, attack.norm, unit)


def _encoder(config: RunConfig) -> None:
    encoder = config.encoder
    check_name(str(encoder.name))
    choose("encoder.head", str(encoder.head), HEADS)
    if encoder.head != "none":
        at_least("encoder.dim", encoder.dim, 2)
    if encoder.head != "none" and classifies(config) and not embeds(config):
        raise ValueError(
            f"encoder.head is {encoder.head}, but {config.method.name} trains no embedding: it must be none"
        )
    mean, std = encoder.mean or [], encoder.std or []
    if len(mean) != len(std):
        raise ValueError(f"encoder.mean and encoder.std must be equally long, not {len(mean)} and {len(std)}")
    if not all(value > 0 for value in std):
        raise ValueError(f"encoder.std must be more than 0 in every channel, not {std}")


def _training(config: RunConfig) -> None:
    training = config.training
    at_least("training.epochs", training.epochs, 1)
    at_least("training.batch_size", training.batch_size, 2, why=": one image has no other to be told from")
    if training.accumulate != 1:
        raise ValueError(
            f"training.accumulate must be 1, not {training.accumulate}: the negatives of a contrastive loss are the "
            "other images of the batch, and accumulated gradients would only see those of the micro-batch"
        )
    at_least("training.seed", training.seed, 0)
    if training.seed >= 2**63:
        raise ValueError(f"training.seed must be less than 2^63, not {training.seed}")
    choose("training.precision", training.precision, ("float32", "bf16"))
    choose("training.device", training.device, ("auto", "cpu", "cuda"))
    at_least("training.processes", training.processes, 1)
    at_least("training.checkpoint_every", training.checkpoint_every, 1)
    at_least("training.probe_every", training.probe_every, 0)
    assert training.batch_size is not None
    if training.batch_size % training.processes or training.batch_size // training.processes < 2:
        raise ValueError(
            f"training.batch_size is {training.batch_size}, which {training.processes} processes cannot share equally "
            "with at least 2 images each"
        )
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if training.device == "cuda" and not gpus:
        raise ValueError("training.device is cuda, but no CUDA device is available; choose cpu or auto")
    here = on_this_machine(training.processes)
    if device_of(config).type == "cuda" and here > gpus:
        raise ValueError(f"training.processes is {here} on this machine, but it has {gpus} GPUs, one a process")


def check_computes(training: TrainingConfig) -> None:
    """A ValueError for a number format, or a compilation, that the device here cannot do; the latter is tried."""
    device = device_of(RunConfig(training=training))
    if training.precision == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise ValueError(
            f"training.precision is bf16, which {torch.cuda.get_device_name(device)} cannot compute: it must be float32"
        )
    if training.compile:
        try:
            torch.compile(_one_more)(torch.ones(2, device=device))
        except Exception as error:
            why = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise ValueError(
                f"training.compile is true, but torch.compile does not run on this machine: {why}"
            ) from error


def _one_more(x: torch.Tensor) -> torch.Tensor:
    return x + 1


def _optimizer(config: RunConfig) -> None:
    optimizer, epochs = config.optimizer, config.training.epochs
    assert epochs is not None
    choose("optimizer.name", str(optimizer.name), ("sgd", "adam", "lars"))
    choose("optimizer.schedule", str(optimizer.schedule), ("constant", "step", "cosine"))
    above("optimizer.lr", optimizer.lr, 0)
    at_least("optimizer.weight_decay", optimizer.weight_decay, 0)
    if optimizer.momentum is None or not 0 <= optimizer.momentum < 1:
        raise ValueError(f"optimizer.momentum must be at least 0 and less than 1, not {optimizer.momentum}")
    milestones, factors = optimizer.milestones or [], optimizer.factors or []
    if len(milestones) != len(factors):
        raise ValueError(
            f"optimizer.milestones and optimizer.factors must be equally long, not {len(milestones)} and {len(factors)}"
        )
    if milestones != sorted(set(milestones)) or any(milestone < 1 for milestone in milestones):
        raise ValueError(f"optimizer.milestones must be rising epochs from 1 on, not {milestones}")
    if any(not factor > 0 for factor in factors):
        raise ValueError(f"optimizer.factors must be more than 0, not {factors}")
    if milestones and optimizer.schedule != "step":
        raise ValueError(f"optimizer.milestones is {milestones}, but schedule {optimizer.schedule} has no milestones")
    if optimizer.schedule == "step" and not milestones:
        raise ValueError(
            "optimizer.milestones must be given with optimizer.schedule step (and optimizer.factors), not left empty"
        )
    at_least("optimizer.warmup_epochs", optimizer.warmup_epochs, 0)
    if optimizer.warmup_epochs and optimizer.warmup_epochs >= epochs:
        raise ValueError(
            f"optimizer.warmup_epochs must be less than training.epochs ({epochs}), not {optimizer.warmup_epochs}"
        )


def _evaluation(config: RunConfig) -> None:
    evaluation = config.evaluation
    at_least("evaluation.knn_k", evaluation.knn_k, 1)
    above("evaluation.knn_temperature", evaluation.knn_temperature, 0)
    at_least("evaluation.logistic_epochs", evaluation.logistic_epochs, 1)
    above("evaluation.logistic_lr", evaluation.logistic_lr, 0)
    if evaluation.finetune_epochs is not None:
        at_least("evaluation.finetune_epochs", evaluation.finetune_epochs, 1)
    at_least("evaluation.logistic_batch_size", evaluation.logistic_batch_size, 1)
    if evaluation.domain == "adv" and not has_two_norms(config):
        raise ValueError(f"evaluation.domain is adv, but {config.method.name} has one batch norm, the clean one")
    for eps in evaluation.attack_eps:
        at_least("evaluation.attack_eps", eps, 0)


def check_images(config: RunConfig, train: ImageSet, needs_labels: bool) -> None:
    """Refuses what the images themselves rule out: too few for a batch or for kNN, or no labels."""
    images, batch_size, k = len(train), config.training.batch_size, config.evaluation.knn_k
    assert batch_size is not None and k is not None
    if batch_size > images:
        raise ValueError(f"training.batch_size is {batch_size}, but {train.name} has only {images} training images")
    if needs_labels and train.labels is None:
        whom = config.method.name if build_method(config).needs_labels else f"method.pairs {config.method.pairs}"
        raise ValueError(f"{whom} needs labels, but the training images of {train.name} have none")
    if needs_labels and train.labels is not None:
        alone = [train.classes[int(label)] for label in (train.labels.bincount() == 1).nonzero()[:, 0]]
        if alone:
            named = ", ".join(alone[:5]) + (", ..." if len(alone) > 5 else "")
            warnings.warn(
                f"of {len(alone)} of the {len(train.classes)} classes there is a single training image ({named}): it has no "
                "other of its class",
                stacklevel=2,
            )
    if train.labels is not None and k > images:
        raise ValueError(
            f"evaluation.knn_k is {k}, but {train.name} has only {images} training images to be neighbours"
        )


def device_of(config: RunConfig) -> torch.device:
    """The device that `training.device` means here."""
    wanted = config.training.device
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted)
