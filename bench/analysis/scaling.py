"""Batch scaling: the trade between steps and examples to a target, its critical batch size, what schedules change."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.analysis.goals import Goal
from bench.analysis.intervals import NOTHING, Estimate, percentile_interval
from bench.analysis.reported import Reported

Array = np.ndarray
RESAMPLES = 400
FEWEST = 4  # batch sizes that hit, for an interval with two ends
REGIME = 0.2  # perfect scaling: examples at most 20 % above E_min; flat: steps at most 20 % above S_min
_GRID, _BEYOND = 121, 30.0  # candidates for the critical batch size, from min/30 to 30·max of the batch sizes
_BLOCK = 200_000  # numbers worked on at once
_GROUP = ["problem", "optimizer", "device", "target", "schedule"]
COLUMNS = [*_GROUP, "target_on", "gap", "batch_sizes", "batch_sizes_hit", "b_crit", "b_crit_low", "b_crit_high",
           "s_min", "s_min_low", "s_min_high", "e_min", "e_min_low", "e_min_high", "one_sided", "perfect_until",
           "flat_from", "residual", "ratio", "ratio_low", "ratio_high", "fastest_batch"]


@dataclass(frozen=True)
class Fit:
    """A fitted hyperbola: steps = s_min · (1 + b_crit · (1/B − 1/n)), with examples per target e_min = s_min · b_crit.

    Args:
        s_min: steps of an endless batch; e_min: examples of the smallest; b_crit: in examples, where it is beyond all
            that was tried the farthest candidate.
        residual: typical factor between fit and median, exp(root mean square of log residuals); 1 is exact.
        one_sided: too few batch sizes hit, so b_crit and e_min have no upper end and s_min no lower one.
        lows, highs: what each bootstrap resample leaves for b_crit, for ratios over common starts: a number twice, from
            the farthest candidate to ∞, from 0 to the nearest, or from 0 to ∞ where fewer than two batch sizes hit.
    """

    b_crit: Estimate
    s_min: Estimate
    e_min: Estimate
    residual: float
    one_sided: bool
    lows: Array
    highs: Array

    def steps(self, sizes: Array, examples: int, sampling: str = "shuffle") -> Array:
        """Steps to target of batch sizes by the fit."""
        return self.s_min.value * (1 + self.b_crit.value * noise_share(sizes, examples, sampling))


NO_FIT = Fit(NOTHING, NOTHING, NOTHING, math.nan, True, *np.full((2, RESAMPLES), np.nan))


def noise_share(sizes: Array, examples: int, sampling: str = "shuffle") -> Array:
    """Variance of a batch mean in units of one example's: 1/B − 1/n, as a batch holds no example twice; 0 for BGD.

    With replacement 1/B, and 0 for all examples at once, which are not drawn.

    Example:
        >>> [noise_share(np.array([1.0, 10.0]), 10, sampling).tolist() for sampling in ("shuffle", "replacement")]
        [[0.9, 0.0], [1.0, 0.0]]
    """
    sizes = np.asarray(sizes, float)
    return np.where(sizes < examples, 1 / sizes - _saved(examples, sampling), 0.0)


def _saved(examples: int, sampling: str) -> float:
    """By how much drawing no example twice lowers the variance of a batch mean, in units of one example's: 1/n."""
    return 0.0 if sampling == "replacement" else 1 / examples


def flat_from(b_crit: float, examples: int, sampling: str = "shuffle") -> float:
    """Batch size from which steps are at most 20 % above those of all n examples: 1 + b_crit · (1/B − 1/n) = 1.2.

    With replacement 5·b_crit, at most n.

    Example:
        >>> flat_from(20.0, 100), flat_from(0.0, 100)
        (50.0, 0.0)
    """
    if b_crit == 0:
        return 0.0
    share = REGIME / b_crit + _saved(examples, sampling)
    return min(1 / share, float(examples)) if share else float(examples)


