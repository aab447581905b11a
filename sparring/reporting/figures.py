"""Figures as inline SVG (matplotlib) and images as PNG data addresses: nothing outside the report is needed.

Colours are chosen to differ for colour-blind readers too (Okabe & Ito), and every series has a marker or a dash of its
own. Text and axes take the page's colour, so figures follow its light or dark scheme.
"""

from __future__ import annotations

import base64
import html
import io
import re
import warnings
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "#010203"
"""Stands for the page's text colour."""
COLORS = {
    "adversarial": "#0072b2",
    "random": "#d55e00",
    "clean": "#5b6770",
    "third": "#009e73",
    "fourth": "#cc79a7",
    "fifth": "#b8860b",
}
"""By role; CLAE's Fig. 3 draws adversarial in blue and random in red."""
STYLES = [("o", "-"), ("s", "--"), ("^", "-."), ("D", ":"), ("v", "-"), ("x", "--")]


@dataclass(frozen=True)
class Series:
    """One line: where, how high, in which role's colour, with a band from low to high if there is one."""

    name: str
    x: Sequence[float | int]
    y: Sequence[float | int]
    color: str
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    joined: bool = True
    style: int | None = None
    """Which marker and dash, by number; None is the line's place in the figure."""


@dataclass(frozen=True)
class Bars:
    """One bar in every group: how high, with a whisker from low to high; None where nothing was measured."""

    name: str
    y: Sequence[float | int | None]
    color: str
    low: Sequence[float | int | None] | None = None
    high: Sequence[float | int | None] | None = None
    shade: float | int = 1.0
    filled: bool = True


def lines(
    series: Sequence[Series],
    *,
    x: str,
    y: str,
    title: str,
    integer_x: bool = False,
    percent: bool = False,
    percent_x: bool = False,
    narrow: bool = False,
    level: tuple[float | int, str] | None = None,
    doubling: bool = False,
    names: Sequence[str] | None = None,
    columns: int | None = None,
) -> str:
    """Lines over a common axis, as SVG; `narrow` figures stand three beside each other.

    `level` is a height with its name, drawn across. `doubling` sets equal distances for equal factors, with a label
    at every point; zero stands one factor of two below the smallest other value. `names` are what stands below x = 0, 1, ...
    where x is no number. Points that are not joined have whiskers for a band. `columns` of the legend, under which a figure
    grows with its rows; None is two where narrow, else three.
    """
    from matplotlib.ticker import MaxNLocator

    def draw(axes: Axes) -> None:
        for place, one in enumerate(series):
            marker, dash = STYLES[(place if one.style is None else one.style) % len(STYLES)]
            color = COLORS[one.color]
            few = len(one.x) <= 25
            axes.plot(
                one.x,
                one.y,
                color=color,
                linestyle=dash if one.joined else "none",
                marker=marker if few or not one.joined else "",
                markersize=4.5,
                linewidth=1.8,
                label=one.name,
            )
            if one.low is not None and one.high is not None:
                if one.joined:
                    axes.fill_between(one.x, one.low, one.high, color=color, alpha=0.18, linewidth=0)
                else:
                    axes.vlines(one.x, one.low, one.high, color=color, linewidth=1.4)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        axes.margins(y=0.12)
        if integer_x:
            axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
        if percent:
            axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g} %")
        if percent_x:
            axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g} %")
        at = sorted({value for one in series for value in one.x})
        if names is not None:
            axes.set_xticks(range(len(names)), names)
            axes.set_xlim(-0.5, len(names) - 0.5)
        elif len(at) == 1:
            axes.set_xlim(at[0] - 1, at[0] + 1)
            axes.set_xticks(at, [f"{at[0]:.4g}"])
        elif doubling:
            _doubling(axes, at)
        if level is not None:
            axes.axhline(level[0], color=INK, linewidth=1, linestyle=(0, (1, 3)), label=level[1])
            axes.set_ylim(bottom=0)
        if level is not None or len(series) > 1:
            axes.figure.legend(frameon=False, loc="outside lower left", ncols=columns or (2 if narrow else 3))

    height = 3.3 if columns is None else 2.9 + 0.19 * -(-len(series) // columns)
    return svg(draw, title, width=3.7 if narrow else 5.0, height=height)


def channels(clean: Float[np.ndarray, " n"], adv: Float[np.ndarray, " n"], *, y: str, title: str) -> str:
    """One statistic of some channels, clean beside adversarial, as in CLAE's Fig. 4."""
    at = np.arange(len(clean))

    def draw(axes: Axes) -> None:
        axes.vlines(at, np.minimum(clean, adv), np.maximum(clean, adv), color=COLORS["clean"], alpha=0.45, linewidth=1)
        axes.plot(at, clean, "o", color=COLORS["clean"], markersize=4.5, label="clean")
        axes.plot(at, adv, "x", color=COLORS["adversarial"], markersize=5, markeredgewidth=1.6, label="adversarial")
        axes.set_xlabel("channel (drawn at random)")
        axes.set_ylabel(y)
        axes.margins(y=0.2)
        axes.xaxis.set_ticks([])
        axes.figure.legend(frameon=False, loc="outside lower left", ncols=2)

    return svg(draw, title)


def bars(
    groups: Sequence[str], series: Sequence[Bars], *, y: str, title: str, level: tuple[float | int, str] | None
) -> str:
    """Fractions as bars in named groups, in percent from zero, with `level`, a height with its name, drawn across."""
    width = 0.84 / len(series)

    def draw(axes: Axes) -> None:
        for index, one in enumerate(series):
            at = np.arange(len(groups)) + width * (index - (len(series) - 1) / 2)
            high = np.array(one.y, dtype=float)
            axes.bar(
                at,
                high,
                0.92 * width,
                color=COLORS[one.color] if one.filled else "none",
                edgecolor=COLORS[one.color],
                linewidth=0 if one.filled else 1.2,
                alpha=one.shade,
                label=one.name,
            )
            if one.low is not None and one.high is not None:
                low, top = (np.array(bound, dtype=float) for bound in (one.low, one.high))
                known = ~np.isnan(low)
                axes.vlines(at[known], low[known], top[known], color=INK, linewidth=0.8)
        if level is not None:
            axes.axhline(level[0], color=INK, linewidth=1, linestyle=(0, (1, 3)), label=level[1])
        axes.set_ylabel(y)
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g} %")
        longest = max(map(len, groups))
        turned = longest * len(groups) > 60
        axes.set_xticks(range(len(groups)), groups, rotation=40 if turned else 0, ha="right" if turned else "center")
        axes.tick_params(axis="x", length=0)
        axes.figure.legend(frameon=False, loc="outside lower left", ncols=3)

    return svg(draw, title)


