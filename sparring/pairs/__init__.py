"""Pair selectors: from what is known of the rows of a batch to the masks P(i) and A(i)."""

from sparring.pairs.choice import check_whole_images, fixed, looks_at_embeddings, removal_quality, select
from sparring.pairs.false_negatives import Frequency, Precision, PseudoLabels, Recall
from sparring.pairs.local import hard, leaked, leaked_official, soft
from sparring.pairs.replacement import Replacement, Unit
from sparring.pairs.same_image import same_image
from sparring.pairs.same_label import same_label
from sparring.types import Pairs, Selector

__all__ = [
    "Frequency",
    "Pairs",
    "Precision",
    "PseudoLabels",
    "Recall",
    "Replacement",
    "Selector",
    "Unit",
    "check_whole_images",
    "fixed",
    "hard",
    "leaked",
    "leaked_official",
    "looks_at_embeddings",
    "removal_quality",
    "same_image",
    "same_label",
    "select",
    "soft",
]
