"""The picture of a scaling run: latency, throughput, memory per lane and share of the ceilings against lanes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from bench.analysis.throughput import knee
from bench.analysis.words import batch_label, number, seconds_number
from bench.report.style import INK, grid, heading, looks, plain, save, tick_places
from bench.scale.corners import FINISHED
from bench.scale.room import bytes_words
from bench.scale.words import percent, short

SIZE = (10.4, 7.4)  # inches
LONG = 6  # lane counts beyond which every second one has a tick


def write(table: pd.DataFrame, ceilings: Mapping[str, float], folder: Path) -> list[str]:
    """Write scaling-DEVICE.png and .svg into a folder; their names."""
    return list(save(draw(table, ceilings), folder / f"scaling-{table['device'].iloc[0]}"))


def draw(table: pd.DataFrame, ceilings: Mapping[str, float]) -> Figure:
    """Four panels against lanes, a line for each batch size; a ring marks where throughput stops growing.

    Args:
        table: of the run; at least one corner is finished.
        ceilings: matmul_flops, copy_bytes_s.
    """
    done = table[table["status"] == FINISHED].sort_values(["batch_size", "lanes"])
    examples = int(table["examples"].iloc[0])
    figure = Figure(figsize=SIZE)
    FigureCanvasAgg(figure)
    margins = {"left": 0.085, "right": 0.985, "bottom": 0.135, "top": 0.88, "wspace": 0.24, "hspace": 0.3}
    (latency, rate), (memory, share) = figure.subplots(2, 2, gridspec_kw=margins)
    names = [f"batch {batch_label(int(size), examples)}" for size in sorted(done["batch_size"].unique())]
    styles = looks(names)
    for name, (_, rows) in zip(names, done.groupby("batch_size", sort=True), strict=True):
        colour, marker = styles[name]
        _line(latency, rows, "step_s", colour, marker, interval=True)
        _line(rate, rows, "lane_steps_per_s", colour, marker, interval=True)
        _line(memory, rows, "bytes_per_lane", colour, marker)
        _line(share, rows, "matmul_share", colour, marker)
        _line(share, rows, "copy_share", colour, marker, dashed=True)
        _ring(rate, rows, colour)
    share.axhline(1.0, color=INK, linewidth=1.0)
    if (done["share"] > 1).any():  # the ceiling is of copies that no cache holds
        share.text(0.02, 0.97, "above 100 %: held in the cache", transform=share.transAxes, fontsize=8.5, va="top")
    counts = sorted(int(lanes) for lanes in done["lanes"].unique())
    for axes, title, words in (
            (latency, "time of one step of all lanes", seconds_number),
            (rate, "lane-steps per second (ring: grows no more)", short),
            (memory, "memory per lane, as planned by XLA", bytes_words),
            (share, "share of the ceilings: products —, copies - -", percent)):
        _dress(axes, title, counts, words)
    _legend(figure, styles)
    heading(figure, f"{plain(str(table['problem'].iloc[0]))} on {plain(str(table['device'].iloc[0]))}: "
                    f"what more lanes bring (95 % intervals; ceilings measured in the same run:\n"
                    f"{number(ceilings['matmul_flops'] / 1e9)} GFLOP/s in float32 products, "
                    f"{number(ceilings['copy_bytes_s'] / 1e9)} GB/s read and written)")
    return figure


def _line(axes: Axes, rows: pd.DataFrame, quantity: str, colour: str, marker: str, *, interval: bool = False,
          dashed: bool = False) -> None:
    lanes = rows["lanes"].to_numpy(float)
    axes.plot(lanes, rows[quantity].to_numpy(float), "--" if dashed else "-", color=colour, linewidth=1.3,
              marker=marker, markersize=3.5 if dashed else 5, markerfacecolor="white" if dashed else colour)
    if interval:
        axes.vlines(lanes, rows[f"{quantity}_low"].to_numpy(float), rows[f"{quantity}_high"].to_numpy(float),
                    color=colour, linewidth=1.4)


def _ring(axes: Axes, rows: pd.DataFrame, colour: str) -> None:
    lanes, rates = rows["lanes"].to_numpy(int), rows["lane_steps_per_s"].to_numpy(float)
    at = knee(lanes, rates)
    if at is not None:
        axes.plot([at], rates[lanes == at], "o", markersize=12, markerfacecolor="none", markeredgecolor=colour,
                  markeredgewidth=1.4)


def _dress(axes: Axes, title: str, counts: list[int], words: Callable[[float], str]) -> None:
    """Logarithmic axes, ticks that read as they are spoken, a title instead of a label at the side."""
    axes.set_xscale("log", base=4)
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    if high / low < 20:
        middle = np.sqrt(low * high)
        axes.set_ylim(min(low, middle / 5), max(high, middle * 5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: words(value)))
    axes.yaxis.set_major_locator(FixedLocator(tick_places(*axes.get_ylim())))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_locator(NullLocator())
    shown = counts[:: 2 if len(counts) > LONG else 1]
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.set_xticks(shown, [f"{lanes:,}" for lanes in shown])
    axes.set_xlabel("lanes side by side")
    axes.set_title(title, fontsize=10, loc="left")
    axes.tick_params(labelsize=9)
    grid(axes)


def _legend(figure: Figure, styles: Mapping[str, tuple[str, str]]) -> None:
    handles = [Line2D([], [], color=colour, marker=marker, markersize=5, linewidth=1.3, label=name)
               for name, (colour, marker) in styles.items()]
    figure.legend(handles=handles, loc="lower left", ncols=len(handles), frameon=False, fontsize=9,
                  bbox_to_anchor=(0.075, 0.005), borderaxespad=0)
