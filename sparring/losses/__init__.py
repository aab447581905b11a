"""Pure functions of embeddings, class scores and masks. Cross-entropy is torch's."""

from sparring.losses.adr import confidence, global_compactness, local_compactness, local_smoothness
from sparring.losses.classification import divergence, trades, vat
from sparring.losses.contrastive import Similarity, info_nce, instance_discrimination
from sparring.losses.prototypes import sinkhorn, swapped_prediction

__all__ = [
    "Similarity",
    "confidence",
    "divergence",
    "global_compactness",
    "info_nce",
    "instance_discrimination",
    "local_compactness",
    "local_smoothness",
    "sinkhorn",
    "swapped_prediction",
    "trades",
    "vat",
]
