"""Performance profiles across problems and targets, with bands from resampled starts."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.analysis.ecdf import unit_scale
from bench.analysis.intervals import percentile_interval
from bench.analysis.reported import Reported

Array = np.ndarray
RESAMPLES = 300
FARTHEST = 4.0  # Dahl et al. 2023: beyond four times the best it no longer matters
SOLVERS = ("schedule", "batch_size")
UNITS = ("seconds_solo", "examples")
COLUMNS = ["solver", "factor", "share", "share_low", "share_high", "tasks"]
ALL = "all"  # the batch size of all examples


@dataclass(frozen=True)
class Task:
    """One target of a problem: the summary rows of its cells, and their median steps, (1 + resamples, rows)."""

    rows: pd.DataFrame
    median_steps: Array


def profile(costs: Array, factors: Array) -> Array:
    """ρ(τ), (solvers, factors): share of its tasks that a solver does within τ times the best solver's cost.

    Args:
        costs: (..., tasks, solvers), ∞ where a solver misses; a task that all miss counts for none. NaN where a solver
            was not run: such a task is none of its own.
        factors: τ ≥ 1.

    Example:
        >>> profile(np.array([[1.0, 2.0], [np.inf, 5.0]]), np.array([1.0, 2.0])).tolist()
        [[0.5, 0.5], [0.5, 1.0]]

    Source: Dolan & Moré 2002, "Benchmarking optimization software with performance profiles"; τ ≤ 4 as Dahl et al.
    2023, arXiv 2306.07179.
    """
    best = np.nanmin(costs, axis=-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        # the best one is at 1 exactly, also where it costs nothing
        ratio = np.where(np.isfinite(costs), np.where(costs == best, 1.0, costs / best), np.inf)
    run = ~np.isnan(costs)[..., None]
    return ((ratio[..., None] <= factors) & run).sum(axis=-3) / run.sum(axis=-3)


def profile_tasks(reported: Reported, summary: pd.DataFrame) -> list[Task]:
    """The tasks of a run, one per (problem, optimizer, device, target), with what its cells need in resampled starts.

    Args:
        reported: of the run.
        summary: `summarise` of the run.
    """
    groups = summary.groupby(["problem", "optimizer", "device", "target"], sort=True)
    return [Task(rows, _median_steps(reported.steps(rows))) for _, rows in groups]


def profile_tables(reported: Reported, summary: pd.DataFrame) -> pd.DataFrame:
    """All performance profiles of a run: of schedules and of batch sizes, in seconds of one training and in examples.

    Args:
        reported: of the run.
        summary: `summarise` of the run, rows without a lane left out.

    Returns:
        solvers ("schedule" or "batch_size"), unit ("seconds_solo" or "examples"), then what `profile_table` returns.
    """
    tasks = profile_tasks(reported, summary)
    found = [profile_table(tasks, by, unit=unit).assign(solvers=by, unit=unit) for by in SOLVERS for unit in UNITS]
    found = [rows for rows in found if len(rows)]
    columns = ["solvers", "unit", *COLUMNS]
    return pd.concat(found, ignore_index=True)[columns] if found else pd.DataFrame(columns=columns)


def profile_table(tasks: Sequence[Task], by: str, *, unit: str = "seconds_solo", points: int = 25) -> pd.DataFrame:
    """Performance profiles of the schedules (each at its best batch size) or batch sizes (each with its best schedule).

    Batches of all examples are one solver, "all", whatever their number. A solver's share is of the tasks that it was
    run on; tasks with a cell that was not measured in the unit are left out. The cost of a cell is its median time;
    starts are resampled in each task together for all cells, medians and best
    cells are found again, and the middle 95 % make the band: it tells what other starts would change, not what other
    problems would.

    Args:
        tasks: of the run.
        by: "schedule" or "batch_size".
        unit: "seconds_solo", "examples" or "steps".
        points: factors from 1 to 4.

    Returns:
        solver, factor, share, share_low, share_high, tasks (that the solver was run on); no row where nothing was
        measured in the unit.
    """
    costs = [_best(cost) for cost in (_costs(task, by, unit) for task in tasks) if not cost.isna().any(axis=None)]
    if not costs:
        return pd.DataFrame(columns=COLUMNS)
    solvers = in_order(str(solver) for cost in costs for solver in cost)
    factors = np.geomspace(1.0, FARTHEST, points)
    every = np.stack([cost.reindex(columns=solvers).to_numpy(float) for cost in costs], axis=1)
    shares = profile(every, factors)  # (1 + resamples, solvers, factors)
    rows = []
    for place, solver in enumerate(solvers):
        run = int((~np.isnan(every[0, :, place])).sum())
        for at, factor in enumerate(factors):
            values = shares[:, place, at]
            rows.append((solver, factor, values[0], *percentile_interval(values[1:]), run))
    return pd.DataFrame(rows, columns=COLUMNS)


def in_order(solvers: Iterable[str]) -> list[str]:
    """Solvers, each once: batch sizes by their number, that of all examples last; schedules by their name.

    Example:
        >>> in_order(["all", "32", "8", "32"])
        ['8', '32', 'all']
    """
    return sorted(set(solvers), key=lambda name: (int(name), "") if name.isdecimal() else (sys.maxsize, name))


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


def _costs(task: Task, by: str, unit: str) -> pd.DataFrame:
    """Median costs of the cells of a task, (1 + resamples, cells), each column named after its solver."""
    scale = [unit_scale(row, unit) for row in task.rows.to_dict("records")]
    return pd.DataFrame(task.median_steps * scale, columns=_solvers(task.rows, by).to_numpy())


def _best(costs: pd.DataFrame) -> pd.DataFrame:
    """The lowest cost of each solver's cells, (1 + resamples, solvers)."""
    return costs.T.groupby(level=0).min().T


def _solvers(rows: pd.DataFrame, by: str) -> pd.Series:
    names = rows[by].astype(str)
    return names.where(rows["batch_size"] < rows["problem_examples"], ALL) if by == "batch_size" else names
