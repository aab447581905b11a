"""Pair selectors: from what is known of the rows of a batch to the masks P(i) and A(i)."""

from sparring.pairs.local import hard, leaked, leaked_official, soft
from sparring.pairs.same_image import same_image
from sparring.pairs.same_label import same_label
from sparring.types import Pairs, Selector

__all__ = ["Pairs", "Selector", "hard", "leaked", "leaked_official", "same_image", "same_label", "soft"]
