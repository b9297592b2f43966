"""The picture of basins of attraction: where each start ends, contours, a few paths, the minima and their shares."""

from __future__ import annotations

import io
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from bench.analysis.words import number
from bench.report.style import COLOURS, DPI, INK, plain

if TYPE_CHECKING:
    import pandas as pd

    from bench.basins import Basins

Colour = tuple[float, float, float]
DISTINCT = 6  # minima that have a colour of their own; more are coloured by their loss
LISTED = 5  # rows of the legend where there are many
PALE = 0.5  # white in the colour of a basin, so that paths and contours stand out
MOSTLY_BORDER = 0.2  # basins so fine that lines between them would hide their colours
UNFINISHED, LOST = "#9a9a9a", "#2b2b2b"
CONTOURS, CONTOUR_SIDE = 12, 256
MARKERS = {"minimum": "o", "saddle": "D", "plateau": "s"}
MAP = mpl.colormaps["viridis"]  # safe for the colour-blind, and without the grey of starts that are not at rest


def draw(basins: Basins) -> bytes:
    """The picture as a PNG file of 1,650 × 1,080 pixels; the same basins give the same bytes."""
    figure = Figure(figsize=(11.0, 7.2))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.062, 0.085, 0.56, 0.8))
    found = basins.table[basins.table.minimum > 0]
    colours = _colours(found)
    levels = _landscape(axes, basins, colours)
    _paths(axes, basins)
    _minima(axes, basins, found)
    low, high = basins.box[:, 0], basins.box[:, 1]
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    axes.set_xlabel(plain(basins.names[0]), fontsize=11)
    axes.set_ylabel(plain(basins.names[1]), fontsize=11)
    _title(figure, basins)
    _legend(figure, axes, basins, colours, levels)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def _colours(found: pd.DataFrame) -> list[Colour]:
    """A colour for each minimum: distinct ones for a few, by loss for many."""
    if len(found) <= DISTINCT:
        return [to_rgb(COLOURS[place]) for place in range(len(found))]
    return [to_rgb(MAP(_norm(found)(loss))) for loss in found.loss]


def _pale(colours: list[Colour]) -> list[Colour]:
    """Colours with white in them; those of many minima hold less, or the ends of the map would look alike."""
    white = PALE if len(colours) <= DISTINCT else PALE / 3
    return [(r + (1 - r) * white, g + (1 - g) * white, b + (1 - b) * white) for r, g, b in colours]


def _norm(found: pd.DataFrame) -> Normalize:
    return Normalize(found.loss.min(), found.loss.max())


