"""Interactive figures of a comparison: how many times faster B is, against batch size."""

from __future__ import annotations

from itertools import compress

import numpy as np
import pandas as pd

from bench.analysis.versus import PER_STEP, TO_TARGET
from bench.analysis.words import schedule_label
from bench.compare.words import LABELS, faster_words
from bench.report.plots.parts import (
    INK,
    Json,
    Looks,
    Plot,
    Selector,
    layout,
    line,
    open_markers,
    shifts,
    text,
    unit_axis,
)
from bench.report.style import looks

_BEYOND = 2.0  # times the farthest finite end: where an interval without an end is drawn to


def speed_plots(cells: pd.DataFrame) -> list[Plot]:
    """Speed-up to target by schedule, and per step; none of what was not measured.

    Args:
        cells: `versus(pair, parity).cells`.
    """
    plots = [_plot(cells, TO_TARGET, "plot-target", "How much sooner B reaches the target than A", "speed-up-target"),
             _plot(cells, PER_STEP, "plot-step", "How much faster a step is on B than on A", "speed-up-step")]
    return [plot for plot in plots if plot is not None]


def drawn_rows(cells: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """The rows that a figure shows, those of the headline target that both sides reach, with their bars and lines.

    Returns:
        the rows with columns bar_low, bar_high: the interval, to an edge where it has no end (0 or ∞: one side misses
        in some resamples); line: the name of its optimizer, where there are several, and of its schedule.
    """
    rows = cells[(cells["quantity"] == quantity) & cells["headline"].astype(bool)]
    known = np.isfinite(rows[["ratio", "value_a", "value_b"]].to_numpy(float)).all(axis=1)
    rows = rows[known & (rows["ratio"].to_numpy(float) > 0)]
    ratio, low, high = rows[["ratio", "low", "high"]].to_numpy(float).T
    seen = np.array([ratio, low, high])
    seen = seen[np.isfinite(seen) & (seen > 0)]
    bottom, top = (seen.min() / _BEYOND, seen.max() * _BEYOND) if len(seen) else (1.0, 1.0)
    several = rows["optimizer"].nunique() > 1
    names = [", ".join(filter(None, (str(optimizer) * several, schedule_label(str(schedule))))) or "every schedule"
             for optimizer, schedule in zip(rows["optimizer"], rows["schedule"], strict=True)]
    return rows.assign(bar_low=np.where(low == 0, bottom, np.minimum(low, ratio)),
                       bar_high=np.where(np.isinf(high), top, np.maximum(high, ratio)), line=names)


def open_ends(rows: pd.DataFrame) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """For both ends of bars: a marker that points there, which of `drawn_rows` have no end, and where theirs stop."""
    return [("v", rows["low"].to_numpy(float) == 0, rows["bar_low"].to_numpy(float)),
            ("^", np.isinf(rows["high"].to_numpy(float)), rows["bar_high"].to_numpy(float))]


def _plot(cells: pd.DataFrame, quantities: tuple[str, ...], identity: str, title: str, picture: str) -> Plot | None:
    chosen = pd.concat([drawn_rows(cells, quantity) for quantity in quantities])
    if chosen.empty:
        return None
    problems, styles = list(dict.fromkeys(chosen["problem"])), looks(sorted(chosen["line"].unique()))
    views = {f"{place}-{at}": _view(chosen[(chosen["problem"] == problem) & (chosen["quantity"] == quantity)], styles)
             for place, problem in enumerate(problems) for at, quantity in enumerate(quantities)}
    note = ("Above 1: B is faster. Bars: 95 % interval, with the noise between processes; a hollow triangle where it "
            "has no end. Cells that miss the target on either side are not drawn; the table has them.")
    return Plot(identity, title, note, views,
                (Selector("problem", [str(name) for name in problems]),
                 Selector("of", [LABELS[quantity] for quantity in quantities])), ("x", "y"), picture, "compare.csv")


def _view(rows: pd.DataFrame, styles: Looks) -> Json:
    moved = shifts(sorted(rows["batch_size"].unique()), len(styles))
    data: list[Json] = []
    for shift, (line_name, (colour, marker)) in zip(moved, styles.items(), strict=True):
        mine = rows[rows["line"] == line_name].sort_values("batch_size")
        if mine.empty:
            continue
        name = text(line_name)
        hover = [f"{name}, batch {row['batch_size']}<br>B is {faster_words(row)}<br>{row['verdict'] or row['note']}"
                 for _, row in mine.iterrows()]
        x = mine["batch_size"].to_numpy(float) * shift
        value, low, high = (mine[column].to_numpy(float) for column in ("ratio", "bar_low", "bar_high"))
        trace = line(name, colour, marker, x, value, hover)
        data.append(trace | {"error_y": {"type": "data", "symmetric": False, "array": high - value,
                                         "arrayminus": value - low, "thickness": 1.3, "width": 3}})
        data += [open_markers(name, colour, end, x[here], at[here], list(compress(hover, here)))
                 for end, here, at in open_ends(mine) if here.any()]
    one: Json = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 1, "y1": 1,
                 "line": {"color": INK, "width": 1}}
    y = unit_axis("times as fast as A (above 1: B is faster)") | {"exponentformat": "none"}
    return {"data": data, "layout": layout(unit_axis("batch size (examples per step)"), y, shapes=[one])}
