"""Looking into an encoder: batch-norm statistics, losses against the radius, geometry of embeddings. Pure functions."""

from sparring.analysis.batch_norm import LayerStatistics, statistics
from sparring.analysis.geometry import alignment, effective_rank, uniformity
from sparring.analysis.perturbation import against_eps

__all__ = ["LayerStatistics", "against_eps", "alignment", "effective_rank", "statistics", "uniformity"]
