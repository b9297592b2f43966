"""Interactive figures of what a target costs: steps, examples and seconds against batch size, and ECDF of hit times."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.ecdf import unit_scale
from bench.analysis.goals import Goal
from bench.analysis.intervals import Estimate
from bench.analysis.ranking import best_cells
from bench.analysis.words import batch_label, estimate_words, number, schedule_label, seconds_words
from bench.report.plots.parts import (
    FAINT,
    INK,
    Json,
    Looks,
    Plot,
    Selector,
    banded,
    batch_axis,
    dashed_looks,
    label_of,
    layout,
    line,
    open_markers,
    shifts,
    unit_axis,
)
from bench.report.scaling import met_words

UNITS = (("seconds_solo", "seconds, one training"), ("seconds_batched", "seconds, one lane of a sweep"),
         ("steps", "steps (updates)"), ("examples", "examples seen"))
_EDGE = 3.0  # times the largest that is drawn: the upper edge of the strip of misses
_HOVER = ["batch_size", "schedule", "problem_examples", "hits", "lanes", "rate"]


def units_of(rows: pd.DataFrame) -> list[tuple[str, str]]:
    """The units that were measured: seconds only where a step was timed."""
    timed = [unit for unit, _ in UNITS[:2] if rows[f"step_s_{unit.removeprefix('seconds_')}"].notna().any()]
    return [(unit, label) for unit, label in UNITS if unit in timed or not unit.startswith("seconds")]


def target_goals(rows: pd.DataFrame, first: float) -> list[tuple[float, str]]:
    """(target, words) of every target, the headline first."""
    goals = rows.drop_duplicates("target").sort_values("target", ascending=False)
    named = [(float(row["target"]), Goal.of(row).words)
             for _, row in goals.iterrows()]
    return sorted(named, key=lambda goal: goal[0] != first)


def target_plot(rows: pd.DataFrame, headline: float, looks: Looks, identity: str) -> Plot:
    """Median time to a target against batch size, one line per schedule, misses as open markers at the top.

    Args:
        rows: the summary of one problem, optimizer and device.
        headline: the target shown first.
        looks: colour and marker of each schedule.
        identity: of the figure.
    """
    goals, units = target_goals(rows, headline), units_of(rows)
    views = {f"{place}-{at}": _target_view(rows[rows["target"] == target], unit, label, looks)
             for place, (target, _) in enumerate(goals) for at, (unit, label) in enumerate(units)}
    return Plot(f"{identity}-target", "Time to target against batch size",
                "Median over starts, bars are 95 % intervals. Open markers in the strip: more than half of the starts "
                f"missed; a bar into it has no upper end.{met_words(rows, 'bottom')}", views,
                (Selector("target", [words for _, words in goals]), Selector("time in", [name for _, name in units])),
                ("y",), "seconds" if len(units) > 2 else "steps", "summary.csv")


def ecdf_plot(rows: pd.DataFrame, curves: pd.DataFrame, looks: Looks, identity: str) -> Plot:
    """Share of (start, target) pairs reached by a time: the best schedule of each batch size, and each schedule.

    Args:
        rows: the summary of one problem, optimizer and device.
        curves: `ecdf_table` of these rows.
        looks: colour and marker of each schedule.
        identity: of the figure.
    """
    units = [unit for unit in units_of(rows) if unit[0] != "seconds_batched"]
    sizes, examples = sorted(rows["batch_size"].unique()), int(rows["problem_examples"].iloc[0])
    schedules = [name for name in looks if name in set(rows["schedule"])]
    named = {(row["batch_size"], row["schedule"]): f"{batch_label(int(row['batch_size']), examples)}: "
             f"{label_of(str(row['schedule']))}" for _, row in best_cells(rows).iterrows()}
    sized = [{(size, schedule): f"batch {batch_label(size, examples)}" for size in sizes} for schedule in schedules]
    views = {f"{place}-{at}": _ecdf_view(curves, names, unit, label, sizes)
             for place, names in enumerate([named, *sized]) for at, (unit, label) in enumerate(units)}
    options = ["best of each batch size", *[schedule_label(name) for name in schedules]]
    return Plot(f"{identity}-ecdf", "Share of starts and targets reached (ECDF)",
                "Every start counts once for each target; higher and further left is better. A line ends at "
                "its last hit. Band: 95 %, over starts."
                + met_words(rows, "left end"), views,
                (Selector("schedule", options), Selector("time in", [name for _, name in units])), ("x",), "ecdf",
                "ecdf.csv")


def _target_view(rows: pd.DataFrame, unit: str, label: str, looks: Looks) -> Json:
    sizes, examples = sorted(rows["batch_size"].unique()), int(rows["problem_examples"].iloc[0])
    schedules = [name for name in looks if name in set(rows["schedule"])]
    seen = np.concatenate([_values(rows, unit, part) for part in ("median", "low", "high")])
    # a logarithmic axis has no zero: a target that the start meets is at one step, or at the least that is above 0
    floor = float(seen[seen > 0].min(initial=np.nanmin([unit_scale(row, unit) for row in rows.to_dict("records")])))
    seen = seen[np.isfinite(seen)].clip(floor)
    bottom, top = (float(seen.min()), float(seen.max())) if len(seen) else (floor, floor)
    data: list[Json] = []
    missed = endless = False
    for schedule, shift in zip(schedules, shifts(sizes, len(schedules)), strict=True):
        cell = rows[rows["schedule"] == schedule].sort_values("batch_size")
        median, low, high = (_values(cell, unit, part) for part in ("median", "low", "high"))
        x = cell["batch_size"].to_numpy(float) * shift
        hover = [_target_hover(row, Estimate(*told), unit) for row, *told in
                 zip(cell[_HOVER].to_dict("records"), median, low, high, strict=True)]
        hit, lost = np.isfinite(median), np.isinf(median)
        # an interval without an upper end goes on through the strip of misses
        ends = np.where(np.isfinite(high), high, top * _EDGE).clip(floor)
        endless |= bool(np.isinf(high[hit]).any())
        drawn, start = (np.where(hit, part, np.nan).clip(floor) for part in (median, low))
        trace = line(label_of(schedule), *looks[schedule], x, drawn, hover)
        trace["error_y"] = {"type": "data", "symmetric": False, "array": ends - drawn,
                            "arrayminus": drawn - start, "thickness": 1.3, "width": 3}
        data.append(trace)
        if lost.any():
            missed = True
            data.append(open_markers(label_of(schedule), *looks[schedule], x[lost], np.full(lost.sum(), top * 2),
                                     [words for words, is_lost in zip(hover, lost, strict=True) if is_lost]))
    y = unit_axis(f"time to target ({label})", seconds=unit.startswith("seconds"))
    view = layout(batch_axis(sizes, examples), y)
    if missed or endless:
        y["range"] = [math.log10(bottom / 1.6), math.log10(top * _EDGE)]
        view["shapes"] = [{"type": "rect", "xref": "paper", "x0": 0, "x1": 1, "y0": top * 1.5, "y1": top * _EDGE,
                           "fillcolor": FAINT, "line": {"width": 0}, "layer": "below"}]
        view["annotations"] = [{"xref": "paper", "x": 0.01, "xanchor": "left", "yref": "paper", "y": 1,
                                "yanchor": "top", "showarrow": False, "font": {"size": 11, "color": INK},
                                "text": "missed by more than half of the starts" if missed else "no upper end"}]
    return {"data": data, "layout": view}


def _values(rows: pd.DataFrame, unit: str, part: str) -> np.ndarray:
    if unit == "examples":
        return rows[f"steps_{part}"].to_numpy(float) * rows["batch_size"].to_numpy(float)
    return rows[f"{unit}_{part}"].to_numpy(float)


def _target_hover(row: Mapping[Hashable, Any], value: Estimate, unit: str) -> str:
    words = seconds_words(value) if unit.startswith("seconds") else f"{estimate_words(value)} {unit}"
    if math.isinf(value.value):
        words = "missed by more than half"
    batch = batch_label(int(row["batch_size"]), int(row["problem_examples"]))
    return (f"{label_of(str(row['schedule']))}, batch {batch}<br>{words}<br>"
            f"{row['hits']} of {row['lanes']} starts hit; rate {number(float(row['rate']))}")


def _ecdf_view(curves: pd.DataFrame, names: Mapping[tuple[int, str], str], unit: str, label: str,
               sizes: Sequence[int]) -> Json:
    styles, data = dashed_looks(sizes), []
    for (size, schedule), name in names.items():
        curve = curves[(curves["batch_size"] == size) & (curves["schedule"] == schedule)]
        if curve[unit].isna().all():  # never hit, or not timed
            continue
        colour, marker, dash = styles[size]
        suffix = "s" if unit.startswith("seconds") else f" {unit}"
        hover = f"{name}<br>%{{y:.0f}} % by %{{x:.3s}}{suffix}<extra></extra>"
        share, low, high = (100 * curve[part].to_numpy(float) for part in ("share", "share_low", "share_high"))
        trace = line(name, colour, marker, curve[unit].to_numpy(float), share, hover, dash=dash,
                     markers=len(curve) == 1, shape="hv")
        data.append(banded(trace, low, high))
    y: Json = {"title": {"text": "reached (% of starts × targets)"}, "range": [0, 101], "type": "linear"}
    return {"data": data, "layout": layout(unit_axis(label, seconds=unit.startswith("seconds")), y)}
