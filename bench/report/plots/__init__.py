"""Interactive figures of the HTML report: plain data for plotly.js, made from what `bench.analysis` found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from bench.analysis.answer import headline_target
from bench.analysis.noise_along import Key, NoiseAlong
from bench.analysis.ranking import measure_of, rank
from bench.analysis.reported import Reported
from bench.analysis.shares import Shares, of_group, tuned_at
from bench.analysis.summary import problem_facts, several_optimizers
from bench.report.plots.across import across_plots
from bench.report.plots.critical import critical_plots
from bench.report.plots.losses import curve_plot, heat_plot, outcome_plot, rate_plot
from bench.report.plots.noise_scale import noise_scale_plot
from bench.report.plots.parts import Json, Looks, Plot, Selector, json_ready
from bench.report.plots.targets import ecdf_plot, target_goals, target_plot
from bench.report.plots.waiting import waiting_plot
from bench.report.style import looks
from bench.tables import Tables

__all__ = ["Json", "Plot", "Selector", "across_plots", "json_ready", "problem_plots", "schedule_looks"]


def problem_plots(tables: Tables, reported: Reported, summary: pd.DataFrame, scaling: pd.DataFrame,
                  noise: Mapping[Key, NoiseAlong], shares: Shares) -> dict[Key, list[Plot]]:
    """The figures of every (problem, optimizer, device) that has a reported lane.

    Args:
        tables, reported: of the run.
        summary: the rows of `summarise(tables)` that are to be drawn.
        scaling, noise, shares: `scaling_table`, `noise_along` and `Shares` of the run.
    """
    styles, several = schedule_looks(summary), several_optimizers(tables)
    found: dict[Key, list[Plot]] = {}
    groups = summary[summary["lanes"] > 0].groupby(["problem", "optimizer", "device"], sort=True)
    for place, ((problem, optimizer, device), rows) in enumerate(groups):
        target, identity = headline_target(rows), f"plot-{place + 1}"
        shown = rows[rows["target"] == target]
        goals, facts = target_goals(rows, target), problem_facts(tables.run, str(problem))
        group = str(problem), str(optimizer), str(device)
        tuned = tuned_at(of_group(shares.rates, group), rows, target)
        mine = [target_plot(rows, target, styles, identity),
                curve_plot(shown, reported, styles, facts.floor, goals, identity),
                heat_plot(shown, identity), outcome_plot(shown, identity),
                waiting_plot(shown, of_group(shares.waiting, group), identity)]
        if len(tuned):
            mine.append(rate_plot(tuned, styles, int(rows["problem_examples"].iloc[0]),
                                  int(rank(shown, measure_of(shown))["batch_size"].iloc[0]), identity))
        fits = of_group(scaling, group)
        fits = fits[fits["schedule"].isin(rows["schedule"])]
        along = noise.get(group)
        measured = [] if along is None else [noise_scale_plot(along, facts.optimum, identity)]
        mine[2:2] = [*critical_plots(rows, fits, styles, target, identity), *measured]
        mine.append(ecdf_plot(rows, of_group(shares.ecdf, group), styles, identity))
        found[group] = [replace(plot, title=f"{plot.title} ({optimizer})") for plot in mine] if several else mine
    return found


def schedule_looks(summary: pd.DataFrame) -> Looks:
    """A colour and a marker for each schedule of a run, the same in all its figures."""
    return looks(sorted(str(name) for name in summary["schedule"].unique()))
