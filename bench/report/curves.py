"""Figure of loss curves against epochs: median and 10–90 % of the starts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from bench.analysis.goals import Goal
from bench.analysis.words import batch_label, schedule_label
from bench.report.style import (
    INK,
    MARKERS,
    grid,
    heading,
    legend_below,
    linear_ticks,
    log_axis,
    new_figure,
    panel_title,
    plain,
    room_below,
    schedule_text,
    shades,
    suits_log,
    tick_places,
)

_LABEL = 0.06  # height of a label, a share of the axis
Line = tuple[pd.Series, pd.DataFrame]  # summary row, curve_quantiles


class Drawn(NamedTuple):
    """A loss curve as it is shown: quantiles of the starts' losses after so many epochs, (marks,) each."""

    epochs: np.ndarray
    low: np.ndarray
    median: np.ndarray
    high: np.ndarray


def drawn_curve(curve: pd.DataFrame, base: float) -> Drawn:
    """Losses above a base at the marks after the start.

    A high quantile of ∞ (lanes that diverged) is drawn as far up as any finite number seen, a median of ∞ is left out.

    Args:
        curve: `curve_quantiles`.
        base: the optimum, or 0 where that is not known.
    """
    shown = curve[(curve["epochs"] > 0) & np.isfinite(curve["low"])]
    low, median, high = (shown[part].to_numpy(float) - base for part in ("low", "median", "high"))
    seen = np.concatenate([part[np.isfinite(part)] for part in (low, median, high)])
    return Drawn(shown["epochs"].to_numpy(float), low, np.where(np.isfinite(median), median, math.nan),
                 np.minimum(high, seen.max(initial=-math.inf)))


def curve_axis(curves: Iterable[Drawn], targets: Sequence[float], optimum: float) -> tuple[bool, list[int]]:
    """Whether the axis of losses is logarithmic, and where the label of each target is: 0 left, 1 middle, 2 right.

    A label has the next place where it would else be over that of the target above it.

    Args:
        curves, targets: above the optimum, if that is known.
        optimum: NaN where it is not known.
    """
    levels = np.asarray(targets, float)
    losses = np.concatenate([levels, *(part for _, *parts in curves for part in parts)])
    losses = losses[np.isfinite(losses)]
    logarithmic = suits_log(losses, above_optimum=not math.isnan(optimum))
    if logarithmic:
        levels, losses = (np.log(part, where=part > 0, out=np.full(len(part), math.nan)) for part in (levels, losses))
    near, places = _LABEL * (np.nanmax(losses) - np.nanmin(losses)), np.zeros(len(levels), int)
    order = np.argsort(-levels)
    for above, at in pairwise(order):
        places[at] = (places[above] + 1) % 3 if levels[above] - levels[at] < near else 0
    return logarithmic, places.tolist()


def curves_figure(by_batch: Sequence[Line], by_schedule: Sequence[Line], name: str,
                  targets: Sequence[tuple[float, str]], optimum: float, looks: Mapping[str, tuple[str, str]],
                  goal: Goal) -> Figure:
    """Two panels: the best schedule of each batch size, and every schedule at the best batch size.

    Args:
        by_batch, by_schedule: (summary row, curve_quantiles) of each line.
        name: of the problem, for the title.
        targets: (loss, label) of the lines across.
        optimum: subtracted from the loss, or NaN to show the loss itself.
        looks: colour and marker of each schedule.
        goal: a target; the curves are of what it is on.
    """
    below = room_below(max(len(by_batch), len(by_schedule)))
    figure, panels = new_figure((4.9, 3.2), 1, 2, left=0.9, right=0.2, bottom=below, top=0.65)
    left, right = panels[0]
    base = 0.0 if math.isnan(optimum) else optimum
    levels = [(loss - base, label) for loss, label in targets]
    lines = [[(row, drawn_curve(curve, base)) for row, curve in each] for each in (by_batch, by_schedule)]
    logarithmic, places = curve_axis([curve for each in lines for _, curve in each], [loss for loss, _ in levels],
                                     optimum)
    examples = int(by_batch[0][0]["problem_examples"])
    for place, ((row, curve), shade) in enumerate(zip(lines[0], shades(len(by_batch)), strict=True)):
        label = f"{batch_label(int(row['batch_size']), examples)}: {schedule_label(str(row['schedule']))}"
        _curve(left, curve, shade, MARKERS[place % len(MARKERS)], plain(label, 30))
    for row, curve in lines[1]:
        colour, marker = looks[str(row["schedule"])]
        _curve(right, curve, colour, marker, schedule_text(str(row["schedule"])))
    panel_title(left, "each batch size with its best schedule")
    best = batch_label(int(by_schedule[0][0]["batch_size"]), examples)
    panel_title(right, f"each schedule at batch size {best}")
    for axes, title in ((left, "batch size: schedule"), (right, "schedule")):
        _finish(axes, title, logarithmic=logarithmic)
        for (loss, label), place in zip(levels, places, strict=True):
            axes.axhline(loss, color=INK, linewidth=0.9, linestyle=":")
            axes.annotate(label, (0.01 + 0.49 * place, loss), xycoords=("axes fraction", "data"), fontsize=8,
                          ha=("left", "center", "right")[place], va="bottom", color=INK)
        if logarithmic:
            axes.yaxis.set_major_locator(FixedLocator(tick_places(*axes.get_ylim())))
    left.set_ylabel(goal.axis if math.isnan(optimum) else f"{goal.axis} above the optimum")
    heading(figure, f"{plain(name)}: {goal.noun} against epochs (line: median of the starts, band: 10–90 % of them)")
    return figure


def _curve(axes: Axes, curve: Drawn, colour: str | tuple[float, ...], marker: str, label: str) -> None:
    axes.plot(curve.epochs, curve.median, color=colour, marker=marker, markersize=4, markevery=3, linewidth=1.5,
              label=label)
    axes.fill_between(curve.epochs, curve.low, curve.high, color=colour, alpha=0.15, linewidth=0)


def _finish(axes: Axes, title: str, *, logarithmic: bool) -> None:
    log_axis(axes, "x")
    if logarithmic:
        log_axis(axes, "y")
    else:
        axes.yaxis.set_major_formatter(linear_ticks())
    grid(axes)
    axes.set_xlabel("epochs (passes over the data)")
    legend_below(axes, title)
