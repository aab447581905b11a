"""What AutoAttack asks of images and of a model, and what it leaves as it was in the process around it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from sparring.attacks.protect import leaving_no_trace
from sparring.attacks.region import OVERSHOOT

Model = Callable[[Tensor], Any]
"""From images in [0, 1] to logits; an nn.Module or not."""


def check_images(x: Tensor, y: Tensor) -> None:
    """ValueError for images and labels that are none, whatever the model."""
    if x.ndim != 4 or not x.is_floating_point():
        raise ValueError(f"x is {x.dtype} of shape {tuple(x.shape)}; it must be floating-point images [n, C, H, W].")
    if len(x) == 0:
        raise ValueError("x holds no images; there is nothing to attack.")
    low, high = (float(v) for v in x.detach().aminmax())
    if not (low >= -OVERSHOOT and high <= 1 + OVERSHOOT):
        raise ValueError(
            f"x lies in [{low:.4g}, {high:.4g}]; it must lie in [0, 1] (normalisation belongs in the model)."
        )
    if y.shape != (len(x),) or y.is_floating_point() or y.dtype == torch.bool:
        raise ValueError(
            f"y is {y.dtype} of shape {tuple(y.shape)}; it must be a whole number for each of {len(x)} images."
        )


def check_logits(logits: object, images: int) -> Tensor:
    """The logits, if the model returned logits for so many images."""
    if not isinstance(logits, Tensor):
        raise ValueError(f"the model returned a {type(logits).__name__}; it must return a tensor of logits [B, K].")
    if logits.ndim != 2 or len(logits) != images or logits.shape[1] < 2 or not logits.is_floating_point():
        raise ValueError(
            f"the model returned {logits.dtype} of shape {tuple(logits.shape)} for {images} images; it must return "
            f"floating-point logits [{images}, K] for K >= 2 classes."
        )
    return logits


def check_scale(logits: Float[Tensor, "B K"], dtype: torch.dtype) -> None:
    """ValueError for probabilities (computed in `dtype`): cross-entropy and DLR would be those of other scores."""
    error = (logits.sum(dim=1) - 1).abs().max().item()
    if logits.min() >= 0 and error < (1e-4 if dtype.itemsize >= 4 else 2e-2):
        raise ValueError(
            "the model returns probabilities (no number is negative and every row sums to one); cross-entropy and DLR "
            "need logits, the scores before the softmax. Square alone, members=('square',), does without."
        )


def check_labels(y: Int[Tensor, " n"], classes: int) -> None:
    """ValueError for a label that is no class of the model."""
    wrong = ((y < 0) | (y >= classes)).nonzero().flatten()
    if len(wrong):
        first = int(wrong[0])
        raise ValueError(f"y is {int(y[first])} at image {first}; the model has {classes} classes, 0 to {classes - 1}.")


def check_numbers(logits: Float[Tensor, "B K"], rows: Int[Tensor, " B"], when: str) -> None:
    """ValueError that names the image whose logits are not numbers."""
    nan = logits.isnan().any(dim=1).nonzero().flatten()
    if len(nan):
        raise ValueError(
            f"the model returns NaN at image {int(rows[int(nan[0])])} {when}; no verdict can rest on that."
        )


def check_gradient(logits: Float[Tensor, "B K"]) -> None:
    """ValueError if no gradient leads from the logits to the images."""
    if not logits.requires_grad:
        raise ValueError(
            "the model's logits cannot be differentiated with respect to the images; only members=('square',) does "
            "without gradients."
        )


def place_of(model: Model, x: Shaped[Tensor, "..."]) -> torch.device:
    """Where the model's parameters are; where the images are if it has none."""
    if isinstance(model, nn.Module):
        return next((parameter.device for parameter in model.parameters()), x.device)
    return x.device


@contextmanager
def undisturbed(model: Model, device: torch.device) -> Iterator[None]:
    """Gradients off, modules in evaluation mode, and afterwards modes and global randomness as they were.

    pyautoattack seeds the random state of every device. Where CUDA has not been started yet, the seed waits in a queue
    to be set when it is: the queue is put back too.
    """
    with ExitStack() as stack:
        stack.enter_context(leaving_no_trace(device))
        stack.enter_context(torch.no_grad())
        started = torch.cuda.is_available() and torch.cuda.is_initialized()
        stack.enter_context(torch.random.fork_rng(range(torch.cuda.device_count()) if started else []))
        queue = getattr(torch.cuda, "_lazy_seed_tracker", None)
        waiting = dict(vars(queue)) if queue is not None else {}
        numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002  (put back, not drawn from)
        modes = [(m, m.training) for m in model.modules()] if isinstance(model, nn.Module) else []
        try:
            if isinstance(model, nn.Module):
                model.eval()
            yield
        finally:
            for module, mode in modes:
                module.training = mode
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002
            if queue is not None:
                vars(queue).update(waiting)


@contextmanager
def refusing_training_mode(model: Model) -> Iterator[None]:
    """ValueError if a function calls a module in training mode: which modules it has shows only when it runs."""
    if isinstance(model, nn.Module):
        yield
        return

    def look(module: nn.Module, _: Any) -> None:
        if module.training:
            raise ValueError(
                f"the model is a function that calls a {type(module).__name__} in training mode; call .eval() on it "
                "first, or pass the module itself."
            )

    handle = nn.modules.module.register_module_forward_pre_hook(look)
    try:
        yield
    finally:
        handle.remove()
