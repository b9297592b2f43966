"""Interactive figure of the starts that are not yet at the target, and of those that diverged."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from bench.analysis.ecdf import shown_start, unit_scale
from bench.analysis.ranking import measure_of, rank
from bench.analysis.reported import Reported
from bench.analysis.waiting import waiting_of
from bench.analysis.words import batch_label
from bench.report.plots.parts import Json, Plot, Selector, banded, dashed_looks, label_of, layout, line, unit_axis
from bench.report.plots.targets import units_of


def waiting_plot(rows: pd.DataFrame, reported: Reported, identity: str) -> Plot:
    """Share of starts not yet at the target, for the best schedule of each batch size.

    Args:
        rows: the summary of one problem, optimizer, device and target.
        reported: of the run.
        identity: of the figure.
    """
    order = rank(rows, measure_of(rows)).drop_duplicates("batch_size").sort_values("batch_size")
    looks = dashed_looks([int(size) for size in order["batch_size"]])
    curves = [(row, waiting_of(reported, row)) for _, row in order.iterrows()]
    units = [unit for unit in units_of(rows) if unit[0] != "seconds_batched"]
    views: dict[str, Json] = {}
    for place, (unit, label) in enumerate(units):
        data = [trace for row, curve in curves for trace in _lines(row, curve, unit, looks[int(row["batch_size"])])]
        share: Json = {"title": {"text": "not yet at the target (% of starts)"}, "range": [-1, 101], "type": "linear"}
        x = unit_axis(label, seconds=unit.startswith("seconds"))
        views[str(place)] = {"data": data, "layout": layout(x, share)}
    return Plot(f"{identity}-waiting", "Not yet at the target",
                "Of all starts, for the best schedule of each batch size; band: 95 %. Dotted: diverged before a "
                "hit; those starts stay in the share to the end.", views,
                (Selector("time in", [name for _, name in units]),), ("x",))


def _lines(row: pd.Series, curve: pd.DataFrame, unit: str, look: tuple[str, str, str]) -> list[Json]:
    scale, steps = unit_scale(row, unit), curve["step"].to_numpy(float)
    if curve.empty or math.isnan(scale):
        return []
    colour, marker, dash = look
    name = f"{batch_label(int(row['batch_size']), int(row['problem_examples']))}: {label_of(str(row['schedule']))}"
    x = np.maximum(steps, shown_start(steps)) * scale
    waiting, low, high, diverged = (100 * curve[part].to_numpy(float)
                                    for part in ("waiting", "low", "high", "diverged"))
    trace = line(name, colour, marker, x, waiting, f"{name}<br>%{{y:.0f}} % not yet there<extra></extra>", dash=dash,
                 markers=False, shape="hv")
    traces = [banded(trace, low, high)]
    if diverged.any():
        lost = line(name, colour, marker, x, diverged, f"{name}<br>%{{y:.0f}} % diverged<extra></extra>", dash="dot",
                    markers=False, shape="hv")
        traces.append(lost | {"showlegend": False})
    return traces
