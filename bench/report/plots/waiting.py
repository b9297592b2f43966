"""Interactive figure of the starts that are not yet at the target, and of those that diverged."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from bench.analysis.ecdf import shown_start, unit_scale
from bench.analysis.words import batch_label
from bench.report.plots.parts import Json, Plot, Selector, banded, dashed_looks, label_of, layout, line, unit_axis
from bench.report.plots.targets import units_of


def waiting_plot(rows: pd.DataFrame, curves: pd.DataFrame, identity: str) -> Plot:
    """Share of starts not yet at the target, for the best schedule of each batch size.

    Args:
        rows: the summary of one problem, optimizer, device and target.
        curves: `waiting_table` of these rows.
        identity: of the figure.
    """
    looks = dashed_looks(sorted(int(size) for size in curves["batch_size"].unique()))
    examples = int(rows["problem_examples"].iloc[0])
    cells = [(int(str(size)), str(schedule), curve)
             for (size, schedule), curve in curves.groupby(["batch_size", "schedule"], sort=True)]
    units = [unit for unit in units_of(rows) if unit[0] != "seconds_batched"]
    views: dict[str, Json] = {}
    for place, (unit, label) in enumerate(units):
        scales = {size: unit_scale(row, unit) for size, row in rows.set_index("batch_size", drop=False).iterrows()}
        data = [trace for size, schedule, curve in cells if not math.isnan(scales[size]) for trace in
                _lines(curve, f"{batch_label(size, examples)}: {label_of(schedule)}", scales[size], looks[size])]
        share: Json = {"title": {"text": "not yet at the target (% of starts)"}, "range": [-1, 101], "type": "linear"}
        x = unit_axis(label, seconds=unit.startswith("seconds"))
        views[str(place)] = {"data": data, "layout": layout(x, share)}
    return Plot(f"{identity}-waiting", "Not yet at the target",
                "Of all starts, for the best schedule of each batch size; band: 95 %. Dotted: diverged before a "
                "hit; those starts stay in the share to the end.", views,
                (Selector("time in", [name for _, name in units]),), ("x",), table="waiting.csv")


def _lines(curve: pd.DataFrame, name: str, scale: float, look: tuple[str, str, str]) -> list[Json]:
    colour, marker, dash = look
    steps = curve["steps"].to_numpy(float)
    x = np.maximum(steps, shown_start(steps)) * scale
    waiting, low, high, diverged = (100 * curve[part].to_numpy(float)
                                    for part in ("waiting", "waiting_low", "waiting_high", "diverged"))
    trace = line(name, colour, marker, x, waiting, f"{name}<br>%{{y:.0f}} % not yet there<extra></extra>", dash=dash,
                 markers=False, shape="hv")
    traces = [banded(trace, low, high)]
    if diverged.any():
        lost = line(name, colour, marker, x, diverged, f"{name}<br>%{{y:.0f}} % diverged<extra></extra>", dash="dot",
                    markers=False, shape="hv")
        traces.append(lost | {"showlegend": False})
    return traces
