"""Table 6 and Figure 2: the encoders of Table 1 on images with the 15 corruptions of ImageNet-C, severity 1.

Figure 2 draws Table 6: each corruption a point, the supervised encoder's drop against the other's, with the line through 0.
The paper does not print its slopes: those in brackets are computed from Table 6.
Data:  ImageNet (ILSVRC 2012), 224 of 256 pixels as ImageNet-C's files are, corrupted here with ImageNet-C's strengths, or
       --corrupted IMAGENET-C, its files.
Cost:  nothing is trained; 16 forward passes an image. Corrupting 50,000 images here takes hours (estimated, not run).
Run:   sparring reproduce csl.table6 csl.figure2 --data folder --root IMAGENET --corrupted IMAGENET-C --weights "..."
       (as csl.table1)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sparring.data.corrupted import CORRUPTIONS
from sparring.measuring import RobustnessConfig
from sparring.recipes.budgets import Budget
from sparring.recipes.csl_rows import given_rows
from sparring.recipes.paper import Numbers, figure
from sparring.recipes.recipe import Column, Recipe, Under
from sparring.recipes.relative import DROP, slope
from sparring.recipes.susceptible import Loses, Steeper, drops_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KEYS = tuple(f"{name} 1" for name in CORRUPTIONS)
CELLS = tuple(Column(key, key, (DROP,)) for key in KEYS)


def printed(name: str) -> Numbers:
    """A row of Table 6 by the columns' keys."""
    clean = figure("003_T6", name, "top1", dataset="imagenet", corruption="clean")
    corrupted = {
        key: figure("003_T6", name, "top1", dataset="imagenet-c", corruption=key.split()[0], severity=1) for key in KEYS
    }
    return {"clean": clean, **corrupted}


TABLE_6 = Recipe(
    name="csl.table6",
    title="Supervised and self-supervised ImageNet encoders under corruptions",
    source="003, Table 6 (ImageNet-C, severity 1, ResNet-50)",
    rows=given_rows(printed),
    columns=(Column("clean", "clean"), *CELLS, Column("corruptions", derived=(DROP,))),
    claims=(
        Loses(
            "SimCLR",
            "Supervised",
            "SimCLR loses a larger share to this corruption than the supervised encoder (003, Table 6)",
            tuple(key for key in KEYS if key != "contrast 1"),
        ),
    ),
    robustness=(
        Under(
            RobustnessConfig(corruptions=True, corruption_table="imagenet", severities=[1], images=None, trust=False)
        ),
    ),
    seeds=1,
    cost="nothing is trained; 16 passes a row",
)


def drawings(results: Sequence[Mapping[str, Any]], _budget: Budget) -> list[tuple[str, str]]:
    """Our Figure 2: a scatter with its line for each self-supervised encoder that was measured."""
    drops = {row.name: drops_of(results, row.name, "clean", KEYS) for row in TABLE_6.rows}
    twin = drops.pop("Supervised")
    return [
        scatter(name, own, twin) for name, own in drops.items() if any(twin[key] for key in own.keys() & twin.keys())
    ]


def scatter(name: str, own: Mapping[str, float], twin: Mapping[str, float]) -> tuple[str, str]:
    """One encoder's drops over its twin's, and the caption."""
    from sparring.analysis import slope_through_zero
    from sparring.reporting.figures import COLORS, INK, svg

    shared = [key for key in KEYS if key in own and key in twin]
    x, y = ([drop[key] for key in shared] for drop in (twin, own))
    found, end = slope_through_zero(x, y), max(x)

    def draw(axes: Axes) -> None:
        axes.plot(x, y, "o", color=COLORS["adversarial"], label="a corruption")
        axes.plot([0, end], [0, found.slope * end], color=COLORS["random"], label=f"slope {found.slope:.2f}")
        axes.plot([0, end], [0, end], color=INK, linestyle=":", label="slope 1")
        axes.set_xlabel("share lost, Supervised")
        axes.set_ylabel(f"share lost, {name}")
        axes.legend(frameon=False)

    low, high = found.interval
    words = f"slope {found.slope:.2f}, 95 % interval {low:.2f} to {high:.2f} over {found.n} corruptions of severity 1"
    return svg(draw, f"{name} against Supervised"), f"{name}: {words}."


FIGURE_2 = replace(
    TABLE_6,
    name="csl.figure2",
    title="Drops under corruptions against those of the supervised encoder",
    source="003, Fig. 2 (from Table 6; its slopes are drawn, without figures)",
    columns=(Column("corruptions", derived=(slope("Supervised", KEYS),)), Column("clean", "clean"), *CELLS),
    claims=tuple(
        Steeper(
            name,
            "Supervised",
            f"{name} loses more to corruptions than the supervised encoder, slope above 1 (003, Fig. 2)",
            KEYS,
        )
        for name in ("SimCLR", "SwAV")
    ),
    drawings=drawings,
)
