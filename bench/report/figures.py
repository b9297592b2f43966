"""All figures of a report: for each (problem, optimizer, device) those of its headline target, then those across."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from bench.analysis.answer import headline_target
from bench.analysis.curves import curve_quantiles
from bench.analysis.goals import Goal
from bench.analysis.noise_along import Key, NoiseAlong
from bench.analysis.ranking import measure_of, rank
from bench.analysis.reported import Reported
from bench.analysis.shares import Shares, of_group, tuned_at
from bench.analysis.summary import problem_facts, several_optimizers
from bench.report.critical import critical_figure
from bench.report.critical_across import critical_across_figure
from bench.report.curves import curves_figure
from bench.report.divergence import divergence_figure
from bench.report.ecdf import ecdf_figure
from bench.report.grids import loss_figure, outcome_figure
from bench.report.noise_scale import noise_scale_figure
from bench.report.profile import case_words, profile_figure
from bench.report.scaling import met_words, seconds_figure, steps_figure
from bench.report.style import looks, save, title_of
from bench.tables import Tables

ACROSS = ""  # the problem of a picture of several


@dataclass(frozen=True)
class Picture:
    """A figure on disk: problem, optimizer and device, kind, what it shows, and its file names inside figures/."""

    problem: str
    optimizer: str
    device: str
    kind: str
    caption: str
    png: str
    svg: str

    @property
    def group(self) -> Key:
        """What it is of, by which the interactive figures find it."""
        return self.problem, self.optimizer, self.device


def write_figures(tables: Tables, reported: Reported, summary: pd.DataFrame, scaling: pd.DataFrame,
                  noise: Mapping[Key, NoiseAlong], shares: Shares, folder: Path) -> list[Picture]:
    """Draw and write every figure of a run; problems without a reported lane have none.

    Args:
        tables, reported: of the run.
        summary: the rows of `summarise(tables)` that are to be drawn.
        scaling, noise, shares: `scaling_table`, `noise_along` and `Shares` of the run.
        folder: where the PNG (150 dpi) and SVG files go; made if it is not there.
    """
    pictures = []
    styles, several = looks(sorted(str(name) for name in summary["schedule"].unique())), several_optimizers(tables)
    measured = summary[summary["lanes"] > 0]
    for place, ((problem, optimizer, device), rows) in enumerate(
            measured.groupby(["problem", "optimizer", "device"], sort=True)):
        name = title_of(str(problem), str(optimizer), several=several)
        # numbered, because two odd names can have the same plain letters
        stem = f"{place + 1:02d}-{slug(name)}-{slug(str(device))}"
        facts = problem_facts(tables.run, str(problem))
        drawn = _figures(rows, name, styles, reported, facts.floor)
        group = str(problem), str(optimizer), str(device)
        drawn |= _share_figures(rows, name, styles, shares, group)
        fits = of_group(scaling, group)
        critical = critical_figure(fits[fits["schedule"].isin(rows["schedule"])], name, styles)
        if critical is not None:
            drawn["critical"] = ("Critical batch size by schedule, with 95 % intervals.", critical)
        along = noise.get(group)
        if along is not None:
            drawn["noise"] = ("Gradient noise scale along a run, and the fitted critical batch size; a band to the "
                              "edge has no end there.", noise_scale_figure(along, name, facts.optimum))
        for kind, (caption, figure) in drawn.items():
            png, svg = save(figure, folder / f"{stem}-{kind}")
            said = f"{optimizer}: {caption}" if several else caption
            pictures.append(Picture(*group, kind, said, png, svg))
    kept = scaling["schedule"].isin(measured["schedule"]) & scaling["problem"].isin(measured["problem"])
    across = critical_across_figure(scaling[kept], styles)
    if across is not None:
        png, svg = save(across, folder / "00-across-critical")
        beside = "the gradient noise scale and " if noise else ""
        caption = (f"Critical batch size by schedule beside {beside}the batch size that is soonest in seconds, at the "
                   "hardest target with the most fits.")
        pictures.append(Picture(ACROSS, "", "", "critical", caption, png, svg))
    if len(measured) and len(shares.profile):
        png, svg = save(profile_figure(shares.profile, several=several), folder / "00-across-profile")
        caption = (f"Share of the {case_words(several)} cases that a line was run and timed on, done within a factor "
                   "of the best median time; band: 95 % over starts, not over problems. Numbers: profile.csv.")
        pictures.append(Picture(ACROSS, "", "", "profile", caption, png, svg))
    return pictures


def slug(name: str) -> str:
    """A name as a file name: plain lower-case letters, digits and dashes, at most 40 of them.

    Example:
        >>> slug("<script>My loss</script>")
        'script-my-loss-script'
    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "unnamed"


def _figures(rows: pd.DataFrame, name: str, styles: Mapping[str, tuple[str, str]], reported: Reported,
             optimum: float) -> dict[str, tuple[str, Figure]]:
    target = headline_target(rows)
    shown = rows[rows["target"] == target]
    goal = Goal.of(shown.iloc[0])
    figures = {
        "steps": (f"Steps to each target against batch size, with 95 % intervals.{met_words(rows, 'bottom')}",
                  steps_figure(rows, name, styles)),
        "loss": (f"Final loss of the settings chosen to get {goal.got}.", loss_figure(shown, name)),
        "curves": (f"{goal.noun.capitalize()} against epochs.",
                   _curves(rows, shown, name, styles, reported, optimum, goal)),
        "outcomes": (f"How many starts got {goal.got}.", outcome_figure(shown, name))}
    seconds = seconds_figure(rows, name, styles)
    if seconds is None:
        return figures
    caption = ("Seconds to each target against batch size, of one training alone and of one lane of a batched sweep."
               + met_words(rows, "bottom"))
    return {"seconds": (caption, seconds)} | figures


def _share_figures(rows: pd.DataFrame, name: str, styles: Mapping[str, tuple[str, str]], shares: Shares,
                   group: Key) -> dict[str, tuple[str, Figure]]:
    figures = {}
    reached = ecdf_figure(rows, of_group(shares.ecdf, group), name, styles)
    if reached is not None:
        figures["ecdf"] = ("Share of starts × targets reached by a time, every start counting once for each target; a "
                           "line ends at its last hit. Band: 95 %, over starts."
                           f"{met_words(rows, 'left end')} Numbers: ecdf.csv.", reached)
    tuned = tuned_at(of_group(shares.rates, group), rows, headline_target(rows))
    if len(tuned):
        figures["divergence"] = ("Share of the tuned lanes that diverged, by rate, batch size and schedule, at all "
                                 "horizons together. Numbers: rates.csv.",
                                 divergence_figure(tuned, int(rows["problem_examples"].iloc[0]), name))
    return figures


def _curves(rows: pd.DataFrame, shown: pd.DataFrame, name: str, styles: Mapping[str, tuple[str, str]],
            reported: Reported, optimum: float, goal: Goal) -> Figure:
    order = rank(shown, measure_of(shown))
    best_schedules = order.drop_duplicates("batch_size").sort_values("batch_size")
    best_batch = order[order["batch_size"] == order["batch_size"].iloc[0]].sort_values("schedule")
    by_batch = [(row, curve_quantiles(reported, row)) for _, row in best_schedules.iterrows()]
    by_schedule = [(row, curve_quantiles(reported, row)) for _, row in best_batch.iterrows()]
    goals = [Goal.of(row) for _, row in rows.drop_duplicates("target").iterrows()]
    targets = [(each.target, f"target: {each.words}") for each in goals]
    return curves_figure(by_batch, by_schedule, name, targets, optimum, styles, goal)
