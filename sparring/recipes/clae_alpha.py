"""The weight alpha of the adversarial term (supplement, Tables 4 and 9; Fig. 6a): 0 is SimCLR, CLAE's default 1.

The text sees the peak "around" 0.8: judged is that 0.8 is better than both ends, 0.2 and 2, not that nothing is better than 0.8.
That accuracy is "fairly stable" above 0.2 is not judged: the paper gives no margin, and a difference that is not found shows no
equality.

Data:  CIFAR-100; tiny-ImageNet.
Cost:  see `clae_rows.COST` and `COST_TINY`; `short` is about 2 minutes a row on one CPU core.
Run:   sparring reproduce clae.alpha [clae.tiny-alpha]
"""

from __future__ import annotations

from sparring.config import RunConfig
from sparring.recipes.clae_rows import (
    EPS,
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

WEIGHTS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0)


def rows(table: str, run: RunConfig) -> tuple[Row, ...]:
    """SimCLR with every weight of the adversarial term."""
    return tuple(
        Row(
            f"alpha {alpha:g}",
            against(run, EPS, alpha=alpha) if alpha else run,
            printed(table, method_of("SimCLR", alpha), alpha=alpha),
        )
        for alpha in WEIGHTS
    )


def claims(where: str) -> tuple[Claim, ...]:
    """Every weight is better than none, the largest too; 0.8 is better than both ends."""
    peak = tuple(
        Claim("alpha 0.8", f"alpha {end:g}", f"CLAE with weight 0.8 is better than with {end:g} ({where})", LR)
        for end in (0.2, 2.0)
    )
    return peak + tuple(
        Claim(f"alpha {alpha:g}", "alpha 0", f"CLAE with weight {alpha:g} is better than SimCLR ({where})", LR)
        for alpha in WEIGHTS
        if alpha
    )


ROWS = rows("000_T4", SIMCLR_100)

RECIPE = on_cifar100(
    name="clae.alpha",
    title="Weight of the adversarial term, CIFAR-100",
    source="CLAE, supplement, Table 4 = Fig. 6a (CIFAR-100, ResNet-18, SimCLR, eps 0.03)",
    rows=ROWS,
    drawings=over(
        ROWS,
        at={f"alpha {alpha:g}": (name_of("SimCLR", EPS), alpha) for alpha in WEIGHTS},
        axis="alpha",
        more="0 is SimCLR.",
    ),
    claims=claims("CLAE, section 4.4"),
)
TINY = on_tiny(
    name="clae.tiny-alpha",
    title="Weight of the adversarial term, tiny-ImageNet",
    source="CLAE, supplement, Table 9 (tiny-ImageNet, ResNet-18, SimCLR, eps 0.03)",
    rows=rows("000_T9", SIMCLR_TINY),
    claims=claims("CLAE, supplement, Table 9"),
)