def _landscape(axes: Axes, basins: Basins, colours: list[Colour]) -> np.ndarray:
    """Basins, their borders where they have no colours of their own, and contours, whose levels are returned."""
    many = len(colours) > DISTINCT
    table = np.array([to_rgb(LOST), to_rgb(UNFINISHED), *_pale(colours)])
    image = table[basins.label + 1]
    if many:  # equal losses have equal colours: a thin line parts them
        edge = np.zeros(basins.label.shape, bool)
        edge[1:] |= basins.label[1:] != basins.label[:-1]
        edge[:, 1:] |= basins.label[:, 1:] != basins.label[:, :-1]
        if edge.mean() < MOSTLY_BORDER:
            image[edge & (basins.label > 0)] = 1.0
    (left, right), (bottom, top) = basins.box
    axes.imshow(image, origin="lower", extent=(left, right, bottom, top), aspect="auto", interpolation="nearest")
    step = max(1, basins.side // CONTOUR_SIDE)
    loss = basins.loss[step // 2 :: step, step // 2 :: step].astype(np.float64)
    finite = loss[np.isfinite(loss)]
    if min(loss.shape) < 2 or len(finite) == 0:
        return np.zeros(0)
    floor = float(np.min([finite.min(), *basins.table.loss[basins.table.minimum > 0]]))
    gap = loss - floor
    low, high = np.percentile(gap[np.isfinite(gap)], [1, 99])
    if not 0 < low < high:
        return np.zeros(0)
    levels = np.geomspace(low, high, CONTOURS)
    x, y = (start + (end - start) * (np.arange(step // 2, basins.side, step) + 0.5) / basins.side
            for start, end in basins.box)
    sound = np.ma.masked_where(~(np.isfinite(gap) & (gap > 0)), gap)
    axes.contour(x, y, sound, levels=levels, colors=INK, linewidths=0.6, alpha=0.55, norm=LogNorm(low, high))
    return levels + floor


def _paths(axes: Axes, basins: Basins) -> None:
    halo = [withStroke(linewidth=3.4, foreground="white")]
    for path in basins.paths:
        lost = ~np.isfinite(path).all(axis=1)
        path = path[: max(1, int(lost.argmax())) if lost.any() else len(path)]
        axes.plot(*path.T, color="black", linewidth=1.3, path_effects=halo, zorder=3)
        axes.plot(*path[0], marker="o", markersize=6, markerfacecolor="white", markeredgecolor="black", zorder=4)


def _minima(axes: Axes, basins: Basins, found: pd.DataFrame) -> None:
    shown = found if len(found) <= DISTINCT else found[:LISTED]
    axes.plot(*basins.points[len(shown):].T, marker="o", markersize=2.5, color="black", linestyle="none", zorder=5)
    for row, point in zip(shown.to_dict("records"), basins.points, strict=False):
        axes.plot(*point, marker=MARKERS[row["kind"]], markersize=14, markerfacecolor="black",
                  markeredgecolor="white", markeredgewidth=1.4, zorder=6)
        axes.annotate(str(row["minimum"]), point, color="white", fontsize=9, fontweight="bold", ha="center",
                      va="center_baseline", zorder=7, annotation_clip=True)


def _title(figure: Figure, basins: Basins) -> None:
    figure.text(0.062, 0.945, f"{plain(basins.problem)}: which minimum does each start reach?", fontsize=15,
                fontweight="bold")
    how = " (found by a range test)" if basins.searched else ""
    starts = f"{basins.side} × {basins.side} = {basins.side**2:,} starts"
    figure.text(0.062, 0.907, f"optimizer {plain(basins.optimizer)}, rate {basins.rate:g}{how}, {starts}, "
                f"at most {basins.steps:,} steps each", fontsize=11, color=INK)


def _legend(figure: Figure, axes: Axes, basins: Basins, colours: list[Colour],
            levels: np.ndarray) -> None:
    table = basins.table
    found = table[table.minimum > 0]
    shown = found if len(found) <= DISTINCT else found[:LISTED]
    handles: list[Patch | Line2D] = []
    texts: list[str] = []
    for row, point, colour in zip(shown.to_dict("records"), basins.points, _pale(colours), strict=False):
        handles.append(Patch(facecolor=colour, edgecolor=INK))
        where = ", ".join(_number(x, size) for x, size in zip(point, basins.box[:, 1] - basins.box[:, 0], strict=True))
        texts.append(f"{row['minimum']}  {row['kind']} at ({where})\n"
                     f"    loss {_number(row['loss'], 1.0)}, {_share(row)}")
    if len(found) > len(shown):
        rest = found[len(shown):]
        handles.append(Line2D([], [], marker="o", markersize=2.5, color="black", linestyle="none"))
        texts.append(f"{len(rest):,} more, {100 * rest.lanes.sum() / basins.side**2:.1f} % of starts\n"
                     f"    loss {_number(rest.loss.min(), 1.0)} to {_number(rest.loss.max(), 1.0)}")
    for row in table[table.minimum < 1].to_dict("records"):
        moving = row["minimum"] == 0
        handles.append(Patch(facecolor=UNFINISHED if moving else LOST, edgecolor=INK))
        texts.append(f"{'not at rest' if moving else 'diverged'}\n    {_share(row)}")
    handles.append(Line2D([], [], marker="o", color="black", markerfacecolor="white", linewidth=1.3))
    texts.append("path of one start, from its circle")
    if len(levels):
        handles.append(Line2D([], [], color=INK, linewidth=0.8, alpha=0.7))
        texts.append(f"contours, evenly spaced in log(loss − lowest)\n"
                     f"    loss {_number(levels[0], 1.0)} to {_number(levels[-1], 1.0)}")
    legend = figure.legend(handles, texts, loc="upper left", bbox_to_anchor=(0.632, 0.897), frameon=False, fontsize=10,
                           handlelength=1.6, labelspacing=0.85, title="colour = where the start ends\n"
                           "share of starts [95 % interval]", title_fontsize=10, alignment="left")
    legend.get_title().set_color(INK)
    if len(found) > DISTINCT:
        bar = figure.add_axes((0.645, 0.1, 0.3, 0.022))
        mappable = mpl.cm.ScalarMappable(norm=_norm(found), cmap=MAP)
        figure.colorbar(mappable, cax=bar, orientation="horizontal")
        bar.set_xlabel("loss of the minimum reached", fontsize=10)


def _share(row: Mapping[Hashable, float]) -> str:
    share, low, high = (100 * row[name] for name in ("share", "share_low", "share_high"))
    digits = 1 if share >= 10 else 2 if share >= 1 else 3
    return f"{share:.{digits}f} % [{low:.{digits}f}, {high:.{digits}f}]"


def _number(value: float, size: float) -> str:
    """A number with a real minus; what is only rounding beside this size is 0."""
    return number(0.0 if abs(value) < 1e-12 * size else float(value)).replace("-", "−")
