"""Figures of steps and of seconds to the targets against batch size, one panel per target, one line per schedule."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator

from bench.analysis.goals import Goal
from bench.analysis.words import schedule_label
from bench.report.style import (
    INK,
    batch_axis,
    folded,
    grid,
    heading,
    log_axis,
    new_figure,
    panel_title,
    plain,
    tick_places,
)

Looks = Mapping[str, tuple[str, str]]
_PANEL = (3.5, 2.9)
_MISSED = 0.1  # height of the strip for misses, a share of the axes
_MOST_TARGETS = 4


def steps_figure(rows: pd.DataFrame, name: str, looks: Looks) -> Figure:
    """Steps to each target against batch size: median and 95 % interval per schedule, misses in a strip at the top.

    Args:
        rows: the summary of one problem, optimizer and device.
        name: of the problem, for the title.
        looks: colour and marker of each schedule.
    """
    targets = _targets(rows)
    figure, panels = _frame(1, len(targets))
    missed = perfect = False
    rows = rows[rows["target"].isin(targets)]
    limits = _limits(rows, "steps", 1.0)
    for axes, target in zip(panels[0], targets, strict=True):
        shown = rows[rows["target"] == target]
        missed |= _lines(axes, shown, "steps", looks, limits)
        perfect |= _perfect_scaling(axes, shown)
        panel_title(axes, _goal(shown))
    panels[0][0].set_ylabel("steps to target\n(updates; median over starts)")
    _finish(panels, missed=missed, rows=rows)
    _legend(figure, rows, looks, missed=missed, perfect=perfect)
    heading(figure, f"{plain(name)}: steps until the {Goal.of(rows.iloc[0]).noun} is …")
    return figure


def seconds_figure(rows: pd.DataFrame, name: str, looks: Looks) -> Figure | None:
    """Seconds to each target against batch size, to train once and per lane of a sweep; None if no step was timed."""
    kinds = [("solo", "seconds to target,\none training alone"), ("batched", "seconds to target,\none lane of a sweep")]
    kinds = [(kind, title) for kind, title in kinds if rows[f"step_s_{kind}"].notna().any()]
    if not kinds:
        return None
    targets = _targets(rows)
    rows = rows[rows["target"].isin(targets)]
    figure, panels = _frame(len(kinds), len(targets))
    missed = False
    for place, (kind, title) in enumerate(kinds):
        line = panels[place]
        limits = _limits(rows, f"seconds_{kind}", float(rows[f"step_s_{kind}"].min()))
        for axes, target in zip(line, targets, strict=True):
            shown = rows[rows["target"] == target]
            missed |= _lines(axes, shown, f"seconds_{kind}", looks, limits)
            if place == 0:
                panel_title(axes, _goal(shown))
        line[0].set_ylabel(f"{title}\n(median over starts)")
    _finish(panels, missed=missed, rows=rows)
    _legend(figure, rows, looks, missed=missed, perfect=False)
    heading(figure, f"{plain(name)}: seconds until the {Goal.of(rows.iloc[0]).noun} is …")
    return figure


def met_words(rows: pd.DataFrame, place: str) -> str:
    """Where a figure with a logarithmic axis has the start; nothing where no interval reaches down to it."""
    return f" The start, before any step, is drawn at the {place}." if (rows["steps_low"] == 0).any() else ""


def _targets(rows: pd.DataFrame) -> list[float]:
    return sorted(rows["target"].unique(), reverse=True)[-_MOST_TARGETS:]


def _goal(rows: pd.DataFrame) -> str:
    return f"… {Goal.of(rows.iloc[0]).level}"


def _frame(rows: int, columns: int) -> tuple[Figure, np.ndarray]:
    figure, panels = new_figure(_PANEL, rows, columns, left=1.45, right=1.95, bottom=0.85, top=0.65)
    for axes in panels.flat:
        grid(axes)
    return figure, panels


def _lines(axes: Axes, rows: pd.DataFrame, quantity: str, looks: Looks, limits: tuple[float, float]) -> bool:
    """Draw one line per schedule; a median of ∞ is an open marker in the strip. Says whether there is one."""
    log_axis(axes, "y", seconds=quantity != "steps")
    schedules = [name for name in looks if name in set(rows["schedule"])]
    axes.set_ylim(limits)
    floor, any_missed = limits[0] * 1.6, False
    for schedule, shift in zip(schedules, _shifts(rows, len(schedules)), strict=True):
        cell = rows[rows["schedule"] == schedule].sort_values("batch_size")
        colour, marker = looks[schedule]
        size = cell["batch_size"].to_numpy(float) * shift
        median, low, high = (cell[f"{quantity}_{part}"].to_numpy(float) for part in ("median", "low", "high"))
        hit, missed = np.isfinite(median), np.isinf(median)
        drawn = np.where(hit, median, np.nan).clip(floor)
        axes.plot(size, drawn, color=colour, marker=marker, markersize=5, linewidth=1.3)
        # an interval without an upper end goes on to the strip of misses
        top = np.where(np.isfinite(high), high, limits[1] * 100)
        axes.vlines(size[hit], low[hit].clip(floor), top[hit].clip(floor), color=colour, linewidth=1.1)
        axes.fill_between(size, np.where(hit, low, np.nan).clip(floor), np.where(hit, top, np.nan).clip(floor),
                          color=colour, alpha=0.12, linewidth=0)
        axes.plot(size[missed], np.full(missed.sum(), 1 - _MISSED / 2), marker, markerfacecolor="white",
                  markeredgecolor=colour, markersize=5.5, markeredgewidth=1.3, transform=axes.get_xaxis_transform(),
                  zorder=4)
        any_missed |= bool(missed.any())
    return any_missed


def _shifts(rows: pd.DataFrame, count: int) -> np.ndarray:
    """Factors that set schedules side by side around their batch size, so that equal ones don't hide each other."""
    sizes = np.sort(rows["batch_size"].unique()).astype(float)
    room = float((sizes[1:] / sizes[:-1]).min()) if len(sizes) > 1 else 4.0
    spread = min(min(room, 4.0) ** 0.45, 1.17 ** (count - 1))  # a few lie close to their size
    return spread ** np.linspace(-0.5, 0.5, count) if count > 1 else np.ones(1)


