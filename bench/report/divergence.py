"""Figure of divergence: the share of lanes that diverged against rate and batch size, one panel per schedule."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from bench.analysis.words import batch_label
from bench.report.style import heading, log_axis, new_figure, panel_title, plain, schedule_text, tick_places

_ACROSS = 3  # panels side by side
_WIDTH = 2.5  # of a panel, inches
_LETTER = 0.085  # inches, of the numbers in the map
_COLOURS = colormaps["cividis_r"]
_SCALE = Normalize(0, 100)


def divergence_figure(rates: pd.DataFrame, examples: int, name: str) -> Figure:
    """Map of the share of tuned lanes that diverged at each rate, whatever their horizon; white was not tried.

    A rate's field reaches half-way, on the logarithmic axis, to its neighbours of the same batch size.

    Args:
        rates: `rate_table` of one problem, optimizer, device and target; what diverged is the same for all targets.
        examples: of the problem.
        name: of the problem, for the title.
    """
    sizes, schedules = sorted(rates["batch_size"].unique()), sorted(rates["schedule"].unique())
    fields = {key: _fields(rows["rate"].to_numpy(float)) for key, rows in
              rates.sort_values("rate").groupby(["schedule", "batch_size"], sort=True)}
    low, high = min(edges[0] for edges in fields.values()), max(edges[-1] for edges in fields.values())
    across = min(len(schedules), _ACROSS)
    down = -(-len(schedules) // across)
    figure, panels = new_figure((_WIDTH, max(0.26 * len(sizes), 1.2)), down, across, left=1.2, right=1.15, bottom=0.65,
                                top=0.75)
    for axes, schedule in zip(panels.flat, schedules, strict=False):
        for (of, size), rows in rates.sort_values("rate").groupby(["schedule", "batch_size"], sort=True):
            if of == schedule:
                _row(axes, rows, fields[of, size], sizes.index(size), _WIDTH / np.log10(high / low))
        log_axis(axes, "x")
        axes.set_xlim(low, high)
        axes.set_ylim(-0.5, len(sizes) - 0.5)
        axes.set_yticks(range(len(sizes)), [batch_label(int(size), examples) for size in sizes], fontsize=8)
        axes.xaxis.set_major_locator(FixedLocator(tick_places(low, high)))
        axes.tick_params(axis="x", labelsize=8)
        panel_title(axes, schedule_text(schedule))
    for axes in panels.flat[len(schedules):]:
        axes.set_visible(False)
    for axes in panels[:, 0]:
        axes.set_ylabel("batch size\n(examples per step)")
    for column in range(across):
        lowest = panels[(len(schedules) - 1 - column) // across, column]
        lowest.set_xlabel("rate (at the start, per step)")
        lowest.tick_params(axis="x", labelbottom=True)
    width, height = figure.get_size_inches()
    bar = figure.colorbar(ScalarMappable(_SCALE, _COLOURS), cax=figure.add_axes(
        (1 - 0.85 / width, 0.65 / height, 0.14 / width, 1 - 1.4 / height)))
    bar.set_label("lanes that diverged (%)")
    heading(figure, f"{plain(name)}: share of the tuned lanes that diverged at each rate (%)\n"
                    "(all tuning starts and all horizons of the decay together; white: not tried)")
    return figure


def _fields(rates: np.ndarray) -> np.ndarray:
    """Edges of the fields of ascending rates, one more than there are of them."""
    logs = np.log(rates)
    middles = (logs[1:] + logs[:-1]) / 2
    first, last = (middles[0] - logs[0], logs[-1] - middles[-1]) if len(rates) > 1 else (np.log(2) / 2,) * 2
    return np.exp([logs[0] - first, *middles, logs[-1] + last])


def _row(axes: Axes, rows: pd.DataFrame, edges: np.ndarray, place: int, decade: float) -> None:
    """The fields of one batch size, each with its number where that has room; a decade is so many inches wide."""
    values = 100 * rows["diverged_share"].to_numpy(float)
    colours = _COLOURS(_SCALE(values))
    corners = [[(left, place - 0.5), (right, place - 0.5), (right, place + 0.5), (left, place + 0.5)]
               for left, right in pairwise(edges)]
    axes.add_collection(PolyCollection(corners, facecolors=colours, edgecolors="white", linewidths=0.8),
                        autolim=False)
    for value, colour, rate, left, right in zip(values, colours, rows["rate"], edges[:-1], edges[1:], strict=True):
        words = f"{value:.0f}"
        if decade * np.log10(right / left) > _LETTER * (len(words) + 0.5):
            axes.text(rate, place, words, ha="center", va="center", fontsize=7,
                      color="white" if sum(colour[:3]) < 1.5 else "black")
