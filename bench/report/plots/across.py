"""Interactive figure across problems: performance profiles of schedules and of batch sizes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.analysis.profile import FARTHEST, in_order
from bench.report.plots.parts import Json, Looks, Plot, Selector, banded, dashed_looks, layout, line
from bench.report.plots.parts import text as escaped
from bench.report.profile import FACTOR, KINDS, UNITS, case_words, counted, solver_name


def across_plots(profiles: pd.DataFrame, looks: Looks, *, several: bool) -> list[Plot]:
    """Performance profiles over every (problem, target); none for a run without a reported lane.

    Args:
        profiles: `profile_tables` of the run.
        looks: colour and marker of each schedule.
        several: whether cases are of several optimizers.
    """
    if profiles.empty:
        return []
    units = [unit for unit in UNITS if unit in set(profiles["unit"])]
    views: dict[str, Json] = {}
    for place, by in enumerate(KINDS):
        every = profiles[profiles["solvers"] == by]
        styles = dashed_looks(list(looks) if by == "schedule" else in_order(every["solver"]))
        for at, unit in enumerate(units):
            table = every[every["unit"] == unit]
            data = [_profile_line(rows, escaped(solver_name(str(solver), by)), *styles[str(solver)])
                    for solver, rows in table.groupby("solver", sort=False)]
            views[f"{place}-{at}"] = {"data": data, "layout": _layout(table["tasks"], several)}
    return [Plot("plot-across-profile", "Performance profile over all problems and targets",
                 f"Share of the {case_words(several)} cases that a line was run and timed on, done within a factor of "
                 "the best. Band: 95 % over starts, not over problems.", views,
                 (Selector("of", list(KINDS.values())), Selector("time in", [UNITS[unit] for unit in units])), ("x",),
                 "profile", "profile.csv")]


def _profile_line(rows: pd.DataFrame, name: str, colour: str, marker: str, dash: str) -> Json:
    share, low, high = (100 * rows[part].to_numpy(float) for part in ("share", "share_low", "share_high"))
    hover = f"{name}<br>%{{y:.0f}} % of {rows['tasks'].iloc[0]} within %{{x:.2f}} times the best<extra></extra>"
    x = rows["factor"].to_numpy(float)
    return banded(line(name, colour, marker, x, share, hover, dash=dash, markers=False, shape="hv"), low, high)


def _layout(tasks: pd.Series, several: bool) -> Json:
    """Axes of a view, with the number of cases that it shows."""
    ticks = [1.0, 1.5, 2.0, 3.0, FARTHEST]
    x: Json = {"title": {"text": FACTOR}, "type": "log", "tickvals": ticks, "range": [0, float(np.log10(FARTHEST))]}
    share = f"done, of {counted(tasks)} {case_words(several)} cases (%)"
    return layout(x, {"title": {"text": share}, "type": "linear", "range": [0, 101]})
