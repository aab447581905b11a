"""Looking into an encoder: batch-norm statistics, losses against the radius, geometry and divergence of embeddings.

Pure functions on arrays and tensors.
"""

from sparring.analysis.batch_norm import LayerStatistics, statistics
from sparring.analysis.class_distances import ClassDistances, class_distances
from sparring.analysis.correlation import Correlation, correlation
from sparring.analysis.divergence import Divergence, divergence
from sparring.analysis.geometry import alignment, effective_rank, uniformity
from sparring.analysis.latent import LatentMap, latent_map, prediction_entropy
from sparring.analysis.perturbation import against_eps
from sparring.analysis.selection import Selected, SelectionCounts, selected, selection_counts
from sparring.analysis.slope import Slope, slope_through_zero
from sparring.analysis.susceptibility import Susceptibility, against_twin, gap_closed, relative_drop
from sparring.analysis.trade_off import Gap, TradeOff, gap, trade_off

__all__ = [
    "ClassDistances",
    "Correlation",
    "Divergence",
    "Gap",
    "LatentMap",
    "LayerStatistics",
    "Selected",
    "SelectionCounts",
    "Slope",
    "Susceptibility",
    "TradeOff",
    "against_eps",
    "against_twin",
    "alignment",
    "class_distances",
    "correlation",
    "divergence",
    "effective_rank",
    "gap",
    "gap_closed",
    "latent_map",
    "prediction_entropy",
    "relative_drop",
    "selected",
    "selection_counts",
    "slope_through_zero",
    "statistics",
    "trade_off",
    "uniformity",
]