def fit_hyperbola(sizes: Array, steps: Array, budgets: Array, examples: int, *, sampling: str = "shuffle",
                  seed: int = 0) -> Fit:
    """Fit (S/S_min − 1)(E/E_min − 1) = 1 to the median steps to target, with bootstrap intervals over starts.

    Least squares of log steps, every batch size counting the same. A batch size whose median is a miss enters as a
    lower bound: it costs only where the fit is below its budget. Starts are resampled together for all batch sizes. An
    interval reaches from the low quantile of what resamples leave to the high one of it: a resample in which the
    critical batch size is beyond all candidates bounds it, and S_min or E_min, on one side; one in which fewer than two
    batch sizes hit bounds nothing.

    Args:
        sizes: (sizes,) batch sizes, in examples.
        steps: (starts, sizes) steps to target, ∞ for a miss; a row is the same start at every batch size.
        budgets: (sizes,) steps a lane had.
        examples: of the problem.
        sampling: how they are drawn, see `gdjax.minibatch`.
        seed: fits with one seed and as many starts are resampled alike.

    Source: McCandlish et al. 2018, arXiv 1812.06162, equation 2.11; Shallue et al. 2018, arXiv 1811.03600.
    """
    hit_sizes = int(np.isfinite(_medians(steps[None])).sum()) if len(steps) else 0
    if hit_sizes < 2:
        return NO_FIT
    draws = np.random.default_rng([seed, len(steps)]).integers(0, len(steps), (RESAMPLES, len(steps)))
    medians = np.concatenate([_medians(steps[None]), _medians(steps[draws])])
    grid = np.geomspace(min(sizes) / _BEYOND, max(sizes) * _BEYOND, _GRID)
    shape = np.log1p(grid[:, None] * noise_share(sizes, examples, sampling))
    # in blocks that a processor's cache holds: with 100 batch sizes a tenth of the time
    blocks = np.array_split(medians, math.ceil(medians.shape[0] * shape.size / _BLOCK))
    found = [_best(block, np.log(budgets), shape, grid) for block in blocks]
    at, b_crit, s_min, rms = (np.concatenate(parts) for parts in zip(*found, strict=True))
    e_min, one_sided = b_crit * s_min, hit_sizes < FEWEST
    silent = (np.isfinite(medians).sum(axis=1) < 2)[1:]
    # at an end of the grid b_crit is only known to be beyond: steps that go as 1/B tell E_min alone, level ones S_min
    below, above = silent | (at == 0)[1:], silent | (at == len(grid) - 1)[1:] | one_sided
    b_lows, b_highs = np.where(below, 0.0, b_crit[1:]), np.where(above, np.inf, b_crit[1:])
    s_lows, s_highs = np.where(above, 0.0, s_min[1:]), np.where(silent, np.inf, s_min[1:])
    e_lows, e_highs = np.where(below, 0.0, e_min[1:]), np.where(silent | one_sided, np.inf, e_min[1:])
    return Fit(Estimate(b_crit[0], *_interval(b_lows, b_highs)), Estimate(s_min[0], *_interval(s_lows, s_highs)),
               Estimate(e_min[0], *_interval(e_lows, e_highs)), math.exp(rms[0]), one_sided, b_lows, b_highs)


def scaling_table(reported: Reported, summary: pd.DataFrame) -> pd.DataFrame:
    """One row per (problem, optimizer, schedule, target): critical batch size, regimes, ratio to the constant schedule.

    Perfect scaling ends where examples are 20 % above E_min, B = 0.2/(1/b_crit − 1/n), at most n; steps are flat, 20 %
    above S_min, from B = 5·b_crit on (with 1/B − 1/n for 1/B, unless examples are drawn with replacement). `ratio` is
    the critical batch size over that of the constant schedule at the same target; its interval resamples the starts of
    both together.

    Args:
        reported: of the run.
        summary: `summarise` of the run.

    Returns:
        columns `COLUMNS`; sizes in examples; NaN where fewer than two batch sizes hit after the start; fastest_batch is
        the size of least seconds to train once.
    """
    rows: list[dict[str, object]] = []
    for _, group in summary.groupby(_GROUP[:-1], sort=True):
        if group["batch_size"].nunique() < 3:
            continue
        fits = {str(name): fit_cells(reported, cells) for name, cells in group.groupby("schedule", sort=True)}
        constant = fits.get("constant", NO_FIT)
        rows += [_row(cells, fits[str(name)], constant, str(name))
                 for name, cells in group.groupby("schedule", sort=True)]
    return pd.DataFrame(rows, columns=COLUMNS)


def fit_cells(reported: Reported, cells: pd.DataFrame) -> Fit:
    """The fit to the summary rows of one (problem, optimizer, schedule, target), one row per batch size.

    None where a median is 0: the start meets the target, whatever the batch size.
    """
    steps = reported.steps(cells)
    if (cells["steps_median"].to_numpy(float) == 0).any():
        return NO_FIT
    first = cells.iloc[0]
    return fit_hyperbola(cells["batch_size"].to_numpy(float), np.maximum(steps, 1.0),
                         cells["budget_steps"].to_numpy(float), int(first["problem_examples"]),
                         sampling=str(first["sampling"]))


def critical_ratio(fit: Fit, other: Fit) -> Estimate:
    """A critical batch size over another one, with an interval over resamples of the starts of both together."""
    with np.errstate(divide="ignore"):
        ends = _interval(fit.lows / other.highs, fit.highs / other.lows)
    return Estimate(fit.b_crit.value / other.b_crit.value, *ends)


