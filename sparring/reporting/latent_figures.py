"""Figures of a latent space: distances as bars, R-DIV against robust accuracy, maps. Colours as in figures.py; every kind
of point has a marker of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from sparring.reporting.figures import COLORS, INK, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLASS_COLORS = (
    *("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#b8a800", "#8d6e63", "#7f7f7f", "#6a4fb3"),
)
"""Okabe & Ito's, three more; classes that lie near each other in hue have different markers."""
CLASS_MARKERS = "os^DvP<>ph"
MOST_CLASSES = len(CLASS_COLORS)
LEVELS = 10
"""Steps of the colour scale of entropies."""


def distances(
    groups: Sequence[str],
    intra: Sequence[float | int],
    inter: Sequence[float | int],
    spread: Sequence[tuple[float | int, float | int]],
    *,
    title: str,
) -> str:
    """Intra- and inter-class divergence beside each other in named groups, with one standard deviation of the anchors
    (ASCL, Figs. 2a, 6)."""
    at = np.arange(len(groups))

    def draw(axes: Axes) -> None:
        for index, (name, heights, color) in enumerate(
            (("intra-class", intra, "adversarial"), ("inter-class", inter, "random"))
        ):
            x = at + 0.4 * (index - 0.5)
            deviation = [pair[index] for pair in spread]
            hatch = "///" if index else None
            axes.bar(
                x, heights, 0.36, color=COLORS[color], alpha=0.8, hatch=hatch, edgecolor=INK, linewidth=0, label=name
            )
            axes.errorbar(x, heights, deviation, fmt="none", ecolor=INK, elinewidth=1, capsize=3)
        axes.set_ylabel("mean cosine distance (0 to 2)")
        axes.set_ylim(bottom=0)
        axes.set_xticks(at, groups)
        axes.tick_params(axis="x", length=0)
        axes.figure.legend(frameon=False, loc="outside lower left", ncols=2)

    lines = 1 + max(name.count("\n") for name in groups)
    return svg(draw, title, width=max(5.0, 1.3 * len(groups)), height=max(3.3, 2.7 + 0.2 * lines))


def relation(
    x: Sequence[float | int], y: Sequence[float | int], names: Sequence[str], *, title: str, all_named: bool = True
) -> str:
    """R-DIV against robust accuracy (ASCL, Fig. 2c): one point a model or a radius, joined in their order, with the names
    of all of them or of the first and the last."""

    def draw(axes: Axes) -> None:
        axes.plot(x, y, color=COLORS["clean"], linewidth=0.9, linestyle=":")
        axes.plot(x, y, "o", color=COLORS["third"], markersize=5.5)
        middle = (min(x) + max(x)) / 2
        for index, name in enumerate(names):
            if all_named or index in (0, len(names) - 1):
                left = x[index] > middle
                axes.annotate(
                    name,
                    (x[index], y[index]),
                    xytext=(-6 if left else 6, 4),
                    textcoords="offset points",
                    ha="right" if left else "left",
                    fontsize=8.5,
                )
        axes.set_xlabel("robust accuracy")
        axes.set_ylabel("R-DIV")
        axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g} %")
        axes.margins(0.14)

    return svg(draw, title, width=3.7)


def class_map(
    position: Float[np.ndarray, "n 2"],
    position_adv: Float[np.ndarray, "m 2"],
    labels: Int[np.ndarray, " n"],
    classes: Sequence[str],
    *,
    title: str,
) -> str:
    """Clean points by class, adversarial ones as crosses (ASCL, Fig. 7, left); of more classes than there are colours all
    clean points look alike."""

    def draw(axes: Axes) -> None:
        shown = len(classes) <= MOST_CLASSES
        for index, name in enumerate(classes if shown else ["clean"]):
            of_class = position[labels == index] if shown else position
            color = CLASS_COLORS[index] if shown else COLORS["clean"]
            axes.plot(
                *of_class.T,
                CLASS_MARKERS[index],
                color=color,
                markersize=3.6,
                alpha=0.75,
                markeredgewidth=0,
                label=name,
            )
        axes.plot(*position_adv.T, "x", color=INK, markersize=5, markeredgewidth=1.2, label="adversarial")
        _plane(axes)
        axes.figure.legend(frameon=False, loc="outside lower left", ncols=4, markerscale=1.5, handletextpad=0.2)

    return svg(draw, title, height=4.6)


def entropy_map(
    position: Float[np.ndarray, "n 2"],
    position_adv: Float[np.ndarray, "m 2"],
    entropy: Float[np.ndarray, " n"],
    entropy_adv: Float[np.ndarray, " m"],
    *,
    title: str,
) -> str:
    """The same map with the entropy of each prediction as colour, the third axis of ASCL's Fig. 7, right."""
    import matplotlib

    def draw(axes: Axes) -> None:
        scale = {"cmap": matplotlib.colormaps["cividis"].resampled(LEVELS), "vmin": 0.0, "vmax": 1.0}
        axes.scatter(*position.T, c=entropy, s=14, marker="o", edgecolors=INK, linewidths=0.25, label="clean", **scale)
        points = axes.scatter(
            *position_adv.T,
            c=entropy_adv,
            s=34,
            marker="^",
            edgecolors=INK,
            linewidths=0.9,
            label="adversarial",
            **scale,
        )
        _plane(axes)
        axes.figure.colorbar(points, ax=axes, label="entropy of the prediction / log K", shrink=0.85)
        axes.figure.legend(frameon=False, loc="outside lower left", ncols=2)

    return svg(draw, title, height=4.6)


def _plane(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel("t-SNE, first axis (no unit)")
    axes.set_ylabel("t-SNE, second axis (no unit)")
    axes.grid(visible=False)
