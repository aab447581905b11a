"""Encoders that others published, from the checkpoint files of their repositories."""

from sparring.encoders.published.hub import HUBS, weights_of
from sparring.encoders.published.importer import Published, load_published
from sparring.encoders.published.layouts import LAYOUTS, Layout
from sparring.encoders.published.report import KeyReport

__all__ = ["HUBS", "LAYOUTS", "KeyReport", "Layout", "Published", "load_published", "weights_of"]
