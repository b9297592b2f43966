"""The crossover map: lanes × batch size coloured by the ratio of two devices, white where they are alike."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm, to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, NullLocator

from bench.analysis.parity import DIFFER
from bench.analysis.verdicts import SAME
from bench.analysis.words import batch_label, number
from bench.report.style import INK, heading, plain, save

NEITHER = "#eeeeee"  # of what no one wins
MAP = colormaps["PuOr"].with_extremes(bad=NEITHER)  # told apart by the colour-blind; brown: A wins, purple: B wins
LEAST = 1.5  # ratio at the ends of the colours, so that two alike devices look alike
CELL = (0.92, 0.62)  # inches


def write(found: pd.DataFrame, names: tuple[str, str], problem: str, examples: int, stem: Path) -> tuple[str, str]:
    """Write stem.png and stem.svg; their names."""
    return save(draw(found, names, problem, examples), stem)


def draw(found: pd.DataFrame, names: tuple[str, str], problem: str, examples: int) -> Figure:
    """A cell for each corner that both know, with its ratio; the line passes where it is 1.

    Beside each batch size its loss parity; where losses differ a cell has a ratio and no colour.

    Args:
        found: `bench.scale.compare.map_of` two runs; at least one row.
        names: of A and B.
    """
    values = found.pivot(index="batch_size", columns="lanes", values="ratio")
    alike = found.pivot(index="batch_size", columns="lanes", values="verdict").to_numpy() == SAME
    parity = found.drop_duplicates("batch_size").set_index("batch_size")["parity"].loc[values.index]
    differ = (parity == DIFFER).to_numpy()
    told, ratio = values.to_numpy(float), values.to_numpy(float).copy()
    ratio[differ] = math.nan
    sizes, counts = [int(size) for size in values.index], [int(lanes) for lanes in values.columns]
    left, right, bottom, top = 1.75, 1.35, 1.0, 0.85
    width, height = max(CELL[0] * len(counts), 5.8), max(CELL[1] * len(sizes), 1.6)
    figure = Figure(figsize=(left + width + right, bottom + height + top))
    FigureCanvasAgg(figure)
    whole = left + width + right, bottom + height + top
    axes = figure.add_axes((left / whole[0], bottom / whole[1], width / whole[0], height / whole[1]))
    norm = _norm(ratio)
    image = axes.imshow(ratio, cmap=MAP, norm=norm, aspect="auto", origin="lower")
    crossing = min(ratio.shape) > 1 and bool((ratio < 1).any() and (ratio > 1).any())
    if crossing:
        axes.contour(np.log(np.ma.masked_invalid(ratio)), levels=[0.0], colors=INK, linewidths=1.8)
    for (y, x), value in np.ndenumerate(told):
        if math.isfinite(value):
            ground = to_rgba(NEITHER) if differ[y] else MAP(norm(value))
            dark = sum(ground[:3]) < 1.7
            axes.text(x, y, f"{'≠ ' if differ[y] else '≈ ' * bool(alike[y, x])}{_short(value)}×", ha="center",
                      va="center", fontsize=9, color="white" if dark else "black",
                      path_effects=[withStroke(linewidth=3, foreground=ground)], zorder=4)
    axes.set_xticks(range(len(counts)), [f"{lanes:,}" for lanes in counts], fontsize=9)
    axes.set_yticks(range(len(sizes)), [f"{batch_label(size, examples)}\nlosses: {word}"
                                        for size, word in zip(sizes, parity, strict=True)], fontsize=9)
    axes.set_xlabel("lanes")
    axes.set_ylabel("batch size")
    box = figure.add_axes(((left + width + 0.15) / whole[0], bottom / whole[1], 0.18 / whole[0], height / whole[1]))
    bar = figure.colorbar(image, cax=box)
    ticks = _ticks(float(norm.vmax or LEAST))
    bar.ax.yaxis.set_major_locator(FixedLocator(ticks))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.ax.set_yticks(ticks, [f"{number(tick)}×" for tick in ticks], fontsize=9)
    bar.outline.set_visible(False)
    _legend(figure, names, missing=bool(np.isnan(told).any()), alike=bool(alike.any()), differ=bool(differ.any()),
            start=left / whole[0])
    heading(figure, f"{plain(problem)}: lane-steps per second of {plain(names[1])} over those of {plain(names[0])}\n"
                    "(each at its best number of lanes side by side, up to those of the column"
                    f"{'; line: equally fast' * bool(crossing)})")
    return figure


def _norm(ratio: np.ndarray) -> LogNorm:
    """Colours as far from 1 on both sides as the ratio that is farthest."""
    known = ratio[np.isfinite(ratio)]
    most = float(np.exp(np.abs(np.log(known)).max(initial=math.log(LEAST))))
    return LogNorm(1 / most, most)


def _short(ratio: float) -> str:
    """Two digits, whole numbers from 100 on."""
    return number(ratio, 2 if ratio < 99.5 else 3)


def _ticks(most: float) -> list[float]:
    """Ratios on the colour bar: powers of 1.25, 2 or 10, so that they are few, the same on both sides of 1."""
    base = next(base for base in (1.25, 2, 10, 100, 1000) if most <= base**5)
    powers = range(-math.floor(math.log(most, base)), math.floor(math.log(most, base)) + 1)
    return [float(base) ** power for power in powers]


def _legend(figure: Figure, names: tuple[str, str], *, missing: bool, alike: bool, differ: bool,
            start: float) -> None:
    handles = [Patch(facecolor=MAP(0.85), label=f"{plain(names[1], 24)} faster"),
               Patch(facecolor=MAP(0.15), label=f"{plain(names[0], 24)} faster")]
    handles += [Patch(facecolor=MAP(0.5), edgecolor="#cccccc", label="≈ no difference seen")] * alike
    handles += [Patch(facecolor=NEITHER, label="≠ losses differ: no verdict")] * differ
    handles += [Patch(facecolor=NEITHER, label="not measured on both")] * missing
    figure.legend(handles=handles, loc="lower left", ncols=len(handles), frameon=False, fontsize=9,
                  bbox_to_anchor=(start, 0.02), borderaxespad=0, columnspacing=1.5)
