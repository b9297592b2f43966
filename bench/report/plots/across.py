"""Interactive figure across problems: performance profiles of schedules and of batch sizes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.analysis.profile import ALL, FARTHEST, profile_table, profile_tasks
from bench.analysis.reported import Reported
from bench.report.plots.parts import Json, Looks, Plot, Selector, banded, dashed_looks, label_of, layout, line
from bench.report.plots.targets import units_of

_KINDS = (("schedule", "schedules, each at its best batch size"),
          ("batch_size", "batch sizes, each with its best schedule"))


def across_plots(reported: Reported, summary: pd.DataFrame, looks: Looks) -> list[Plot]:
    """Performance profiles over every (problem, target); none for a run without a reported lane.

    Args:
        reported: of the run.
        summary: `summarise` of the run.
        looks: colour and marker of each schedule.
    """
    measured = summary[summary["lanes"] > 0]
    if measured.empty:
        return []
    units = [unit for unit in units_of(measured) if unit[0] in ("seconds_solo", "examples")]
    pairs = "(problem, optimizer, target)" if measured["optimizer"].nunique() > 1 else "(problem, target)"
    views: dict[str, Json] = {}
    tasks = profile_tasks(reported, measured)
    for place, (by, _) in enumerate(_KINDS):
        tables = [profile_table(tasks, by, unit=unit) for unit, _ in units]
        # examples, the last unit, are known of every cell
        styles = dashed_looks(list(looks) if by == "schedule" else list(tables[-1]["solver"].unique()))
        for at, table in enumerate(tables):
            data = [_profile_line(rows, _name(str(solver), by), *styles[str(solver)])
                    for solver, rows in table.groupby("solver", sort=False)]
            views[f"{place}-{at}"] = {"data": data, "layout": _layout(table["tasks"], pairs)}
    return [Plot("plot-across-profile", "Performance profile over all problems and targets",
                 f"Share of the {pairs} cases that a line was run and timed on, done within a factor of the best. "
                 "Band: 95 % over starts, not over problems.", views,
                 (Selector("of", [label for _, label in _KINDS]), Selector("time in", [label for _, label in units])),
                 ("x",))]


def _name(solver: str, by: str) -> str:
    if by == "schedule":
        return label_of(solver)
    return "all examples" if solver == ALL else f"batch {solver}"


def _profile_line(rows: pd.DataFrame, name: str, colour: str, marker: str, dash: str) -> Json:
    share, low, high = (100 * rows[part].to_numpy(float) for part in ("share", "low", "high"))
    hover = f"{name}<br>%{{y:.0f}} % of {rows['tasks'].iloc[0]} within %{{x:.2f}} times the best<extra></extra>"
    x = rows["factor"].to_numpy(float)
    return banded(line(name, colour, marker, x, share, hover, dash=dash, markers=False, shape="hv"), low, high)


def _layout(counts: pd.Series, pairs: str) -> Json:
    """Axes of a view, with the number of cases that it shows."""
    ticks = [1.0, 1.5, 2.0, 3.0, FARTHEST]
    x: Json = {"title": {"text": "factor of the best median time (times, 1 is best)"}, "type": "log",
               "tickvals": ticks, "range": [0, float(np.log10(FARTHEST))]}
    shown = " to ".join(str(count) for count in sorted({counts.min(), counts.max()})) if len(counts) else "no"
    return layout(x, {"title": {"text": f"of {shown} {pairs} cases (%)"}, "type": "linear", "range": [0, 101]})
