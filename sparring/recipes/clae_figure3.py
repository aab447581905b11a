"""Figure 3: contrastive loss (a) and downstream cross-entropy (b) against the radius, adversarial and random.

The curves over all radii stand in a result's `analysis` and are drawn in each run's report. The text says that the
accuracy falls by about 20 %, not at which radius; ours is at 0.1, the largest of the supplement's Table 5, and the share that is
lost stands behind the accuracy. Judged is that it falls: "about" has no margin, and the supervised case, said to
fall more, is no row. Random noise has the norm of the
whole radius, in random directions.
Data:  CIFAR-10.
Cost:  see `clae_rows.COST`.
Run:   sparring reproduce clae.figure3
"""

from __future__ import annotations

from functools import partial

from sparring.analysis import relative_drop
from sparring.recipes.clae_rows import COST, DRAWN, RADII, SIMCLR, against, name_of
from sparring.recipes.claims import Change
from sparring.recipes.recipe import Column, Derived, Means, Recipe, Row

SHOWN = (0.03, 0.1)


def _lost(key: str, row: Means) -> float:
    return float(relative_drop(row[accuracy(0)], row[key]))


LOST = Derived("↓", "percent of the accuracy on clean images that are lost", _lost)
LOSSES = {"contrastive_loss": "contrastive loss", "cross_entropy": "downstream cross-entropy"}
accuracy = partial("accuracy adversarial {:g}".format)

RECIPE = Recipe(
    name="clae.figure3",
    title="Losses under adversarial and random perturbations",
    source="CLAE, Fig. 3 (CIFAR-10, SimCLR; drawn, without figures)",
    rows=tuple(Row(name_of("SimCLR", eps), against(SIMCLR, eps)) for eps in RADII),
    columns=(
        *DRAWN,
        *(Column(f"{loss} {kind} {eps:g}") for loss in LOSSES for eps in SHOWN for kind in ("random", "adversarial")),
        *(Column(accuracy(eps), derived=(LOST,) if eps else ()) for eps in (0, *SHOWN)),
    ),
    claims=(
        *(
            Change(
                name_of("SimCLR", radius),
                f"{loss} random {eps:g}",
                f"{loss} adversarial {eps:g}",
                f"{name_of('SimCLR', radius)}: adversarial perturbations have a larger {words} than random ones (CLAE, Fig. 3)",
            )
            for radius in RADII
            for loss, words in LOSSES.items()
            for eps in SHOWN
        ),
        *(
            Change(
                name_of("SimCLR", radius),
                accuracy(0),
                accuracy(0.1),
                f"{name_of('SimCLR', radius)}: adversarial examples lower the downstream accuracy (CLAE, section 4.2)",
                falling=True,
            )
            for radius in RADII
        ),
    ),
    protocols=("knn", "logistic"),
    version="paper",
    perturbed=True,
    cost=COST,
)
