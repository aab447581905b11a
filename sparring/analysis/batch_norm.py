"""Running statistics of the two batch norms of every layer (CLAE, Fig. 4: how far apart clean and adversarial are)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@dataclass(frozen=True)
class LayerStatistics:
    """Running mean and variance per channel of one layer, for clean and for adversarial examples."""

    clean_mean: Float[np.ndarray, " C"]
    adv_mean: Float[np.ndarray, " C"]
    clean_var: Float[np.ndarray, " C"]
    adv_var: Float[np.ndarray, " C"]

    @property
    def mean_gap(self) -> float:
        """Mean over channels of |mean_adv - mean_clean| / sqrt(var_clean): how many clean standard deviations apart."""
        return float(np.mean(np.abs(self.adv_mean - self.clean_mean) / np.sqrt(self.clean_var + 1e-12)))

    @property
    def var_ratio(self) -> float:
        """Geometric mean over channels of var_adv / var_clean."""
        return float(np.exp(np.mean(np.log((self.adv_var + 1e-12) / (self.clean_var + 1e-12)))))


def statistics(encoder: nn.Module) -> dict[str, LayerStatistics]:
    """Running statistics of every layer that has a batch norm `clean` and a batch norm `adv`, in the order of modules.

    Empty for a network without a second batch norm. Layers that keep no running statistics are left out.
    """
    found = {}
    for name, module in encoder.named_modules():
        clean, adv = getattr(module, "clean", None), getattr(module, "adv", None)
        if not (isinstance(clean, _BatchNorm) and isinstance(adv, _BatchNorm)):
            continue
        values = (clean.running_mean, adv.running_mean, clean.running_var, adv.running_var)
        tensors = [value for value in values if value is not None]
        if len(tensors) == len(values):
            found[name] = LayerStatistics(*(t.detach().float().cpu().numpy().copy() for t in tensors))
    return found
