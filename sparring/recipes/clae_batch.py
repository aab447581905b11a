"""Batch size (supplement, Tables 1 and 6; Fig. 5a): SimCLR with and without CLAE, with more and fewer negatives.

Data:  CIFAR-100; tiny-ImageNet.
Cost:  see `clae_rows.COST` and `COST_TINY`.
Run:   sparring reproduce clae.batch [clae.tiny-batch]
"""

from __future__ import annotations

from sparring.recipes.clae_rows import (
    LR,
    SIMCLR_100,
    SIMCLR_TINY,
    better_at_each,
    grid,
    name_of,
    on_cifar100,
    on_tiny,
    over,
    places,
    rising,
)
from sparring.recipes.claims import Claim

SIZES = {f"batch {n}": (n, {"training.batch_size": n}) for n in (64, 128, 256)}
SIZES_TINY = {f"batch {n}": (n, {"training.batch_size": n}) for n in (32, 64, 128)}
ROWS = grid("000_T1", SIMCLR_100, "batch_size", SIZES)

RECIPE = on_cifar100(
    name="clae.batch",
    title="Batch size, CIFAR-100",
    source="CLAE, supplement, Table 1 = Fig. 5a (CIFAR-100, ResNet-18, SimCLR)",
    rows=ROWS,
    drawings=over(ROWS, at=places({name: n for name, (n, _) in SIZES.items()}), axis="batch size", doubling=True),
    claims=(
        *better_at_each(SIZES, "CLAE, supplement, Table 1"),
        *rising(SIZES, "CLAE, section 4.4"),
        Claim(
            name_of("SimCLR", 0.03, "batch 64"),
            name_of("SimCLR", 0, "batch 256"),
            "CLAE at 0.03 with batch 64 is better than SimCLR with batch 256 (CLAE, section 4.4)",
            LR,
        ),
    ),
)
TINY = on_tiny(
    name="clae.tiny-batch",
    title="Batch size, tiny-ImageNet",
    source="CLAE, supplement, Table 6 (tiny-ImageNet, ResNet-18, SimCLR)",
    rows=grid("000_T6", SIMCLR_TINY, "batch_size", SIZES_TINY),
    claims=(
        *better_at_each(SIZES_TINY, "CLAE, supplement, Table 6"),
        *rising(SIZES_TINY, "CLAE, supplement, Table 6"),
    ),
)
