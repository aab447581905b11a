"""Contrastive representation learning with an adversary.

The rooms, each usable without the others: `losses`, `pairs`, `attacks`, `norms`, `encoders`, `methods`, `data`,
`training`, `evaluation`, `analysis`, `reporting`. Importing `sparring` itself imports nothing heavy.
"""

__version__ = "0.1.0"
