"""Figure across problems: the batch size where more examples stop paying, beside the noise scale and the clock."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from bench.analysis.goals import Goal
from bench.report.critical import draw_critical
from bench.report.style import INK, grid, heading, log_axis, new_figure, panel_title, plain, schedule_text, tick_places

_MOST = 6  # problems in one figure
_BAND = "#d0d0d0"
_ONE_ROW = 10.0  # inches, of a figure whose legend of three entries stands in one row
_WIDER = 1.6  # than the values, the axis


def critical_across_figure(scaling: pd.DataFrame, looks: Mapping[str, tuple[str, str]]) -> Figure | None:
    """Critical batch size by schedule, noise scale and fastest batch, one panel per problem; None for less than two.

    Each panel is of the hardest target to which most of its schedules have a fit.

    Args:
        scaling: `scaling_table` of a run with the noise scale.
        looks: colour and marker of each schedule.
    """
    fits = scaling[scaling["b_crit"].notna()]
    shown = [_hardest(rows) for _, rows in fits.groupby(["problem", "optimizer", "device"], sort=False)][:_MOST]
    if len({str(rows["problem"].iloc[0]) for rows in shown}) < 2:
        return None
    schedules = [schedule for schedule in looks if any(schedule in set(rows["schedule"]) for rows in shown)][::-1]
    figure, panels = new_figure((3.3, 0.32 * len(schedules) + 0.4), 1, len(shown), left=1.5, right=0.3, bottom=1.15,
                                top=0.95)
    for axes, rows in zip(panels[0], shown, strict=True):
        _panel(axes, rows, schedules, looks)
    panels[0][0].set_yticks(range(len(schedules)), [schedule_text(name) for name in schedules])
    panels[0][0].set_ylim(-0.6, len(schedules) - 0.4)
    heading(figure, "Which batch size? Beyond the critical one larger ones save few steps; ◇ reaches the target first")
    handles: list[Artist] = [
        Line2D([], [], color=INK, marker="o", label="critical batch size, 95 % interval (arrow: no end)"),
        Line2D([], [], color=INK, marker="d", markersize=8, markerfacecolor="none", linestyle="none",
               label="soonest in seconds (one training)")]
    if any(axes.patches for axes in panels[0]):
        handles.append(Patch(color=_BAND, label="gradient noise scale at that loss, 95 %"))
    figure.legend(handles=handles, loc="lower left", ncols=3 if figure.get_figwidth() >= _ONE_ROW else 2, frameon=False,
                  fontsize=9, bbox_to_anchor=(0.01, 0.0))
    return figure


def _hardest(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the lowest target among those with the most fits."""
    counts = rows.groupby("target").size()
    return rows[rows["target"] == counts[counts == counts.max()].index.min()]


def _panel(axes: Axes, rows: pd.DataFrame, schedules: list[str], looks: Mapping[str, tuple[str, str]]) -> None:
    first = rows.iloc[0]
    noise = [float(first[f"b_simple_target{part}"]) for part in ("_low", "_high")]
    ends = np.array([*rows[["b_crit", "b_crit_low", "b_crit_high", "fastest_batch"]].to_numpy(float).ravel(), *noise])
    ends = ends[np.isfinite(ends) & (ends > 0)]
    edges = float(ends.min()) / _WIDER, float(ends.max()) * _WIDER
    log_axis(axes, "x")
    grid(axes)
    if all(map(math.isfinite, noise)):
        axes.axvspan(*noise, color=_BAND, linewidth=0, zorder=0.5)
    for _, row in rows.iterrows():
        schedule = str(row["schedule"])
        place = schedules.index(schedule)
        draw_critical(axes, row, place, edges, looks[schedule])
        axes.plot(float(row["fastest_batch"]), place, color=INK, marker="d", markersize=8, markerfacecolor="none")
    axes.set_xlim(edges[0] / 1.1, edges[1] * 1.1)
    axes.set_xticks(tick_places(*edges))
    name = f"{plain(str(first['problem']), 30)} ({first['optimizer']})"
    panel_title(axes, f"{name}\n{Goal.of(first).phrase}")
    axes.set_xlabel("batch size (examples)")
