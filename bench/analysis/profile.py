"""Performance profiles across problems and targets, with bands from resampled starts."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.analysis.ecdf import unit_scale
from bench.analysis.intervals import percentile_interval
from bench.analysis.reported import Reported, key_of

Array = np.ndarray
RESAMPLES = 300
FARTHEST = 4.0  # Dahl et al. 2023: beyond four times the best it no longer matters
COLUMNS = ["solver", "factor", "share", "low", "high"]


def profile(costs: Array, factors: Array) -> Array:
    """ρ(τ), (solvers, factors): share of the tasks that a solver does within τ times the best solver's cost.

    Args:
        costs: (..., tasks, solvers), ∞ where a solver misses; a task that all miss counts for none.
        factors: τ ≥ 1.

    Example:
        >>> profile(np.array([[1.0, 2.0], [np.inf, 5.0]]), np.array([1.0, 2.0])).tolist()
        [[0.5, 0.5], [0.5, 1.0]]

    Source: Dolan & Moré 2002, "Benchmarking optimization software with performance profiles"; τ ≤ 4 as Dahl et al.
    2023, arXiv 2306.07179.
    """
    best = costs.min(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        ratio = np.where(np.isfinite(costs), costs / best, np.inf)
    # the best one is at 1 exactly, whatever the division rounds to
    return (ratio[..., None] <= factors * (1 + 1e-12)).mean(axis=-3)


def profile_table(reported: Reported, summary: pd.DataFrame, by: str, *, unit: str = "seconds_solo",
                  points: int = 25) -> pd.DataFrame:
    """Performance profiles of the schedules (each at its best batch size) or batch sizes (each with its best schedule).

    A task is a (problem, optimizer, device, target). The cost of a cell is its median time; starts are resampled in
    each task together for all cells, medians and best cells are found again, and the middle 95 % make the band: it
    tells what other starts would change, not what other problems would.

    Args:
        reported: of the run.
        summary: `summarise` of the run.
        by: "schedule" or "batch_size".
        unit: "seconds_solo", "examples" or "steps".
        points: factors from 1 to 4.

    Returns:
        solver, factor, share, low, high; no row where nothing was measured in the unit.
    """
    solvers = sorted(summary[by].unique())
    tasks = [rows for _, rows in summary.groupby(["problem", "optimizer", "device", "target"], sort=True)]
    costs = [_task_costs(reported, rows, by, solvers, unit) for rows in tasks]
    costs = [cost for cost in costs if not np.isnan(cost).any()]
    if not costs:
        return pd.DataFrame(columns=COLUMNS)
    factors = np.geomspace(1.0, FARTHEST, points)
    shares = profile(np.stack(costs, axis=1), factors)  # (1 + resamples, solvers, factors)
    rows = []
    for place, solver in enumerate(solvers):
        for at, factor in enumerate(factors):
            values = shares[:, place, at]
            rows.append((str(solver), factor, values[0], *percentile_interval(values[1:])))
    return pd.DataFrame(rows, columns=COLUMNS)


def _task_costs(reported: Reported, rows: pd.DataFrame, by: str, solvers: list[object], unit: str) -> Array:
    """(1 + resamples, solvers): the lowest median cost of each solver's cells, ∞ if none of them is in the task."""
    columns, owners = [], []
    for _, row in rows.iterrows():
        hits = reported.hits(key_of(row), float(row["rate"]), float(row["horizon"]), float(row["target"]))
        columns.append(hits.set_index("start")["steps"] * unit_scale(row, unit))
        owners.append(row[by])
    times = pd.concat(columns, axis=1, join="inner").to_numpy(float)
    found = np.full((1 + RESAMPLES, len(solvers)), np.inf)
    if len(times) == 0:
        return found
    draws = np.random.default_rng(len(times)).integers(0, len(times), (RESAMPLES, len(times)))
    draws = np.concatenate([np.arange(len(times))[None], draws])
    # rank (n−1)//2 is ∞ exactly when fewer than half hit, as a median of hit times is
    middle = (len(times) - 1) // 2
    medians = np.partition(times[draws], middle, axis=1)[:, middle]
    for place, solver in enumerate(solvers):
        mine = np.array([owner == solver for owner in owners])
        if mine.any():
            found[:, place] = medians[:, mine].min(axis=1)
    return found