def _perfect_scaling(axes: Axes, rows: pd.DataFrame) -> bool:
    """A dashed line of slope −1 from the soonest cell of the smallest batch that hit. Says whether there is one."""
    hit = rows[np.isfinite(rows["steps_median"].to_numpy(float)) & (rows["steps_median"] > 0)]
    if hit["batch_size"].nunique() < 2:
        return False
    smallest = int(hit["batch_size"].min())
    start = float(hit.loc[hit["batch_size"] == smallest, "steps_median"].min())
    sizes = np.array([smallest, rows["batch_size"].max()], float)
    axes.plot(sizes, start * smallest / sizes, "--", color=INK, linewidth=1.1, zorder=1.5)
    return True


def _finish(panels: np.ndarray, *, missed: bool, rows: pd.DataFrame) -> None:
    sizes, examples = sorted(rows["batch_size"].unique()), int(rows["problem_examples"].iloc[0])
    for line in panels:
        low, high = line[0].get_ylim()
        ticks = tick_places(low, high)
        # the strip of misses is at the top of the axes: data keep out of it
        line[0].set_ylim(low, high * (high / low) ** (_MISSED / (1 - _MISSED)) if missed else high)
        for axes in line:
            batch_axis(axes, sizes, examples)
            axes.yaxis.set_major_locator(FixedLocator(ticks))
            if missed:
                axes.add_patch(Rectangle((0, 1 - _MISSED), 1, _MISSED, transform=axes.transAxes, facecolor="#eeeeee",
                                         edgecolor="none", zorder=3))
    for axes in panels[-1]:
        axes.set_xlabel("batch size (examples per step)")


def _limits(rows: pd.DataFrame, quantity: str, floor: float) -> tuple[float, float]:
    """Limits of the y axis that hold every finite median and interval end, 0 at the floor or at the least above it."""
    values = rows[[f"{quantity}_{part}" for part in ("median", "low", "high")]].to_numpy(float).ravel()
    values = values[np.isfinite(values)].clip(values[values > 0].min(initial=floor))
    return (float(values.min()) / 1.6, float(values.max()) * 1.6) if len(values) else (floor / 2, floor * 20)


def _legend(figure: Figure, rows: pd.DataFrame, looks: Looks, *, missed: bool, perfect: bool) -> None:
    handles = [Line2D([], [], color=looks[name][0], marker=looks[name][1], markersize=5, linewidth=1.3,
                      label=folded(schedule_label(name), 18)) for name in looks if name in set(rows["schedule"])]
    if perfect:
        handles.append(Line2D([], [], color=INK, linestyle="--", label="perfect scaling:\ntwice the batch,\n"
                                                                       "half the steps"))
    if missed:
        handles.append(Line2D([], [], color="none", marker="o", markerfacecolor="white", markeredgecolor=INK,
                              label="open, in the grey\nstrip: missed by\nmore than half\nof the starts"))
    figure.legend(handles=handles, loc="upper left", frameon=False, title="schedule", fontsize=9, alignment="left",
                  bbox_to_anchor=(1 - 1.85 / figure.get_figwidth(), 1 - 0.55 / figure.get_figheight()))