def _row(cells: pd.DataFrame, fit: Fit, constant: Fit, schedule: str) -> dict[str, object]:
    first = cells.iloc[0]
    ratio = NOTHING if schedule == "constant" else critical_ratio(fit, constant)
    timed = cells[np.isfinite(cells["seconds_solo_median"].to_numpy(float))]
    fastest = float(timed.sort_values("seconds_solo_median")["batch_size"].iloc[0]) if len(timed) else math.nan
    row: dict[str, object] = {name: first[name] for name in (*_GROUP, "gap")}
    row["target_on"] = Goal.of(first).on
    hit = np.isfinite(cells["steps_median"].to_numpy(float))
    row |= {"batch_sizes": len(cells), "batch_sizes_hit": int(hit.sum()),
            "one_sided": fit.one_sided, "residual": fit.residual, "fastest_batch": fastest}
    for name, value in (("b_crit", fit.b_crit), ("s_min", fit.s_min), ("e_min", fit.e_min), ("ratio", ratio)):
        row |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
    drawn = int(first["problem_examples"]), str(first["sampling"])
    return row | {"perfect_until": perfect_until(fit.b_crit.value, *drawn),
                  "flat_from": flat_from(fit.b_crit.value, *drawn)}


def perfect_until(b_crit: float, examples: int, sampling: str = "shuffle") -> float:
    """Batch size up to which examples are at most 20 % above E_min: E(B)/E_min = 1 + B·(1/b_crit − 1/n).

    With replacement 1 + B/b_crit.

    Example:
        >>> perfect_until(100.0, 200), perfect_until(900.0, 1000)
        (40.0, 1000.0)
    """
    rise = 1 / b_crit - _saved(examples, sampling)
    return float(examples) if rise * examples <= REGIME else REGIME / rise


def _medians(steps: Array) -> Array:
    """Medians over starts of (resamples, starts, sizes) with misses as ∞: ∞ exactly when fewer than half hit."""
    ordered, count = np.sort(steps, axis=1), steps.shape[1]
    lower, upper = ordered[:, (count - 1) // 2], ordered[:, count // 2]
    return np.where(np.isinf(upper), lower, (lower + upper) / 2)


def _best(medians: Array, bounds: Array, shape: Array, grid: Array) -> tuple[Array, Array, Array, Array]:
    """For each resample the best candidate's place, critical batch size, S_min, root mean square of log residuals."""
    found = np.isfinite(medians)
    told = np.where(found, np.log(np.where(found, medians, 1.0)), bounds)
    count = np.maximum(found.sum(axis=1), 1)[:, None]
    # log S_min for every candidate: the mean residual of those that hit, and of the bounds that it does not meet
    gap, hit, all_hit = told[:, None, :] - shape, found[:, None, :], bool(found.all())
    level = (gap if all_hit else gap * hit).sum(axis=2) / count
    if not all_hit:
        level = _lifted(level, gap, np.broadcast_to(hit, gap.shape))
    rest = gap - level[:, :, None]
    if not all_hit:
        rest = np.where(hit, rest, np.maximum(rest, 0.0))
    loss = (rest**2).sum(axis=2)
    at = loss.argmin(axis=1)
    lane = np.arange(len(medians))
    inner = np.clip(at, 1, len(grid) - 2)
    left, middle, right = (loss[lane, inner + step] for step in (-1, 0, 1))
    bend = left - 2 * middle + right
    shift = np.where((at == inner) & (bend > 0), 0.5 * (left - right) / np.where(bend > 0, bend, 1.0), at - inner)
    pace = math.log(grid[1] / grid[0])
    # the level between two candidates, as far between them as the critical batch size is
    near = level[lane, inner] + shift * (level[lane, inner + 1] - level[lane, inner - 1]) / 2
    rms = np.sqrt(np.maximum(middle - 0.25 * (left - right) * shift, 0.0) / medians.shape[1])
    return at, grid[inner] * np.exp(shift * pace), np.exp(near), rms


def _lifted(level: Array, gap: Array, hit: Array) -> Array:
    """The levels, each lifted by the bounds that are above it, until no further one is."""
    shape, level = level.shape, level.ravel()
    gap, hit = gap.reshape(len(level), -1), hit.reshape(len(level), -1)
    lifted, places, bound = level.copy(), np.arange(len(level)), hit
    for _ in range(hit.shape[1]):  # at most once for each bound; without an end a tie could swing for ever
        binding = hit | (gap > level[:, None])
        moved = (binding != bound).any(axis=1)
        if not moved.any():
            break
        places, gap, hit, bound = places[moved], gap[moved], hit[moved], binding[moved]
        lifted[places] = level = (gap * bound).sum(axis=1) / np.maximum(bound.sum(axis=1), 1)
    return lifted.reshape(shape)


def _interval(lows: Array, highs: Array) -> tuple[float, float]:
    """The middle 95 % of what resamples leave, from lows to highs."""
    return percentile_interval(lows)[0], percentile_interval(highs)[1]
