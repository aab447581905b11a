"""Pure functions of embeddings and masks."""

from sparring.losses.contrastive import info_nce, instance_discrimination

__all__ = ["info_nce", "instance_discrimination"]
