"""Interactive figures of timing: seconds per step, what a program costs before its first step, scoring."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.analysis.intervals import Estimate
from bench.analysis.words import problem_label, seconds_number, seconds_words
from bench.report.plots.parts import Json, Plot, Selector, axis, dashed_looks, layout, line, text, unit_axis

_STARTUP = (("trace_s", "trace", "#56B4E9"), ("compile_s", "compile", "#0072B2"),
            ("first_run_s", "first run", "#E69F00"))
_KINDS = (("solo", "one training (per step)"), ("batched", "full width (per lane-step)"))


def clock_plots(timing: pd.DataFrame) -> list[Plot]:
    """Step times and start-up costs of every program; none where nothing was timed.

    Args:
        timing: `timing_table` of the run.
    """
    if timing.empty:
        return []
    several = timing["optimizer"].nunique() > 1
    named = timing.assign(name=[problem_label(*name, several=several) for name in
                                timing[["problem", "optimizer"]].itertuples(index=False)])
    return [_step_plot(named), _startup_plot(named), _scoring_plot(named)]


def _step_plot(timing: pd.DataFrame) -> Plot:
    names = sorted(timing["name"].unique())
    looks = dashed_looks(range(len(names)))
    views: dict[str, Json] = {}
    for place, (kind, label) in enumerate(_KINDS):
        data: list[Json] = []
        for at, name in enumerate(names):
            rows = timing[timing["name"] == name].sort_values("batch_size")
            colour, marker, dash = looks[at]
            steps = [Estimate(*(float(row[f"step_s_{kind}{part}"]) for part in ("", "_low", "_high")))
                     for _, row in rows.iterrows()]
            hover = [f"{text(name)}, batch {size}<br>{seconds_words(step)}"
                     for size, step in zip(rows["batch_size"], steps, strict=True)]
            value, low, high = (np.array(part) for part in zip(*steps, strict=True))
            trace = line(text(name), colour, marker, rows["batch_size"].to_numpy(float), value, hover, dash=dash)
            trace["error_y"] = {"type": "data", "symmetric": False, "array": high - value, "arrayminus": value - low}
            data.append(trace)
        views[str(place)] = {"data": data, "layout": layout(unit_axis("batch size (examples per step)"),
                                                            unit_axis(f"seconds per step: {label}", seconds=True))}
    return Plot("plot-clock-step", "Seconds per step against batch size",
                "Median and 95 % interval; scoring is off the clock.", views,
                (Selector("of", [label for _, label in _KINDS]),), ("x", "y"), table="timing.csv")


def _startup_plot(timing: pd.DataFrame) -> Plot:
    names = sorted(timing["name"].unique())
    views: dict[str, Json] = {}
    for place, name in enumerate(names):
        rows = timing[timing["name"] == name].sort_values("batch_size")
        data: list[Json] = [
            {"type": "bar", "name": label, "x": [str(size) for size in rows["batch_size"]], "marker": {"color": colour},
             "y": rows[column].to_numpy(float), "text": [seconds_number(value) for value in rows[column]],
             "textposition": "none", "hovertemplate": f"batch %{{x}}<br>{label}: %{{text}}<extra></extra>"}
            for column, label, colour in _STARTUP]
        y = unit_axis("seconds before the first step", seconds=True) | {"type": "linear"}
        views[str(place)] = {"data": data, "layout": layout(axis("batch size (examples per step)", kind="category"), y,
                                                            barmode="stack")}
    return Plot("plot-clock-startup", "Trace, compile, first run", "Of the one-lane program, each paid once.", views,
                (Selector("problem", names),), (), table="timing.csv", height=400)


def _scoring_plot(timing: pd.DataFrame) -> Plot:
    names = sorted(timing["name"].unique())
    looks = dashed_looks(range(len(names)))
    data: list[Json] = []
    for at, name in enumerate(names):
        rows = timing[timing["name"] == name].sort_values("batch_size")
        share = 100 * rows["scoring_share"].to_numpy(float)
        hover = [f"{text(name)}, batch {size}<br>{value:.1f} % of the run" for size, value in
                 zip(rows["batch_size"], share, strict=True)]
        colour, marker, dash = looks[at]
        data.append(line(text(name), colour, marker, rows["batch_size"].to_numpy(float), share, hover, dash=dash))
    y: Json = {"title": {"text": "scoring (% of run time)"}, "type": "linear", "rangemode": "tozero"}
    return Plot("plot-clock-scoring", "Share of the run spent on scoring", "Scoring the loss on all data at the marks.",
                {"": {"data": data, "layout": layout(unit_axis("batch size (examples per step)"), y)}}, (), ("x",),
                table="timing.csv")
