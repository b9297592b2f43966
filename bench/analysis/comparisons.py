"""Paired comparisons with the winner over common starts: sign and Wilcoxon tests, Holm, how many starts suffice."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import binomtest, norm, permutation_test, rankdata, wilcoxon

from bench.analysis.answer import Answer
from bench.analysis.ranking import Standing
from bench.analysis.reported import Reported, Rows, common_starts
from bench.analysis.timing import Times

Array = np.ndarray
FEW = 13  # pairs: as scipy does, all signs are gone through up to here
FEWEST = 6  # pairs: with fewer no two-sided test can reach 5 %
POWER, LEVEL = 0.8, 0.05
DIFFERENCE = 1.1
_WILCOXON_EFFICIENCY = 3 / math.pi  # against the t test on normal differences: Hodges & Lehmann 1956
COLUMNS = ["problem", "device", "target", "gap", "optimizer", "batch_size", "schedule", "pairs", "slower", "faster",
           "ties", "p_sign", "p_wilcoxon", "p_holm", "ratio", "ratio_low", "ratio_high", "starts_for_10_percent"]


def comparison_table(reported: Reported, times: Times, answers: Sequence[Answer]) -> pd.DataFrame:
    """Every cell that reached its problem's headline target, against the winner of that problem.

    Args:
        reported: of the run.
        times: of the run; ratios are of seconds where the winner was ranked by them, of examples otherwise.
        answers: `answers` of the run.

    Returns:
        columns `COLUMNS`: slower, faster, ties count starts at which the cell was slower than the winner, …; p_holm is
        p_wilcoxon corrected for all rows of the table; ratio is that of the medians with its bootstrap interval;
        starts_for_10_percent: `starts_needed` of the pair.
    """
    rows = []
    for answer in (answer for answer in answers if answer.headline and answer.winner is not None):
        assert answer.winner is not None
        base, base_scale = _hits(reported, times, answer, answer.winner)
        for cell, ratio in answer.ratios:
            hits, scale = _hits(reported, times, answer, cell)
            pair = common_starts([hits, base], "steps") * [scale, base_scale]
            difference = log_differences(pair[:, 0], pair[:, 1])
            rows.append({
                "problem": answer.problem, "device": answer.device, "target": answer.target, "gap": answer.gap,
                "optimizer": cell.optimizer, "batch_size": cell.batch_size, "schedule": cell.schedule,
                "pairs": len(difference), "slower": int((difference > 0).sum()), "faster": int((difference < 0).sum()),
                "ties": int((difference == 0).sum()), "p_sign": sign_test(difference),
                "p_wilcoxon": wilcoxon_test(difference), "ratio": ratio.value, "ratio_low": ratio.low,
                "ratio_high": ratio.high, "starts_for_10_percent": starts_needed(difference)})
    found = pd.DataFrame(rows, columns=[name for name in COLUMNS if name != "p_holm"])
    return found.assign(p_holm=holm(found["p_wilcoxon"].to_numpy(float)))[COLUMNS]


def log_differences(slower: Array, faster: Array) -> Array:
    """log(slower/faster) of each pair of hit times: +∞ where only the first missed, 0 where both did.

    Example:
        >>> log_differences(np.array([1.0, np.inf, np.inf]), np.array([1.0, 2.0, np.inf])).tolist()
        [0.0, inf, 0.0]
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.log(slower) - np.log(faster)
    return np.where(slower == faster, 0.0, found)


def sign_test(difference: Array) -> float:
    """Two-sided sign test that a start is as likely slower as faster; ties are left out. NaN below 6 pairs.

    Example:
        >>> sign_test(np.array([1.0, 1, 1, 1, 1, 1]))
        0.03125
    """
    if len(difference) < FEWEST:
        return math.nan
    slower, faster = int((difference > 0).sum()), int((difference < 0).sum())
    return float(binomtest(slower, slower + faster).pvalue) if slower + faster else 1.0


def wilcoxon_test(difference: Array) -> float:
    """Two-sided Wilcoxon signed-rank test; a miss against a hit has the highest rank. NaN below 6 pairs.

    Source: Wilcoxon 1945; ties among pairs by Pratt 1959.
    """
    if len(difference) < FEWEST:
        return math.nan
    finite = np.abs(difference[np.isfinite(difference)])
    top = 2 * (float(finite.max()) if len(finite) else 0.0) + 1
    ranked = np.where(np.isinf(difference), np.sign(difference) * top, difference)
    if not ranked.any():
        return 1.0
    if len(ranked) > FEW:
        return float(wilcoxon(ranked, zero_method="pratt", correction=True).pvalue)
    # scipy's own way through all signs ranks again for each of them: the same p, in a hundred times the time
    signed = np.sign(ranked) * rankdata(np.abs(ranked))
    return float(permutation_test((signed,), lambda signs, axis: signs.sum(axis=axis), permutation_type="samples",
                                  vectorized=True, n_resamples=2**FEW).pvalue)


def holm(values: Array) -> Array:
    """p values corrected by Holm's step-down: family-wise error at most 5 % whatever their dependence; NaN stays NaN.

    Example:
        >>> holm(np.array([0.01, 0.04, 0.03])).round(2).tolist()
        [0.03, 0.06, 0.06]

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    corrected = np.full(len(values), np.nan)
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known], kind="stable")]
    steps = values[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected


def starts_needed(difference: Array, ratio: float = DIFFERENCE) -> float:
    """Starts at which a paired test sees a ratio of hit times in four of five experiments, at the 5 % level.

    n = ((z₀.₉₇₅ + z₀.₈)·σ/log ratio)²·π/3, with σ the spread of the log differences (from their quartiles, so that a
    few misses don't decide) and π/3 what ranks cost against means. ∞ where a quarter of the pairs are a miss against
    a hit.

    Args:
        difference: (pairs,) log differences, ±∞ for a miss against a hit.
        ratio: of hit times, that is to be seen.

    Source: Noether 1987, "Sample size determination for some common nonparametric tests", for the Wilcoxon test.
    """
    if len(difference) < FEWEST:
        return math.nan
    low, high = np.quantile(difference, (0.25, 0.75), method="inverted_cdf")
    if not (math.isfinite(low) and math.isfinite(high)):
        return math.inf
    sigma = (high - low) / (norm.ppf(0.75) - norm.ppf(0.25))
    effect = (norm.ppf(1 - LEVEL / 2) + norm.ppf(POWER)) * sigma / math.log(ratio)
    return float(max(math.ceil(effect**2 / _WILCOXON_EFFICIENCY), FEWEST))


def _hits(reported: Reported, times: Times, answer: Answer, cell: Standing) -> tuple[Rows, float]:
    """Hits of a cell, and what a step is in the measure of the answer: seconds or examples."""
    key = answer.problem, cell.optimizer, cell.batch_size, cell.schedule, answer.device
    hits = reported.hits(key, cell.rate, cell.horizon, answer.target)
    scale = float(cell.batch_size)
    if answer.measure == "seconds_solo":
        scale = times.median((answer.problem, cell.optimizer, cell.batch_size, answer.device), "solo", "step")
    return hits, scale
