"""Figure of loss curves against epochs: median and 10–90 % of the starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from bench.analysis.words import batch_label, schedule_label
from bench.report.style import INK, MARKERS, grid, heading, log_axis, new_figure, panel_title, plain, tick_places

Line = tuple[pd.Series, pd.DataFrame]  # summary row, curve_quantiles


def curves_figure(by_batch: Sequence[Line], by_schedule: Sequence[Line], name: str,
                  targets: Sequence[tuple[float, str]], optimum: float, looks: Mapping[str, tuple[str, str]]) -> Figure:
    """Two panels: the best schedule of each batch size, and every schedule at the best batch size.

    Args:
        by_batch, by_schedule: (summary row, curve_quantiles) of each line.
        name: of the problem, for the title.
        targets: (loss, label) of the lines across.
        optimum: subtracted from the loss, or NaN to show the loss itself.
        looks: colour and marker of each schedule.
    """
    below = 0.75 + 0.2 * (1 + -(-max(len(by_batch), len(by_schedule)) // 3))
    figure, panels = new_figure((4.9, 3.2), 1, 2, left=0.9, right=0.2, bottom=below, top=0.65)
    left, right = panels[0]
    base = 0.0 if np.isnan(optimum) else optimum
    examples = int(by_batch[0][0]["problem_examples"])
    colours = colormaps["viridis"](np.linspace(0.0, 0.88, max(2, len(by_batch))))
    for place, (row, curve) in enumerate(by_batch):
        label = f"{batch_label(int(row['batch_size']), examples)}: {schedule_label(str(row['schedule']))}"
        _curve(left, curve, base, tuple(colours[place]), MARKERS[place % len(MARKERS)], plain(label, 30))
    for row, curve in by_schedule:
        colour, marker = looks[str(row["schedule"])]
        _curve(right, curve, base, colour, marker, plain(schedule_label(str(row["schedule"])), 22))
    panel_title(left, "each batch size with its best schedule")
    best = batch_label(int(by_schedule[0][0]["batch_size"]), examples)
    panel_title(right, f"each schedule at batch size {best}")
    for axes, title in ((left, "batch size: schedule"), (right, "schedule")):
        _finish(axes, title, [(loss - base, label) for loss, label in targets])
    left.set_ylabel("loss" if np.isnan(optimum) else "loss above the optimum")
    heading(figure, f"{plain(name)}: loss against epochs (line: median of the starts, band: 10–90 % of them)")
    return figure


def _curve(axes: Axes, curve: pd.DataFrame, base: float, colour: str | tuple[float, ...], marker: str,
           label: str) -> None:
    shown = curve[(curve["epochs"] > 0) & np.isfinite(curve["low"])]
    epochs = shown["epochs"].to_numpy(float)
    low, median, high = (shown[part].to_numpy(float) - base for part in ("low", "median", "high"))
    drawn = np.isfinite(median)
    axes.plot(epochs[drawn], median[drawn], color=colour, marker=marker, markersize=4, markevery=3, linewidth=1.5,
              label=label)
    # a quantile of ∞ (lanes that diverged) is drawn as far up as any finite number seen
    ceiling = np.nanmax(np.where(np.isfinite(high), high, -np.inf), initial=np.nanmax(median[drawn], initial=1.0))
    axes.fill_between(epochs, low, np.minimum(high, ceiling), color=colour, alpha=0.15, linewidth=0)


def _finish(axes: Axes, title: str, targets: Sequence[tuple[float, str]]) -> None:
    log_axis(axes, "x")
    log_axis(axes, "y")
    grid(axes)
    for loss, label in targets:
        axes.axhline(loss, color=INK, linewidth=0.9, linestyle=":")
        axes.annotate(label, (0.01, loss), xycoords=("axes fraction", "data"), fontsize=8, va="bottom", color=INK)
    axes.yaxis.set_major_locator(FixedLocator(tick_places(*axes.get_ylim())))
    axes.set_xlabel("epochs (passes over the data)")
    axes.legend(title=title, fontsize=8, title_fontsize=8, frameon=False, loc="upper center", ncols=3,
                bbox_to_anchor=(0.5, -0.14), columnspacing=1.2)