def png(image: Float[np.ndarray, "C H W"], alt: str) -> str:
    """An image element that carries its pixels; values outside [0, 1] are shown at the nearest end."""
    from PIL import Image

    pixels = np.clip(np.nan_to_num(image), 0, 1)
    pixels = np.round(255 * pixels.transpose(1, 2, 0)).astype(np.uint8)
    picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels[:, :, :3])
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    code = base64.b64encode(buffer.getvalue()).decode()
    size = f'width="{picture.width}" height="{picture.height}"'
    return f'<img src="data:image/png;base64,{code}" alt="{html.escape(alt)}" {size}>'


def _doubling(axes: Axes, at: list[float | int]) -> None:
    smallest = min((value for value in at if value > 0), default=1)
    axes.set_xscale("symlog", base=2, linthresh=smallest, linscale=0.5)
    axes.set_xticks(at, [f"{value:.4g}" for value in at])
    axes.xaxis.set_ticks([], minor=True)


def svg(draw: Callable[[Axes], None], title: str, width: float | int = 5.0, height: float | int = 3.3) -> str:
    """Draw on one pair of axes and return SVG that scales with the page and takes its colours."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    settings: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": title,
        "font.family": "sans-serif",
        "font.size": 10,
        "axes.titlesize": 10.5,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "grid.color": INK,
        "grid.alpha": 0.13,
        "grid.linewidth": 0.8,
        "axes.linewidth": 0.8,
        "legend.fontsize": 9,
        "text.parse_math": False,  # a dollar sign in somebody's class name is one
    }
    buffer = io.StringIO()
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # letters that matplotlib's font lacks are still text of the SVG, which the browser's font draws
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from")
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots()
        draw(axes)
        axes.set_title(title, pad=10)
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _inline(buffer.getvalue(), title)


def _inline(svg: str, title: str) -> str:
    """Matplotlib's file as an element of the page: its own identifiers, the page's fonts and colours."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg).replace("xlink:href", "href")
    used = set(re.findall(r"#([\w.-]+)", svg))
    prefix = f"f{zlib.crc32(title.encode()):x}-"  # identifiers must differ between figures of a page
    svg = re.sub(r' id="([\w.-]+)"', lambda m: f' id="{prefix}{m[1]}"' if m[1] in used else "", svg)
    svg = re.sub(r'(href="|url\()#([\w.-]+)', lambda m: f"{m[1]}#{prefix}{m[2]}", svg)
    for role, color in COLORS.items():
        svg = svg.replace(color, f"var(--{role})")
    svg = svg.replace(INK, "currentColor")
    head = f'<svg viewBox="\\1" role="img" aria-label="{html.escape(title)}">'
    return re.sub(r'<svg [^>]*?viewBox="([^"]+)"[^>]*>', head, svg, count=1)
