"""Interactive figures of a comparison: how many times faster B is, against batch size."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.analysis.versus import PER_STEP, TO_TARGET
from bench.compare.words import LABELS, faster_words
from bench.report.plots.parts import INK, Json, Plot, Selector, label_of, layout, line, shifts, text, unit_axis
from bench.report.style import looks


def speed_plots(cells: pd.DataFrame) -> list[Plot]:
    """Speed-up to target by schedule, and per step; none of what was not measured.

    Args:
        cells: `versus(pair, parity).cells`.
    """
    plots = [_plot(cells, TO_TARGET, "plot-target", "How much sooner B reaches the target than A", "speed-up-target"),
             _plot(cells, PER_STEP, "plot-step", "How much faster a step is on B than on A", "speed-up-step")]
    return [plot for plot in plots if plot is not None]


def drawn_rows(cells: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """The rows that a figure shows: those of the headline target that both sides reach."""
    rows = cells[(cells["quantity"] == quantity) & cells["headline"].astype(bool) & np.isfinite(cells["value_a"])
                 & np.isfinite(cells["value_b"])]
    return rows[np.isfinite(rows["ratio"].to_numpy(float)) & (rows["ratio"].to_numpy(float) > 0)]


def _plot(cells: pd.DataFrame, quantities: tuple[str, ...], identity: str, title: str, picture: str) -> Plot | None:
    chosen = pd.concat([drawn_rows(cells, quantity) for quantity in quantities])
    if chosen.empty:
        return None
    problems = list(dict.fromkeys(chosen["problem"]))
    views: dict[str, Json] = {}
    for place, problem in enumerate(problems):
        for at, quantity in enumerate(quantities):
            views[f"{place}-{at}"] = _view(chosen[(chosen["problem"] == problem) & (chosen["quantity"] == quantity)])
    note = ("Above 1: B is faster. Bars: 95 % interval, with the noise between processes. Cells that miss the target "
            "on either side are not drawn; the table has them.")
    return Plot(identity, title, note, views,
                (Selector("problem", [text(str(name)) for name in problems]),
                 Selector("of", [LABELS[quantity] for quantity in quantities])), ("x", "y"), picture)


def _view(rows: pd.DataFrame) -> Json:
    names = sorted({(str(o), str(s)) for o, s in zip(rows["optimizer"], rows["schedule"], strict=True)})
    styles = looks([" ".join(name) for name in names])
    moved = shifts(sorted(rows["batch_size"].unique()), len(names)) if len(rows) else np.ones(1)
    several = len({optimizer for optimizer, _ in names}) > 1
    data: list[Json] = []
    for at, (optimizer, schedule) in enumerate(names):
        mine = rows[(rows["optimizer"] == optimizer) & (rows["schedule"] == schedule)].sort_values("batch_size")
        colour, marker = styles[f"{optimizer} {schedule}"]
        name = label_of(schedule) or "all schedules"
        name = f"{text(optimizer)}, {name}" if several else name
        hover = [f"{name}, batch {row['batch_size']}<br>B is {faster_words(row)}<br>{row['verdict'] or row['note']}"
                 for _, row in mine.iterrows()]
        value, low, high = (mine[column].to_numpy(float) for column in ("ratio", "low", "high"))
        trace = line(name, colour, marker, mine["batch_size"].to_numpy(float) * moved[at], value, hover)
        data.append(trace | {"error_y": {"type": "data", "symmetric": False, "array": high - value,
                                         "arrayminus": value - low, "thickness": 1.3, "width": 3}})
    one: Json = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 1, "y1": 1,
                 "line": {"color": INK, "width": 1}}
    y = unit_axis("times as fast as A (above 1: B is faster)") | {"exponentformat": "none"}
    return {"data": data, "layout": layout(unit_axis("batch size (examples per step)"), y, shapes=[one])}


