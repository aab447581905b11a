"""The radius eps of the adversary (supplement, Tables 5 and 10; Fig. 6b): 0 is SimCLR.

That performance is "quite stable with eps" is not judged: the paper gives no margin, and a difference that is not found shows no
equality. Judged is that every radius beats none.

Data:  CIFAR-100; tiny-ImageNet.
Cost:  see `clae_rows.COST` and `COST_TINY`; `short` is about 2 minutes a row on one CPU core.
Run:   sparring reproduce clae.eps [clae.tiny-eps]
"""

from __future__ import annotations

from sparring.config import RunConfig
from sparring.recipes.clae_rows import (
    KNN,
    LAST,
    LOGISTIC,
    LR,
    SIMCLR_100,
    SIMCLR_TINY,
    against,
    method_of,
    name_of,
    on_cifar100,
    on_tiny,
    over,
)
from sparring.recipes.claims import Claim
from sparring.recipes.paper import printed
from sparring.recipes.recipe import Row

RADII = tuple(k / 100 for k in range(11))


def rows(table: str, run: RunConfig) -> tuple[Row, ...]:
    """SimCLR against every radius."""
    return tuple(
        Row(name_of("SimCLR", eps), against(run, eps), printed(table, method_of("SimCLR", eps), eps=eps))
        for eps in RADII
    )


def claims(where: str, measures: tuple[str, ...]) -> tuple[Claim, ...]:
    """Every radius is better than none."""
    return tuple(
        Claim(name_of("SimCLR", eps), "SimCLR", f"CLAE at {eps:g} is better than SimCLR ({where})", measures)
        for eps in RADII
        if eps
    )


ROWS = rows("000_T5", SIMCLR_100)

RECIPE = on_cifar100(
    name="clae.eps",
    title="Radius of the adversary, CIFAR-100",
    source="CLAE, supplement, Table 5 = Fig. 6b (CIFAR-100, ResNet-18, SimCLR)",
    rows=ROWS,
    drawings=over(
        ROWS,
        at={name_of("SimCLR", eps): ("SimCLR+CLAE", eps) for eps in RADII},
        axis="eps",
        more="eps in normalised units; 0 is SimCLR.",
        columns=(KNN, LOGISTIC),
    ),
    columns=(KNN, LOGISTIC, LAST),
    protocols=("knn", "logistic"),
    claims=claims("CLAE, section 4.4", ("knn", *LR)),
)
TINY = on_tiny(
    name="clae.tiny-eps",
    title="Radius of the adversary, tiny-ImageNet",
    source="CLAE, supplement, Table 10 (tiny-ImageNet, ResNet-18, SimCLR)",
    rows=rows("000_T10", SIMCLR_TINY),
    claims=claims("CLAE, supplement, Table 10", LR),
)
