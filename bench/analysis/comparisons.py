"""Comparisons with the winner over common starts: sign and Wilcoxon tests, Holm, how many starts suffice."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import binomtest, norm, permutation_test, rankdata, wilcoxon

from bench.analysis.answer import Answer
from bench.analysis.intervals import fewest_pairs
from bench.analysis.ranking import Compared, Standing
from bench.analysis.reported import Reported, Rows, common_starts
from bench.analysis.timing import Times

Array = np.ndarray
FEW = 13  # pairs: as scipy does, all signs are gone through up to here
FEWEST = fewest_pairs()  # 6: with fewer no two-sided test can reach 5 %
POWER, LEVEL = 0.8, 0.05
DIFFERENCE = 1.1
COLUMNS = ["problem", "device", "target", "gap", "optimizer", "batch_size", "schedule", "pairs", "slower", "faster",
           "ties", "p_sign", "p_wilcoxon", "p_ratio", "p_holm", "ratio", "ratio_low", "ratio_high",
           "starts_for_10_percent"]


def comparison_table(reported: Reported, times: Times, answers: Sequence[Answer]) -> pd.DataFrame:
    """Every cell that reached its problem's headline target, against the winner of that problem.

    Args:
        reported: of the run.
        times: of the run; ratios are of seconds where the winner was ranked by them, of examples otherwise.
        answers: `answers` of the run.

    Returns:
        columns `COLUMNS`: slower, faster, ties count starts at which the cell was slower than the winner, …; p_sign and
        p_wilcoxon are of these starts, at the median step times; p_ratio is of the ratio of medians, step times
        resampled too, and at least 2^(1 − pairs); p_holm is p_ratio corrected for all pairs of cells of all problems,
        since which cell is the winner is found on the same starts; the intervals of the ratios of a problem hold all at
        once, [0, ∞] where there are too few pairs for that; starts_for_10_percent: `starts_needed` of the pair.
    """
    rows, pairs = [], 0
    for answer in (answer for answer in answers if answer.headline and answer.winner is not None):
        assert answer.winner is not None
        pairs += math.comb(len(answer.ratios) + 1, 2)
        base, base_scale = _hits(reported, times, answer, answer.winner)
        for cell, compared in answer.ratios:
            hits, scale = _hits(reported, times, answer, cell)
            pair = common_starts([hits, base], "steps") * [scale, base_scale]
            difference = log_differences(pair[:, 0], pair[:, 1])
            rows.append({
                "problem": answer.problem, "device": answer.device, "target": answer.target, "gap": answer.gap,
                "optimizer": cell.optimizer, "batch_size": cell.batch_size, "schedule": cell.schedule,
                "pairs": len(difference), "slower": int((difference > 0).sum()), "faster": int((difference < 0).sum()),
                "ties": int((difference == 0).sum()), "p_sign": sign_test(difference),
                "p_wilcoxon": wilcoxon_test(difference),
                "p_ratio": compared.p if len(difference) >= FEWEST else math.nan,
                "ratio": compared.ratio.value, "ratio_low": compared.ratio.low, "ratio_high": compared.ratio.high,
                "starts_for_10_percent": starts_needed(compared, len(answer.ratios))})
    found = pd.DataFrame(rows, columns=[name for name in COLUMNS if name != "p_holm"])
    return found.assign(p_holm=holm(found["p_ratio"].to_numpy(float), pairs))[COLUMNS]


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


def holm(values: Array, family: int | None = None) -> Array:
    """p values corrected by Holm's step-down: family-wise error at most 5 % whatever their dependence; NaN stays NaN.

    Args:
        family: how many hypotheses there are, where these are only some of them; None: as many as values.

    Example:
        >>> holm(np.array([0.01, 0.04, 0.03])).round(2).tolist()
        [0.03, 0.06, 0.06]

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    corrected = np.full(len(values), np.nan)
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known], kind="stable")]
    steps = values[order] * ((len(order) if family is None else family) - np.arange(len(order)))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected


def starts_needed(compared: Compared, comparisons: int = 1, ratio: float = DIFFERENCE) -> float:
    """Starts at which the interval of a ratio excludes 1 in four of five experiments, where the truth is this ratio.

    n = pairs·s² / ((log ratio/(z_c + z₀.₈))² − t²), with s and t the spreads of the log ratio that come from starts and
    from step times, and z_c the quantile of an interval that holds with `comparisons` of them at once; at least as many
    as such an interval of a median needs (`fewest_pairs`). ∞ where the step times alone are not sure enough;
    NaN where the starts have no finite spread, since too many miss, or are fewer than 6.

    Source: the sample size of a normal mean, with the bootstrap's spread for its standard error.
    """
    if compared.pairs < FEWEST or not math.isfinite(compared.starts_spread):
        return math.nan
    quantiles = norm.ppf(1 - LEVEL / (2 * comparisons)) + norm.ppf(POWER)
    room = (math.log(ratio) / quantiles) ** 2 - compared.step_spread**2
    if room <= 0:
        return math.inf
    return float(max(math.ceil(compared.pairs * compared.starts_spread**2 / room), fewest_pairs(comparisons)))


def _hits(reported: Reported, times: Times, answer: Answer, cell: Standing) -> tuple[Rows, float]:
    """Hits of a cell, and what a step is in the measure of the answer: seconds or examples."""
    key = answer.problem, cell.optimizer, cell.batch_size, cell.schedule, answer.device
    hits = reported.hits(key, cell.rate, cell.horizon, answer.target)
    scale = float(cell.batch_size)
    if answer.measure == "seconds_solo":
        scale = times.median((answer.problem, cell.optimizer, cell.batch_size, answer.device), "solo", "step")
    return hits, scale
