"""Contrastive representation learning with an adversary.

The rooms, each usable without the others: `losses`, `pairs`, `attacks`, `norms`, `encoders`, `methods`, `data`,
`training`, `evaluation`, `analysis`, `reporting`. Importing `sparring` itself imports nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparring.exporting import export, from_pretrained

__version__ = "0.1.0"
__all__ = ["__version__", "export", "from_pretrained"]


def __getattr__(name: str) -> Any:
    if name in ("export", "from_pretrained"):
        from sparring import exporting

        return getattr(exporting, name)
    raise AttributeError(f"module 'sparring' has no attribute {name!r}")
