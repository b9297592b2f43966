"""Figure of the ECDF of hit times: the share of (start, target) pairs that was reached by a time."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from bench.analysis.ranking import best_cells, measure_of, rank
from bench.analysis.words import batch_label, schedule_label
from bench.report.style import (
    MARKERS,
    grid,
    heading,
    legend_below,
    log_axis,
    new_figure,
    panel_title,
    plain,
    room_below,
    schedule_text,
    shades,
    step_band,
    tick_places,
)

_UNITS = {"seconds_solo": "seconds, one training", "examples": "examples seen"}


def ecdf_figure(rows: pd.DataFrame, curves: pd.DataFrame, name: str,
                styles: Mapping[str, tuple[str, str]]) -> Figure | None:
    """Two panels: the best schedule of each batch size, and every schedule at the best one; None without a hit.

    Times are in seconds of one training where each cell was timed, else in examples. Best is what is soonest at the
    hardest target.

    Args:
        rows: the summary of one problem, optimizer and device.
        curves: `ecdf_table` of these rows.
        name: of the problem, for the title.
        styles: colour and marker of each schedule.
    """
    if curves.empty:
        return None
    unit = "examples" if curves["seconds_solo"].isna().any() else "seconds_solo"
    examples, best = int(rows["problem_examples"].iloc[0]), best_cells(rows)
    size = int(rank(best, measure_of(best))["batch_size"].iloc[0])
    schedules = [schedule for schedule in styles if schedule in set(rows["schedule"])]
    figure, panels = new_figure((4.9, 3.2), 1, 2, left=0.9, right=0.2, top=0.65,
                                bottom=room_below(max(len(best), len(schedules))))
    left, right = panels[0]
    for place, ((_, row), shade) in enumerate(zip(best.iterrows(), shades(len(best)), strict=True)):
        label = f"{batch_label(int(row['batch_size']), examples)}: {schedule_label(str(row['schedule']))}"
        _line(left, _cell(curves, int(row["batch_size"]), str(row["schedule"])), unit, shade,
              MARKERS[place % len(MARKERS)], plain(label, 30))
    for schedule in schedules:
        _line(right, _cell(curves, size, schedule), unit, *styles[schedule], schedule_text(schedule))
    panel_title(left, "each batch size with its best schedule")
    panel_title(right, f"each schedule at batch size {batch_label(size, examples)}")
    for axes, title in ((left, "batch size: schedule"), (right, "schedule")):
        log_axis(axes, "x", seconds=unit == "seconds_solo")
        grid(axes)
        axes.xaxis.set_major_locator(FixedLocator(tick_places(*axes.get_xlim())))
        axes.set_ylim(-2, 102)
        axes.set_xlabel(_UNITS[unit])
        legend_below(axes, title)
    left.set_ylabel("reached (% of starts × targets)")
    heading(figure, f"{plain(name)}: share of starts × targets reached by a time (ECDF; band: 95 %, over starts)")
    return figure


def _cell(curves: pd.DataFrame, batch_size: int, schedule: str) -> pd.DataFrame:
    return curves[(curves["batch_size"] == batch_size) & (curves["schedule"] == schedule)]


def _line(axes: Axes, curve: pd.DataFrame, unit: str, colour: str | tuple[float, ...], marker: str,
          label: str) -> None:
    """A cell that never hit has a place in the legend and no line."""
    share, low, high = (100 * curve[part].to_numpy(float) for part in ("share", "share_low", "share_high"))
    axes.plot(curve[unit], share, color=colour, marker=marker, markersize=4, markevery=4, linewidth=1.5,
              drawstyle="steps-post", label=label)
    if len(curve):
        step_band(axes, curve[unit].to_numpy(float), low, high, colour)
