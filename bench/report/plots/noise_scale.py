"""Interactive figure of the gradient noise scale along a run, against steps or the loss."""

from __future__ import annotations

import math

import numpy as np

from bench.analysis.ecdf import START
from bench.analysis.goals import Goal
from bench.analysis.noise_along import NoiseAlong
from bench.analysis.words import batch_words, estimate_words, number, schedule_words
from bench.report.noise_scale import limits_of, loss_axis
from bench.report.plots.parts import Json, Plot, Selector, axis, banded, layout, line, text, unit_axis
from bench.report.style import COLOURS


def noise_scale_plot(along: NoiseAlong, optimum: float, identity: str) -> Plot:
    """Median noise scale with its interval over starts, the fitted critical batch size as a band across.

    Args:
        along: of one problem, optimizer and device.
        optimum: subtracted from the loss, or NaN to show the loss itself.
        identity: of the figure.
    """
    above = "" if math.isnan(optimum) else " above the optimum"
    low, high = (math.log10(end) for end in limits_of(along))
    y = unit_axis("gradient noise scale (examples)") | {"range": [low, high]}
    by_step = layout(unit_axis("steps (updates); step 0 at the left end"), y)
    losses, logarithmic = loss_axis(along, optimum)
    kind = "log" if logarithmic else "linear"
    by_loss = layout(axis(f"loss of all data{above}", kind=kind) | {"autorange": "reversed"}, y)
    steps = along.curve["step"].clip(lower=START).to_numpy(float)
    views: dict[str, Json] = {"0": {"data": _lines(along, steps, folds=False), "layout": by_step},
                              "1": {"data": _lines(along, losses, folds=True), "layout": by_loss}}
    return Plot(f"{identity}-noise", "Gradient noise scale along the run",
                "tr(Σ)/|G|²: the batch size at which the noise of a gradient is as large as the gradient. Line: median "
                "over starts; dashes: the critical batch size fitted to the steps to target. Bands and bars are 95 % "
                "intervals; a band to the edge has no end there.", views,
                (Selector("against", ["steps", f"loss{above}"]),), ("x", "y"), "noise", "noise_scale.parquet")


def _lines(along: NoiseAlong, x: np.ndarray, *, folds: bool) -> list[Json]:
    """The noise scale and the critical batch size; where x `folds`, back and forth, bars stand for the band."""
    bottom, top = limits_of(along)
    middle, low, high = (along.curve[part].to_numpy(float) for part in ("b_simple", "low", "high"))
    hover = [f"step {mark['step']:,.0f}, loss {number(mark['loss'])}<br>{estimate_words(along.at(place))} examples, "
             f"{mark['starts']:.0f} starts" for place, (_, mark) in enumerate(along.curve.iterrows())]
    name = text(f"{batch_words(along.batch_size, along.examples)} with {schedule_words(along.schedule)}")
    low, high, trace = low.clip(bottom, top), high.clip(bottom, top), line(name, COLOURS[0], "o", x, middle, hover)
    bars = {"type": "data", "symmetric": False, "array": high - middle, "arrayminus": middle - low, "color": COLOURS[0]}
    traces = [trace | {"error_y": bars} if folds else banded(trace, low, high)]
    if not math.isnan(along.b_crit.value):
        ends, goal = np.array([np.nanmax(x), np.nanmin(x)]), Goal(along.target, along.gap).words
        band = np.clip(np.array(along.b_crit), bottom, top)
        value, low_end, high_end = (np.full(2, end) for end in band)
        told = f"critical batch size, {goal}<br>{estimate_words(along.b_crit)} examples<extra></extra>"
        dashed = line(f"critical batch size, {text(goal)}", COLOURS[1], "s", ends, value, told, dash="dash",
                      markers=False)
        traces.append(banded(dashed, low_end, high_end))
    return traces
