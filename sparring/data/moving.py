"""From the CPU, where random parameters are drawn, to the device that holds the images."""

from __future__ import annotations

import torch
from torch import Tensor


def moved(parameters: Tensor, device: torch.device) -> Tensor:
    """`parameters` on `device`, without waiting for what the device has still to do.

    A GPU copies from page-locked memory by itself. From ordinary memory it may first finish all that was queued before
    (CUDA's "API synchronization behavior"), whatever `non_blocking` says.
    """
    if device.type == "cuda":
        parameters = parameters.pin_memory()
    return parameters.to(device, non_blocking=True)
