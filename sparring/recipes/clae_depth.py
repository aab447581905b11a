"""Depth of the encoder (supplement, Tables 3 and 8; Fig. 5c): CLAE gains more on deeper ones.

Data:  CIFAR-100 with batch 64; tiny-ImageNet with batch 32.
Cost:  ResNet-50 and ResNet-101 take about 3 and 5 times as long as ResNet-18, see `clae_rows.COST` and `COST_TINY`.
Run:   sparring reproduce clae.depth [clae.tiny-depth]
"""

from __future__ import annotations

from collections.abc import Mapping

from sparring.recipes.clae_rows import (
    LR,
    RADII,
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
from sparring.recipes.gains import GainsMore

DEPTHS = {
    f"ResNet-{n}": (f"resnet{n}", {"encoder.name": f"resnet{n}", "training.batch_size": 64}) for n in (18, 50, 101)
}
DEPTHS_TINY = {
    f"ResNet-{n}": (f"resnet{n}", {"encoder.name": f"torchvision:resnet{n}", "training.batch_size": 32})
    for n in (18, 50)
}


def gains_more(depths: Mapping[str, object], where: str) -> tuple[GainsMore, ...]:
    """CLAE's gain over SimCLR is larger on the deepest encoder than on the least deep one, at both radii; that is, CLAE gains
    more from depth than SimCLR."""
    first, *_, last = depths
    return tuple(
        GainsMore(
            (name_of("SimCLR", eps, last), name_of("SimCLR", 0, last)),
            (name_of("SimCLR", eps, first), name_of("SimCLR", 0, first)),
            f"CLAE at {eps:g} gains more on {last} than on {first} ({where})",
            LR,
        )
        for eps in RADII
        if eps
    )


ROWS = grid("000_T3", SIMCLR_100, "arch", DEPTHS)

RECIPE = on_cifar100(
    name="clae.depth",
    title="Depth of the encoder, CIFAR-100",
    source="CLAE, supplement, Table 3 = Fig. 5c (CIFAR-100, batch 64, SimCLR)",
    rows=ROWS,
    drawings=over(ROWS, at=places({name: name for name in DEPTHS}), axis="encoder"),
    claims=(
        *better_at_each(DEPTHS, "CLAE, supplement, Table 3"),
        *rising(DEPTHS, "CLAE, section 4.4"),
        *gains_more(DEPTHS, "CLAE, section 4.4"),
        Claim(
            name_of("SimCLR", 0.03, "ResNet-18"),
            name_of("SimCLR", 0, "ResNet-101"),
            "ResNet-18 with CLAE at 0.03 is better than ResNet-101 with SimCLR (CLAE, section 4.4)",
            LR,
        ),
    ),
)
TINY = on_tiny(
    name="clae.tiny-depth",
    title="Depth of the encoder, tiny-ImageNet",
    source="CLAE, supplement, Table 8 (tiny-ImageNet, batch 32, SimCLR)",
    rows=grid("000_T8", SIMCLR_TINY, "arch", DEPTHS_TINY),
    claims=(
        *better_at_each(DEPTHS_TINY, "CLAE, supplement, Table 8"),
        *rising(DEPTHS_TINY, "CLAE, supplement, Table 8"),
        *gains_more(DEPTHS_TINY, "CLAE, supplement, Table 8"),
    ),
)
