"""Figure of critical batch sizes: one panel per target, one line per schedule, with intervals."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.goals import Goal
from bench.report.style import grid, heading, log_axis, new_figure, panel_title, plain, schedule_text

_MOST_TARGETS = 4


def critical_figure(fits: pd.DataFrame, name: str, looks: Mapping[str, tuple[str, str]]) -> Figure | None:
    """Critical batch size with its 95 % interval by schedule, an arrow where it has no end; None without a fit.

    Args:
        fits: `scaling_table` of one problem, optimizer and device.
        name: of the problem, for the title.
        looks: colour and marker of each schedule.
    """
    fits = fits[fits["b_crit"].notna()]
    targets = sorted(fits["target"].unique(), reverse=True)[-_MOST_TARGETS:]
    if not targets:
        return None
    schedules = [schedule for schedule in looks if schedule in set(fits["schedule"])]
    figure, panels = new_figure((3.3, 0.3 * len(schedules) + 0.6), 1, len(targets), left=1.5, right=0.3, bottom=0.75,
                                top=0.75)
    ends = fits[["b_crit", "b_crit_low", "b_crit_high"]].to_numpy(float)
    ends = ends[np.isfinite(ends) & (ends > 0)]
    edges = float(ends.min()) / 3, float(ends.max()) * 3
    for axes, target in zip(panels[0], targets, strict=True):
        shown = fits[fits["target"] == target]
        log_axis(axes, "x")
        grid(axes)
        for _, row in shown.iterrows():
            schedule = str(row["schedule"])
            draw_critical(axes, row, schedules.index(schedule), edges, looks[schedule])
        axes.set_xlim(edges[0] / 1.3, edges[1] * 1.3)
        panel_title(axes, Goal.of(shown.iloc[0]).level)
        axes.set_xlabel("critical batch size (examples)")
    panels[0][0].set_yticks(range(len(schedules)), [schedule_text(schedule) for schedule in schedules])
    panels[0][0].set_ylim(-0.6, len(schedules) - 0.4)
    noun = Goal.of(fits.iloc[0]).noun
    heading(figure, f"{plain(name)}: critical batch size to get the {noun} … (fit and 95 % interval; arrows: no end)")
    return figure


def draw_critical(axes: Axes, row: pd.Series, place: int, edges: tuple[float, float], look: tuple[str, str]) -> None:
    """The critical batch size of one schedule with its interval; an arrow where it goes on beyond an edge.

    Args:
        row: of `scaling_table`.
        place: on the y axis.
        edges: ends of what is shown, in examples.
        look: colour and marker.
    """
    colour, marker = look
    low, high = max(float(row["b_crit_low"]), edges[0]), min(float(row["b_crit_high"]), edges[1])
    axes.plot([low, high], [place, place], color=colour, linewidth=1.3)
    axes.plot(float(row["b_crit"]), place, color=colour, marker=marker, markersize=6)
    axes.plot(low, place, color=colour, marker="<" if row["b_crit_low"] < edges[0] else "|", markersize=6)
    axes.plot(high, place, color=colour, marker=">" if row["b_crit_high"] > edges[1] else "|", markersize=6)
