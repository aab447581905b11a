"""How far classes lie apart: the heat map of latent.json as a section of the report (003, Fig. 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from sparring.reporting.figures import INK, svg
from sparring.reporting.page import figures, paragraph
from sparring.reporting.run_folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WRITTEN = 12
"""Classes up to which every cell has its number and every row its name."""


def class_pairs(run: RunFolder) -> list[str]:
    """The section's parts."""
    seen = run.latent
    found, data = seen.get("classes"), seen["data"]
    if found is None:
        return [paragraph("Not measured by the version that wrote latent.json.", "missing")]
    sphere = (
        f"On the unit sphere, n = {data['n']:,}: effective rank {found['effective_rank']:.1f} of "
        f"{seen['subject']['dimensions']:,} dimensions, uniformity {found['uniformity']:.2f} (0 is collapse), alignment of an "
        f"image with its adversarial copy {found['alignment_adv']:.3f} (0 is none moved, 2 chance)."
    )
    if "left_out" in found:
        return [paragraph(f"There is no map of class pairs: {found['left_out']}.", "missing"), paragraph(sphere)]
    caption = (
        f"Mean {found['distance']} distance (0 to 2) between the representations of two classes, on the diagonal between "
        f"different images of one class; clean images, n = {data['n']:,}. Inter upon intra, mean over class pairs: "
        f"{found['ratio']:.2f} (ratio of the means {found['ratio_of_means']:.2f}); above 1, classes lie apart. Not 1 / R-DIV, "
        "which is within mini-batches and with adversarial copies. Paper 003 "
        "prints 1.98 for SupCon and 1.19 for SimCLR on CIFAR-10."
    )
    drawing = heat_map(np.asarray(found["mean"]), data["classes"], title="Distances of class pairs")
    return [figures([(drawing, caption)]), paragraph(sphere)]


def heat_map(
    mean: Float[np.ndarray, "K K"], names: Sequence[str], *, title: str, scale: tuple[float, float] | None = None
) -> str:
    """Distances of class pairs as shades, the larger the lighter; `scale` has the darkest and the lightest (None: its own)."""
    at, few = np.arange(len(mean)), len(mean) <= WRITTEN
    darkest, lightest = scale or (float(mean.min()), float(mean.max()))

    def draw(axes: Axes) -> None:
        image = axes.imshow(mean, cmap="cividis", vmin=darkest, vmax=lightest)
        axes.figure.colorbar(image, ax=axes, label="mean distance", fraction=0.046, pad=0.03)
        if few:
            axes.set_xticks(at, list(names), rotation=45, ha="right", rotation_mode="anchor")
            axes.set_yticks(at, list(names))
            for row in range(len(mean)):
                for column in range(len(mean)):
                    ink = INK if mean[row, column] > (darkest + lightest) / 2 else "white"
                    place = {"ha": "center", "va": "center", "fontsize": 6}
                    axes.text(column, row, f"{mean[row, column]:.2f}", color=ink, **place)
        axes.grid(False)
        axes.spines[:].set_visible(False)

    return svg(draw, title, width=5.6, height=5.0)
