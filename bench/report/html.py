"""The HTML report: one page that needs nothing else; without JavaScript it has pictures, or says where numbers are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from bench.analysis.goals import Goal
from bench.analysis.noise_along import Key
from bench.report import limits
from bench.report.content import cell_row
from bench.report.figures import Picture
from bench.report.page import csv_link, embedded, render
from bench.report.plots import Plot

_CELL = ("batch_size", "schedule", "rate", "horizon", "success_rate", "steps_median", "ert_steps",
         "seconds_solo_median", "seconds_batched_median", "final_loss_median", "diverged")
_HEADER = ["problem", "optimizer", "target", "batch size", "schedule", "rate", "horizon", "starts that hit", "steps",
           "ERT (steps)", "time, one training", "time, one lane of a sweep", "final loss", "diverged"]


def html_page(content: Mapping[str, object], summary: pd.DataFrame, plots: Mapping[Key, Sequence[Plot]],
              across: Sequence[Plot], clock: Sequence[Plot], pictures: Sequence[Picture], folder: Path,
              frames: Mapping[str, pd.DataFrame], beside: Sequence[str]) -> str:
    """The report as one HTML page: text and tables, plotly.js and the figures' data, static figures for <noscript>.

    Args:
        content: what `bench.report.content` made of the run.
        summary: `summarise(tables)`, shown whole up to `limits.CELLS` rows.
        plots: the figures of each (problem, optimizer, device); `across` all problems; `clock`: of timing.
        pictures: what `write_figures` wrote into folder/figures.
        folder: the run folder, for the pictures and the links to its tables.
        frames: tables to download as CSV, by file name.
        beside: names of further tables in the folder, whose numbers the figures hold.
    """
    shown: dict[Key, list[Mapping[str, str]]] = {}
    drawn = [*(plot for each in plots.values() for plot in each), *across, *clock]
    wanted = {plot.picture for plot in drawn}
    for picture in (picture for picture in pictures if picture.kind in wanted):
        shown.setdefault(picture.group, []).append(
            {"kind": picture.kind, "caption": picture.caption, "src": embedded(folder / "figures" / picture.svg)})
    said = {**content, "plots": plots, "across": across, "clock": clock, "pictures": shown, "summary_header": _HEADER,
            "summary": [_summary_row(row) for _, row in summary.head(limits.CELLS).iterrows()],
            "downloads": [(name, csv_link(frame) if len(frame) <= limits.EMBEDDED else name)
                          for name, frame in frames.items()],
            "tables": [*beside, *sorted(path.name for path in folder.glob("*.parquet"))]}
    return render("report.html.j2", said, drawn)


def _summary_row(row: pd.Series) -> list[tuple[str, str]]:
    problem, optimizer = str(row["problem"]), str(row["optimizer"])
    goal = Goal.of(row).words
    keys = [_sort_key(row[name]) for name in _CELL]
    return [(problem, problem), (optimizer, optimizer), (goal, _sort_key(row["target"])),
            *zip(cell_row(row), keys, strict=True)]


def _sort_key(value: object) -> str:
    if isinstance(value, str):
        return value
    number = float(str(value))
    return "1e999" if not math.isfinite(number) else repr(number)  # JavaScript reads 1e999 as Infinity: sorted last
