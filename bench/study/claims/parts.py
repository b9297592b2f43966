"""What the claims share: intervals and slopes by scipy's bootstrap, figures and series from them, verdicts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import numpy as np
from scipy import stats

import gdjax
from bench.analysis.intervals import CONFIDENCE, Estimate, ert, median_interval
from bench.study.claim import VERDICTS, Finding, Series

Array = np.ndarray
RESAMPLES = 2000
Centre = Callable[..., Array]


def verdict(whole: bool, partly: bool) -> str:
    """The word for a claim that is true as it stands, in part, or not.

    Example:
        >>> verdict(False, True)
        'holds with limits'
    """
    return VERDICTS[0 if whole else 1 if partly else 2]


def exact(value: float) -> Estimate:
    """A figure without spread: its interval is itself."""
    return Estimate(value, value, value)


def near(value: float, estimate: Estimate, slack: float) -> bool:
    """Whether all of an interval lies within a share `slack` of a value: a wide interval proves nothing.

    Example:
        >>> near(1.0, Estimate(0.99, 0.95, 1.04), slack=0.1), near(1.0, Estimate(1.0, 0.5, 1.5), slack=0.1)
        (True, False)
    """
    room = slack * abs(value)
    return value - room <= estimate.low and estimate.high <= value + room


def bootstrap(columns: Sequence[Array], statistic: Callable[..., Array], *, paired: bool, seed: int) -> Estimate:
    """A statistic of some samples with its percentile bootstrap interval.

    Args:
        columns: samples, (starts,) each; the same starts in the same order when paired.
        statistic: `statistic(*columns, axis)` -> one number for each resample.
        paired: resample the starts of all columns together.
        seed: of the resamples.
    """
    value = float(statistic(*columns, axis=-1))
    found = stats.bootstrap(tuple(columns), statistic, n_resamples=RESAMPLES, paired=paired, vectorized=True,
                            confidence_level=CONFIDENCE, method="percentile", rng=np.random.default_rng(seed))
    return Estimate(value, float(found.confidence_interval.low), float(found.confidence_interval.high))


def mean_interval(values: Array, *, seed: int = 0) -> Estimate:
    """Mean with its bootstrap interval.

    Example:
        >>> mean_interval(np.full(8, 2.0))
        Estimate(value=2.0, low=2.0, high=2.0)
    """
    return bootstrap([values], np.mean, paired=True, seed=seed)


def ratio_of_means(above: Array, below: Array, *, seed: int = 0) -> Estimate:
    """Ratio of the means of two samples over the same starts, with its bootstrap interval."""
    def ratio(above: Array, below: Array, axis: int) -> Array:
        return np.mean(above, axis=axis) / np.mean(below, axis=axis)

    return bootstrap([above, below], ratio, paired=True, seed=seed)


def log_slope(x: Sequence[float] | Array, columns: Sequence[Array], *, centre: Centre = np.median, paired: bool = True,
              seed: int = 0) -> Estimate:
    """Slope of log centre(column) against log x, least squares, with its bootstrap interval: the exponent of a law.

    Args:
        x: (points,) positive.
        columns: a sample (starts,) for each point, positive and finite.
        centre: `np.median` or `np.mean`.
        paired: the columns hold the same starts.

    Example:
        >>> log_slope([1.0, 2.0, 4.0], [np.full(4, 3.0), np.full(4, 6.0), np.full(4, 12.0)]).value.__round__(6)
        1.0
    """
    def slope(*samples: Array, axis: int) -> Array:
        heights = np.stack([np.log(centre(sample, axis=axis)) for sample in samples])
        flat = heights.reshape(len(samples), -1)
        return np.polyfit(np.log(x), flat, 1)[0].reshape(heights.shape[1:])

    return bootstrap(columns, slope, paired=paired, seed=seed)


def medians(table: Array) -> list[Estimate]:
    """Median of each column of a table (starts, points), with its interval."""
    return [median_interval(np.asarray(column, float)) for column in table.T]


def finding(quantity: str, estimate: Estimate, unit: str = "", expected: float = math.nan) -> Finding:
    """A figure of the report from an estimate."""
    return Finding(quantity, *estimate, unit=unit, expected=expected)


def series(name: str, x: Sequence[float] | Array, estimates: Sequence[Estimate], *, line: bool = True) -> Series:
    """A line of a picture with its interval."""
    value, low, high = (tuple(float(part) for part in parts) for parts in zip(*estimates, strict=True))
    return Series(name, tuple(float(each) for each in x), value, low, high, line=line)


def theory(name: str, x: Sequence[float] | Array, y: Sequence[float] | Array) -> Series:
    """A dashed line: what a formula says."""
    return Series(name, tuple(float(each) for each in x), tuple(float(each) for each in y), theory=True)


def by_start(values: Array, runs: gdjax.Runs) -> Array:
    """Values of lanes as a table (starts, settings, …)."""
    return np.asarray(values).reshape(-1, len(runs.rates), *np.shape(values)[1:])


def array_of(params: object) -> Array:
    """Final parameters that are one array, (lanes, …)."""
    return np.asarray(params)


def leaf_of(params: object, name: str) -> Array:
    """A named leaf of final parameters that are a dict, (lanes, …)."""
    return np.asarray(cast("Mapping[str, Array]", params)[name])


def hit_steps(runs: gdjax.Runs) -> Array:
    """Steps to each target, interpolated between marks, (starts, settings, targets), targets from high to low.

    ∞ for a miss.
    """
    hits = runs.hits()
    steps = np.where(hits["hit"], hits["steps"], np.inf).reshape(len(runs.targets), -1)
    return by_start(steps.T, runs)


def soonest(steps: Array, losses: Array, budget: float) -> int:
    """The setting with the lowest expected running time; where none hits, the one with the lowest median loss.

    Args:
        steps: (starts, settings) steps to the target, ∞ for a miss, which counts as the whole budget.
        losses: (starts, settings) at the end.
        budget: steps a lane had.

    Example:
        >>> soonest(np.array([[np.inf, 9.0], [np.inf, np.inf]]), np.zeros((2, 2)), budget=20)
        1
    """
    hit = np.isfinite(steps)
    if not hit.any():
        return int(np.argmin(np.median(losses, axis=0)))
    spent = np.where(hit, steps, budget)
    return int(np.argmin([ert(spent[:, place], hit[:, place]).value for place in range(steps.shape[1])]))


def of_best(steps: Array, runs: gdjax.Runs, tuning: int, budget: float) -> tuple[Array, int]:
    """Steps of the starts that did not choose, at the setting that is soonest over the first `tuning`, and its place.

    Args:
        steps: (starts, settings) steps to the target, ∞ for a miss.
        runs: that they are of.
        tuning: how many starts choose.
        budget: steps a lane had.
    """
    best = soonest(steps[:tuning], by_start(runs.final_loss, runs)[:tuning], budget)
    return steps[tuning:, best], best


def precise(estimate: Estimate) -> str:
    """A figure to three decimals, "−1.000 [−1.004, −0.997]".

    Example:
        >>> precise(Estimate(1.0, 0.9982, 1.0021))
        '1.000 [0.998, 1.002]'
    """
    value, low, high = (f"{part:.3f}".replace("-", "−") for part in estimate)
    return f"{value} [{low}, {high}]"


def percent(estimate: Estimate) -> str:
    """A share as "12 % [10, 14]".

    Example:
        >>> percent(Estimate(0.5, 0.25, 0.75))
        '50 % [25, 75]'
    """
    value, low, high = (f"{100 * part:.3g}" for part in estimate)
    return f"{value} % [{low}, {high}]"
