"""What a report of a very large run leaves to the files beside it: rows of its tables, figures, downloads."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.analysis.answer import headline_target
from bench.analysis.ranking import measure_of, rank

ROWS = 300  # of a table in words
CELLS = 2_000  # rows of the table of all cells and targets
PICTURED = 12  # (problem, optimizer, device) with figures
SIZES, SCHEDULES = 24, 10  # in a figure; a report has colours and markers for so many schedules
EMBEDDED = 5_000  # rows of a download inside the page; of a longer one there is a link to the file beside it
FILES = {"winners": "summary.csv", "comparisons": "comparisons.csv", "scaling": "scaling.csv", "timing": "timing.csv"}
GROUP = ["problem", "optimizer", "device"]


def cut_words(limit: int, rows: int, file: str) -> str:
    """What is said below a table that is cut; nothing where it is whole.

    >>> cut_words(300, 1500, "scaling.csv")
    'The first 300 of 1,500 rows; all are in scaling.csv.'
    >>> cut_words(300, 300, "scaling.csv")
    ''
    """
    return f"The first {limit:,} of {rows:,} rows; all are in {file}." if rows > limit else ""


def pictured_words(summary: pd.DataFrame) -> str:
    """What is said of the figures where they do not show all; nothing where they do."""
    measured = summary[summary["lanes"] > 0]
    groups = measured.groupby(GROUP).ngroups
    widest = measured.groupby(GROUP)[["batch_size", "schedule"]].nunique().max()
    what = "problems" if measured["optimizer"].nunique() < 2 else "pairs of a problem and an optimizer"
    said = [f"Figures are drawn of the first {PICTURED} of {groups:,} {what}."] if groups > PICTURED else []
    if groups and (widest["batch_size"] > SIZES or widest["schedule"] > SCHEDULES):
        said.append(f"A figure shows at most {SIZES} batch sizes, evenly spread, and the {SCHEDULES} soonest "
                    "schedules.")
    files = "All cells are in summary.csv; ecdf.csv and waiting.csv hold what figures show."
    return " ".join([*said, files]) if said else ""


def pictured(summary: pd.DataFrame) -> pd.DataFrame:
    """The rows of the summary that figures show: few enough problems, batch sizes and schedules to be drawn and read.

    Args:
        summary: `summarise` of the run.
    """
    measured = summary[summary["lanes"] > 0]
    kept = [_thinned(rows) for place, (_, rows) in enumerate(measured.groupby(GROUP, sort=True)) if place < PICTURED]
    return pd.concat(kept) if kept else measured.iloc[:0]


def _thinned(rows: pd.DataFrame) -> pd.DataFrame:
    """Batch sizes evenly by their place, the soonest cell's among them; the soonest schedules."""
    shown = rows[rows["target"] == headline_target(rows)]
    order = rank(shown, measure_of(shown))
    sizes = np.sort(rows["batch_size"].unique())
    if len(sizes) > SIZES:
        places = np.linspace(0, len(sizes) - 1, SIZES - 1).round().astype(int)
        sizes = np.union1d(sizes[places], order["batch_size"].iloc[:1])
    schedules = order["schedule"].drop_duplicates().iloc[:SCHEDULES]
    return rows[rows["batch_size"].isin(sizes) & rows["schedule"].isin(schedules)]
