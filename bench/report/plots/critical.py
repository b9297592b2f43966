"""Interactive figures of batch scaling: the fitted hyperbola beside the medians, critical batch sizes by schedule."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from bench.analysis.intervals import Estimate
from bench.analysis.scaling import noise_share
from bench.analysis.words import estimate_words, number
from bench.report.plots.parts import (
    Json,
    Looks,
    Plot,
    Selector,
    axis,
    batch_axis,
    label_of,
    layout,
    line,
    unit_axis,
)
from bench.report.plots.targets import target_goals

_CURVE_POINTS = 40


def critical_plots(rows: pd.DataFrame, scaling: pd.DataFrame, looks: Looks, first: float, identity: str) -> list[Plot]:
    """The two figures of one problem, optimizer and device; none where no fit was possible.

    Args:
        rows: the summary.
        scaling: `scaling_table`.
        looks: colour and marker of each schedule.
        first: the target shown first, if it has a fit.
        identity: of the figures.
    """
    fitted = scaling[scaling["b_crit"].notna()]
    named = target_goals(fitted, first)
    if not named:
        return []
    choice = (Selector("target", [words for _, words in named]),)
    fits, values = {}, {}
    for place, (target, _) in enumerate(named):
        mine = fitted[fitted["target"] == target]
        fits[str(place)] = _fit_view(rows[rows["target"] == target], mine, looks)
        values[str(place)] = _value_view(mine, looks)
    return [Plot(f"{identity}-fit", "Batch scaling: steps to target and the fitted hyperbola",
                 "Points: median over starts. Lines: (S/S_min − 1)(E/E_min − 1) = 1. Diamonds: critical batch size, "
                 "left of which twice the batch nearly halves the steps.", fits, choice, ("y",), table="scaling.csv"),
            Plot(f"{identity}-critical", "Critical batch size by schedule",
                 "Bars are 95 % intervals over starts; a bar to the edge has no end there (fewer than four hit, it is "
                 "beyond what was tried, or too many starts miss).", values, choice, ("x",), "critical", "scaling.csv",
                 120 + 40 * fitted["schedule"].nunique())]


def _fit_view(rows: pd.DataFrame, fits: pd.DataFrame, looks: Looks) -> Json:
    sizes, examples = sorted(rows["batch_size"].unique()), int(rows["problem_examples"].iloc[0])
    sampling = str(rows["sampling"].iloc[0])
    grid = np.geomspace(min(sizes), max(sizes), _CURVE_POINTS)
    data: list[Json] = []
    for _, fit in fits.iterrows():
        schedule = str(fit["schedule"])
        name, (colour, marker) = label_of(schedule), looks[schedule]
        cells = rows[rows["schedule"] == schedule].sort_values("batch_size")
        median = cells["steps_median"].to_numpy(float)
        hover = [f"{name}, batch {size}<br>{number(steps)} steps" for size, steps in
                 zip(cells["batch_size"], median, strict=True)]
        points = line(name, colour, marker, cells["batch_size"].to_numpy(float), np.where(np.isfinite(median), median,
                                                                                         np.nan), hover)
        b_crit, s_min = float(fit["b_crit"]), float(fit["s_min"])
        steps = s_min * (1 + b_crit * noise_share(grid, examples, sampling))
        fitted = line(name, colour, marker, grid, steps, f"{name}, fit<br>%{{y:.3s}} steps<extra></extra>", dash="dash",
                      markers=False)
        data += [points | {"mode": "markers"}, fitted | {"showlegend": False}]
        if min(sizes) <= b_crit <= max(sizes):
            at = s_min * (1 + b_crit * float(noise_share(np.array(b_crit), examples, sampling)))
            data.append({"type": "scatter", "mode": "markers", "x": [b_crit], "y": [at], "legendgroup": name,
                         "showlegend": False, "marker": {"symbol": "diamond-tall-open", "size": 16, "color": colour,
                                                         "line": {"width": 2}},
                         "hovertemplate": f"{name}<br>critical batch size {number(b_crit)}<extra></extra>"})
    return {"data": data, "layout": layout(batch_axis(sizes, examples), unit_axis("steps to target (updates)"))}


def _value_view(fits: pd.DataFrame, looks: Looks) -> Json:
    values = [Estimate(*(float(row[f"b_crit{part}"]) for part in ("", "_low", "_high"))) for _, row in fits.iterrows()]
    ends = np.array([part for value in values for part in value if math.isfinite(part) and part > 0])
    low_edge, high_edge = ends.min() / 3, ends.max() * 3
    data: list[Json] = []
    for (_, row), value in zip(fits.iterrows(), values, strict=True):
        schedule = str(row["schedule"])
        ratio = Estimate(*(float(row[f"ratio{part}"]) for part in ("", "_low", "_high")))
        against = "" if math.isnan(ratio.value) else f"<br>{estimate_words(ratio)} times that of the constant schedule"
        hover = [f"{label_of(schedule)}: {estimate_words(value)} examples{against}<br>{row['batch_sizes_hit']} of "
                 f"{row['batch_sizes']} batch sizes hit; fit off by a factor {number(float(row['residual']))}"]
        colour, marker = looks[schedule]
        trace = line(label_of(schedule), colour, marker, [value.value], [], hover)
        trace |= {"mode": "markers", "showlegend": False, "y": [label_of(schedule)]}
        trace["error_x"] = {"type": "data", "symmetric": False, "array": [min(value.high, high_edge) - value.value],
                            "arrayminus": [value.value - max(value.low, low_edge)], "color": colour}
        data.append(trace)
    x = unit_axis("critical batch size (examples)") | {"range": [math.log10(low_edge), math.log10(high_edge)]}
    return {"data": data, "layout": layout(x, axis("", kind="category"))}
