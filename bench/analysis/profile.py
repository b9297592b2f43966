"""Performance profiles across problems and targets, with bands from resampled starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.analysis.ecdf import unit_scale
from bench.analysis.intervals import percentile_interval
from bench.analysis.reported import Reported

Array = np.ndarray
RESAMPLES = 300
FARTHEST = 4.0  # Dahl et al. 2023: beyond four times the best it no longer matters
COLUMNS = ["solver", "factor", "share", "low", "high"]


@dataclass(frozen=True)
class Task:
    """One target of a problem: the summary rows of its cells, and their median steps, (1 + resamples, rows)."""

    rows: pd.DataFrame
    median_steps: Array


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


def profile_tasks(reported: Reported, summary: pd.DataFrame) -> list[Task]:
    """The tasks of a run, one per (problem, optimizer, device, target), with what its cells need in resampled starts.

    Args:
        reported: of the run.
        summary: `summarise` of the run.
    """
    groups = summary.groupby(["problem", "optimizer", "device", "target"], sort=True)
    return [Task(rows, _median_steps(reported.steps(rows))) for _, rows in groups]


def profile_table(tasks: Sequence[Task], by: str, *, unit: str = "seconds_solo", points: int = 25) -> pd.DataFrame:
    """Performance profiles of the schedules (each at its best batch size) or batch sizes (each with its best schedule).

    The cost of a cell is its median time; starts are resampled in each task together for all cells, medians and best
    cells are found again, and the middle 95 % make the band: it tells what other starts would change, not what other
    problems would.

    Args:
        tasks: of the run.
        by: "schedule" or "batch_size".
        unit: "seconds_solo", "examples" or "steps".
        points: factors from 1 to 4.

    Returns:
        solver, factor, share, low, high; no row where nothing was measured in the unit.
    """
    solvers = sorted({solver for task in tasks for solver in task.rows[by]})
    costs = [_task_costs(task, by, solvers, unit) for task in tasks]
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


def _median_steps(steps: Array) -> Array:
    """Median steps of (starts, cells) and of their resamples, (1 + resamples, cells); ∞ without a common start."""
    starts, cells = steps.shape
    if starts == 0:
        return np.full((1 + RESAMPLES, cells), np.inf)
    draws = np.random.default_rng(starts).integers(0, starts, (RESAMPLES, starts))
    draws = np.concatenate([np.arange(starts)[None], draws])
    # rank (n−1)//2 is ∞ exactly when fewer than half hit, as a median of hit times is
    middle = (starts - 1) // 2
    return np.stack([np.sort(column[draws], axis=1)[:, middle] for column in steps.T], axis=1)


def _task_costs(task: Task, by: str, solvers: Sequence[object], unit: str) -> Array:
    """(1 + resamples, solvers): the lowest median cost of each solver's cells, ∞ if none of them is in the task."""
    owners = task.rows[by].to_numpy()
    costs = task.median_steps * [unit_scale(row, unit) for row in task.rows.to_dict("records")]
    found = np.full((len(costs), len(solvers)), np.inf)
    for place, solver in enumerate(solvers):
        mine = owners == solver
        if mine.any():
            found[:, place] = costs[:, mine].min(axis=1)
    return found
