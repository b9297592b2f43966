"""Intervals that can be believed: Wilson, percentile bootstrap of medians with misses as infinity, ERT, ratios."""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from bench.analysis.resampling import RESAMPLES, counts_drawn, draws_of, middle_places, middle_ranks

Array = np.ndarray
CONFIDENCE = 0.95
TAIL = (1 - CONFIDENCE) / 2
_Z = NormalDist().inv_cdf(1 - TAIL)


class Estimate(NamedTuple):
    """A number with its 95 % interval; NaN where there is nothing to estimate from."""

    value: float
    low: float
    high: float


NOTHING = Estimate(math.nan, math.nan, math.nan)


@lru_cache(maxsize=1024)
def wilson(hits: int, lanes: int) -> Estimate:
    """Share of lanes that hit, with its Wilson score interval.

    Example:
        >>> wilson(16, 32).low.__round__(4)
        0.3363

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    from scipy.stats import binomtest  # only here: it takes a second to import, and most commands need no interval

    if lanes == 0:
        return NOTHING
    interval = binomtest(int(hits), int(lanes)).proportion_ci(CONFIDENCE, method="wilson")
    return Estimate(hits / lanes, float(interval.low), float(interval.high))


def wilson_band(share: Array, lanes: int | Array) -> tuple[Array, Array]:
    """Lower and upper ends of the Wilson score interval of shares of so many lanes, as arrays.

    As `wilson`, also of shares that no whole number of lanes makes up, for which SciPy has none.

    Example:
        >>> [float(end.round(4)) for end in wilson_band(np.array(0.5), 32)]
        [0.3363, 0.6637]
    """
    middle = (share + _Z**2 / (2 * lanes)) / (1 + _Z**2 / lanes)
    reach = _Z / (1 + _Z**2 / lanes) * np.sqrt(share * (1 - share) / lanes + _Z**2 / (4 * lanes**2))
    return np.maximum(middle - reach, 0.0), np.minimum(middle + reach, 1.0)


def censored_median(values: Array) -> float:
    """Median of hit times with misses as ∞: ∞ exactly when fewer than half hit.

    The mean of the two middle values, or the lower one where only the upper one is a miss.

    Args:
        values: (lanes,) steps, ∞ for a miss.

    Example:
        >>> censored_median(np.array([3.0, 1.0, np.inf, np.inf]))
        3.0
    """
    if len(values) == 0:
        return math.nan
    ordered = np.sort(values)
    return float(_middle(ordered[(len(values) - 1) // 2], ordered[len(values) // 2], censored=True))


def median_resamples(values: Array, *, censored: bool = False, seed: int = 0) -> Array:
    """Bootstrap distribution of the median, (10 000,): the same resamples for every sample of this size and seed.

    The median of a resample needs only which ranks were drawn in its middle, so the ranks are drawn and sorted once
    per size, and each sample after that costs one sort of its own values.

    Args:
        values: (lanes,) numbers, ∞ for a miss or a diverged loss.
        censored: the rule of `censored_median`; otherwise the plain median, ∞ as soon as half are ∞.
        seed: samples with the same seed and size are resampled together, with different seeds independently.
    """
    if len(values) == 0:
        return np.full(RESAMPLES, np.nan)
    ordered = np.sort(values)
    lower, upper = middle_ranks(len(values), seed)
    return _middle(ordered[lower], ordered[upper], censored=censored)


def percentile_interval(resamples: Array, comparisons: int = 1) -> tuple[float, float]:
    """The middle 95 % of a bootstrap distribution; no arithmetic between resamples, so that ∞ stays ∞.

    Args:
        comparisons: how many intervals are to hold at once, in 95 of 100 runs: each is wider for it (Bonferroni).
    """
    if np.isnan(resamples).any():
        return math.nan, math.nan
    ordered = np.sort(resamples)
    tail = TAIL / comparisons * (len(ordered) - 1)
    return float(ordered[math.floor(tail)]), float(ordered[len(ordered) - 1 - math.floor(tail)])


def fewest_pairs(comparisons: int = 1) -> int:
    """Pairs from which so many intervals of medians can hold at once, in 95 of 100 runs: 1 + log₂(comparisons/5 %).

    A median is beyond all n values with probability 2^(1 − n), so that no interval within them is surer than that.

    Example:
        >>> fewest_pairs(), fewest_pairs(24)
        (6, 10)
    """
    return math.ceil(1 + math.log2(comparisons / (1 - CONFIDENCE)))


def median_interval(values: Array, *, seed: int = 0) -> Estimate:
    """Plain median with its percentile bootstrap interval, ∞ allowed.

    Example:
        >>> median_interval(np.ones(5))
        Estimate(value=1.0, low=1.0, high=1.0)
    """
    if len(values) == 0:
        return NOTHING
    return Estimate(float(np.median(values)), *percentile_interval(median_resamples(values, seed=seed)))


def hit_interval(before: Array, steps: Array, after: Array, scale: Array | None = None, *, seed: int = 1) -> Estimate:
    """Median hit time with an interval that is never narrower than the bracket that holds it.

    Bootstrap interval of the median of the interpolated steps, widened where needed to reach from the median of the
    marks before to the median of the marks after: lanes that all hit between the same two marks would otherwise give
    an interval of no width. With `scale` (seconds per step) steps and step time are resampled together, and the mark
    before is taken at the low end of the step time, the mark after at its high end.

    Args:
        before, steps, after: (lanes,) the mark before the hit, the interpolated hit, the mark after; ∞ for a miss.
        scale: (repeats,) seconds per step, or None for the hit time in steps.
        seed: of the resamples of `scale`; a program keeps one seed, so that its samples are drawn alike everywhere.

    Example:
        >>> hit_interval(np.full(4, 10.0), np.full(4, 12.0), np.full(4, 14.0))
        Estimate(value=12.0, low=10.0, high=14.0)
    """
    if len(steps) == 0 or (scale is not None and len(scale) == 0):
        return NOTHING
    factor = 1.0 if scale is None else float(np.median(scale))
    factors = np.ones(1) if scale is None else median_resamples(scale, seed=seed)
    low, high = percentile_interval(median_resamples(steps, censored=True) * factors)
    value = censored_median(steps) * factor
    if math.isfinite(value):
        fast, slow = percentile_interval(factors)
        low, high = min(low, censored_median(before) * fast), max(high, censored_median(after) * slow)
    return Estimate(value, low, high)


def ert(spent: Array, hit: Array) -> Estimate:
    """Expected running time with its bootstrap interval: Σ steps spent / hits, ∞ without a hit.

    Args:
        spent: (lanes,) steps to the hit, or all of the lane's budget if it missed.
        hit: (lanes,) bool.

    Example:
        >>> ert(np.array([10.0, 20.0, 30.0]), np.array([True, True, False])).value
        30.0

    Source: Hansen et al. 2021, "COCO: a platform for comparing continuous optimizers", section 6 (aRT).
    """
    if len(spent) == 0:
        return NOTHING
    # summed draw by draw, not as counts times steps: an interval keeps its last digit, whatever the BLAS
    sums = np.concatenate([spent[draws].sum(axis=1) for draws in draws_of(len(spent), 0)])
    hits = np.concatenate([counts[hit].sum(axis=0) for counts in counts_drawn(len(spent), 0)])
    resamples = np.where(hits > 0, sums / np.maximum(hits, 1), np.inf)
    total = int(np.sum(hit))
    return Estimate(float(np.sum(spent)) / total if total else math.inf, *percentile_interval(resamples))


def ratio_of_medians(numerator: Array, denominator: Array, *, paired: bool,
                     scales: tuple[Array, Array] | None = None) -> Estimate:
    """Ratio of two median hit times with its bootstrap interval: `scaled_ratio` and the middle 95 % of its resamples.

    Example:
        >>> ratio_of_medians(np.full(3, 4.0), np.full(3, 2.0), paired=True).value
        2.0
    """
    found = scaled_ratio(numerator, denominator, paired=paired, scales=scales)
    return Estimate(found.value, *percentile_interval(found.resamples))


class Ratio(NamedTuple):
    """A ratio of two medians, its bootstrap distribution, and what starts and step times alone make of that."""

    value: float
    resamples: Array
    of_starts: Array
    of_steps: Array


def scaled_ratio(numerator: Array, denominator: Array, *, paired: bool,
                 scales: tuple[Array, Array] | None = None) -> Ratio:
    """Ratio of two median hit times with its bootstrap distributions, (10 000,); misses are ∞, NaN without a sample.

    Both missed is a tie (1), and so are two hits at the start, whatever a step takes.

    Args:
        numerator, denominator: hit times, (lanes,); the same starts in the same order when paired.
        paired: resample the starts of both together.
        scales: (repeats,) seconds per step of each, resampled too; None where they are the same program and cancel.

    Raises:
        ValueError: paired samples of different length.
    """
    if paired and len(numerator) != len(denominator):
        raise ValueError(f"ratio_of_medians: paired samples must be equally long "
                         f"(got {len(numerator)} and {len(denominator)}). Keep the starts that both have.")
    if min(map(len, (numerator, denominator, *(scales or ())))) == 0:
        return Ratio(math.nan, *[np.full(RESAMPLES, math.nan)] * 3)
    value, starts = ratio_resamples(numerator, denominator, paired=paired)
    steps = np.ones(1)
    if scales is not None:
        value *= float(np.median(scales[0]) / np.median(scales[1]))
        steps = median_resamples(scales[0], seed=2) / median_resamples(scales[1], seed=3)
    return Ratio(float(tied(np.array(value))), tied(starts * steps), tied(starts), steps)


def ratio_resamples(numerator: Array, denominator: Array, *, paired: bool) -> tuple[float, Array]:
    """Ratio of two medians of hit times and its bootstrap distribution, (10 000,), NaN for a tie that no scale changes.

    Example:
        >>> ratio_resamples(np.full(3, np.inf), np.full(3, np.inf), paired=True)[0]
        nan
    """
    above = paired_medians(numerator) if paired else median_resamples(numerator, censored=True, seed=0)
    below = paired_medians(denominator) if paired else median_resamples(denominator, censored=True, seed=1)
    with np.errstate(divide="ignore", invalid="ignore"):  # ∞/∞ of two misses and 0/0 of two hits at the start are NaN
        return float(np.divide(censored_median(numerator), censored_median(denominator))), above / below


def paired_medians(values: Array) -> Array:
    """Medians of hit times over resamples of starts that are the same for every sample of this size, (10 000,).

    `median_resamples` can't give them: its ranks differ by sample.
    """
    order = np.argsort(values)
    lower, upper = middle_places(len(values), 0, order)
    ordered = values[order]
    return _middle(ordered[lower], ordered[upper], censored=True)


def tied(ratios: Array, one: float = 1.0) -> Array:
    """Ratios of `ratio_resamples`, scaled or not, with ties as one (their logs: as 0)."""
    return np.where(np.isnan(ratios), one, ratios)


def spread(log_resamples: Array) -> float:
    """Standard deviation of a normal whose middle 95 % is that of the resamples; ∞ where that has no end.

    Of the middle 95 %: few processes give heavy tails, whose variance need not exist.
    """
    low, high = np.quantile(log_resamples, (TAIL, 1 - TAIL), method="inverted_cdf")
    return float(high - low) / (2 * _Z) if math.isfinite(low) and math.isfinite(high) else math.inf


def two_sided_p(log_value: float, log_resamples: Array) -> float:
    """p of a log ratio being 0 from its bootstrap distribution: of a normal with its `spread`; NaN where it is NaN.

    Where that has no end, of the side towards 0; by counting where the ratio itself is ∞ or 0, or that side's end.
    """
    if math.isnan(log_value) or np.isnan(log_resamples).any():
        return math.nan
    width = spread(log_resamples)
    if math.isfinite(log_value) and not math.isfinite(width):
        end = np.quantile(log_resamples, TAIL if log_value > 0 else 1 - TAIL, method="inverted_cdf")
        width = abs(log_value - float(end)) / _Z
    if not math.isfinite(width) or not math.isfinite(log_value):
        below, above = float((log_resamples <= 0).mean()), float((log_resamples >= 0).mean())
        return min(1.0, max(2 * min(below, above), 1 / len(log_resamples)))
    if width == 0:
        return 1.0 if log_value == 0 else 0.0
    return math.erfc(abs(log_value) / width / math.sqrt(2))


def _middle(lower: Array, upper: Array, *, censored: bool) -> Array:
    middle = (lower + upper) / 2
    return np.where(np.isinf(upper), lower, middle) if censored else middle
