"""Not yet at the target: what became of the starts by each step, with divergence as a competing event."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.analysis.answer import headline_target
from bench.analysis.ecdf import UNITS, unit_scale
from bench.analysis.intervals import wilson_band
from bench.analysis.ranking import best_cells
from bench.analysis.reported import Reported, key_of
from bench.tables import CELL

COLUMNS = ["step", "waiting", "low", "high", "diverged"]
TABLE = [*CELL, "target", "starts", *UNITS, "waiting", "waiting_low", "waiting_high", "diverged"]


def waiting_curve(hits: np.ndarray, ends: np.ndarray, diverged: np.ndarray) -> pd.DataFrame:
    """Share of starts that have not hit by each step, and the share that diverged without a hit.

    waiting(t) = 1 − (hits by t)/N: a lane that diverged stays in N and in `waiting` to the horizon. Dropping it when
    it diverges, as Kaplan–Meier does with a censored lane, would tell the share among lanes that live: 100 % hit
    where half of them diverged.

    Args:
        hits: (lanes,) steps to the hit, ∞ for a miss.
        ends: (lanes,) steps at which the lane ended.
        diverged: (lanes,) whether it diverged.

    Returns:
        step, waiting with its pointwise 95 % Wilson interval, diverged: one row at the start, one per event.

    Example:
        >>> curve = waiting_curve(np.array([5.0, np.inf]), np.array([9, 3]), np.array([False, True]))
        >>> curve[["step", "waiting", "diverged"]].to_numpy().tolist()
        [[0.0, 1.0, 0.0], [3.0, 1.0, 0.5], [5.0, 0.5, 0.5], [9.0, 0.5, 0.5]]

    Source: Andersen et al. 2012, "Competing risks in epidemiology", for the cumulative incidence.
    """
    count = len(hits)
    if count == 0:
        return pd.DataFrame(columns=COLUMNS, dtype=float)
    lost = np.where(diverged & np.isinf(hits), ends.astype(float), np.inf)
    events = np.unique(np.concatenate([[0.0], hits, lost, [float(ends.max())]]))
    events = events[np.isfinite(events)]
    waiting = 1 - (hits <= events[:, None]).mean(axis=1)
    low, high = wilson_band(waiting, count)
    return pd.DataFrame({"step": events, "waiting": waiting, "low": low, "high": high,
                         "diverged": (lost <= events[:, None]).mean(axis=1)})


def waiting_table(reported: Reported, summary: pd.DataFrame) -> pd.DataFrame:
    """The waiting curve of the best schedule of each batch size, at the headline target of each problem.

    Args:
        reported: of the run.
        summary: the rows of `summarise` among which the best are.

    Returns:
        columns `TABLE`: the cell, its target and starts (a count); the time in steps, in examples and in seconds of one
        training (NaN where no step was timed); the share of starts not yet there with its 95 % interval, and the share
        that diverged before a hit.
    """
    found = []
    for _, rows in summary.groupby(["problem", "optimizer", "device"], sort=True):
        for _, row in best_cells(rows[rows["target"] == headline_target(rows)]).iterrows():
            curve = waiting_of(reported, row)
            times = {unit: curve["step"] * unit_scale(row, unit) for unit in UNITS}
            found.append(pd.DataFrame({**dict(zip(CELL, key_of(row), strict=True)), "target": row["target"],
                                       "starts": row["lanes"], **times, "waiting": curve["waiting"],
                                       "waiting_low": curve["low"], "waiting_high": curve["high"],
                                       "diverged": curve["diverged"]}))
    found = [rows for rows in found if len(rows)]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=TABLE)


def waiting_of(reported: Reported, row: pd.Series) -> pd.DataFrame:
    """`waiting_curve` of a summary row's cell and target."""
    setting = float(row["rate"]), float(row["horizon"])
    hits, lanes = reported.hits(key_of(row), *setting, float(row["target"])), reported.lanes(key_of(row), *setting)
    both = np.intersect1d(hits["start"], lanes["start"])
    ended = np.isin(lanes["start"], both)
    return waiting_curve(hits["steps"][np.isin(hits["start"], both)], lanes["steps"][ended], lanes["diverged"][ended])
