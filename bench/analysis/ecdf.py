"""ECDF of hit times: the share of (start, target) pairs that a cell has reached by a time, with a bootstrap band."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from functools import lru_cache

import numpy as np
import pandas as pd

from bench.analysis.intervals import wilson
from bench.analysis.reported import Reported
from bench.tables import CELL

Array = np.ndarray
RESAMPLES = 1000
START = 0.5  # steps: a logarithmic axis has no zero, what holds at the start is shown at half a step
UNITS = ("steps", "examples", "seconds_solo")  # seconds: of one training
COLUMNS = ["time", "share", "low", "high"]
TABLE = [*CELL, "starts", "targets", *UNITS, "share", "share_low", "share_high"]


def ecdf(times: Array, *, points: int = 24) -> pd.DataFrame:
    """Share of (start, target) pairs reached by each time: share(t) = mean over pairs of [time ≤ t].

    Starts are resampled whole, with all their targets, for a pointwise 95 % band. Where all have the same share, which
    resampling can't tell from certainty, the band is of the Wilson intervals of 0 and of all starts.

    Args:
        times: (starts, targets) steps, ∞ for a miss; what the start meets already is met at `shown_start`.
        points: at most so many times, from the first hit to the last one.

    Returns:
        time, share, low, high: one row per time; no row without a hit.

    Example:
        >>> ecdf(np.array([[1.0], [2.0], [4.0], [np.inf]]), points=3)["share"].tolist()
        [0.25, 0.5, 0.75]

    Source: Hansen et al. 2021, "COCO", section 6 (runtime distributions).
    """
    times = np.maximum(times, shown_start(times))
    finite = times[np.isfinite(times)]
    if len(finite) == 0:
        return pd.DataFrame(columns=COLUMNS, dtype=float)
    # the last time is the last hit itself, whatever rounding geomspace does
    grid = np.unique(np.append(np.geomspace(finite.min(), finite.max(), points)[:-1], finite.max()))
    shares = (times[:, :, None] <= grid).mean(axis=1)
    share, alike = shares.mean(axis=0), (shares == shares[0]).all(axis=0)
    low, high = np.quantile(_draws(len(times)) @ shares / len(times), (0.025, 0.975), axis=0)
    none, every = wilson(0, len(times)), wilson(len(times), len(times))
    return pd.DataFrame({"time": grid, "share": share, "low": np.where(alike, share * every.low, low),
                         "high": np.where(alike, share + (1 - share) * none.high, high)})


def ecdf_table(reported: Reported, summary: pd.DataFrame) -> pd.DataFrame:
    """The ECDF of each cell, at most 24 times each; none of a cell that never hit.

    Args:
        reported: of the run.
        summary: the rows of `summarise` whose cells are wanted.

    Returns:
        columns `TABLE`: the cell, its starts and targets (counts); the time in steps, in examples and in seconds of one
        training (NaN where no step was timed); the share of starts × targets reached by then with its 95 % band.
    """
    found = []
    for key, rows in summary.groupby(CELL, sort=True):
        steps = reported.steps(rows)
        curve = ecdf(steps)
        times = {unit: curve["time"] * unit_scale(rows.iloc[0], unit) for unit in UNITS}
        found.append(pd.DataFrame({**dict(zip(CELL, key, strict=True)), "starts": len(steps), "targets": len(rows),
                                   **times, "share": curve["share"], "share_low": curve["low"],
                                   "share_high": curve["high"]}))
    found = [rows for rows in found if len(rows)]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=TABLE)


def shown_start(steps: Array) -> float:
    """Where the start is shown: at `START`, or at the least step above 0 where that is sooner."""
    return float(steps[steps > 0].min(initial=START))


@lru_cache(maxsize=4)
def _draws(starts: int) -> Array:
    """How often each resample holds each start, (resamples, starts)."""
    return np.random.default_rng(starts).multinomial(starts, np.full(starts, 1 / starts), RESAMPLES).astype(float)


def unit_scale(row: pd.Series | Mapping[Hashable, object], unit: str) -> float:
    """What one step is in a unit, of a summary row: 1 step, batch-size examples, or seconds (NaN if not timed)."""
    if unit == "steps":
        return 1.0
    if unit == "examples":
        return float(str(row["batch_size"]))
    return float(str(row[f"step_s_{unit.removeprefix('seconds_')}"])) if unit.startswith("seconds_") else math.nan
