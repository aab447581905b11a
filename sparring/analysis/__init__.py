"""Looking into an encoder: batch-norm statistics, losses against the radius, geometry and divergence of embeddings.

Pure functions on arrays and tensors.
"""

from sparring.analysis.batch_norm import LayerStatistics, statistics
from sparring.analysis.correlation import Correlation, correlation
from sparring.analysis.divergence import Divergence, divergence
from sparring.analysis.geometry import alignment, effective_rank, uniformity
from sparring.analysis.latent import LatentMap, latent_map, prediction_entropy
from sparring.analysis.perturbation import against_eps
from sparring.analysis.selection import Selected, SelectionCounts, selected, selection_counts
from sparring.analysis.trade_off import Gap, TradeOff, gap, trade_off

__all__ = [
    "Correlation",
    "Divergence",
    "Gap",
    "LatentMap",
    "LayerStatistics",
    "Selected",
    "SelectionCounts",
    "TradeOff",
    "against_eps",
    "alignment",
    "correlation",
    "divergence",
    "effective_rank",
    "gap",
    "latent_map",
    "prediction_entropy",
    "selected",
    "selection_counts",
    "statistics",
    "trade_off",
    "uniformity",
]
