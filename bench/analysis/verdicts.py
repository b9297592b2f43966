"""The verdict on a ratio of two times: one of four words, by one rule."""

from __future__ import annotations

import math
from typing import NamedTuple

from bench.analysis.comparisons import FEWEST, LEVEL
from bench.analysis.intervals import Estimate

FASTER, SLOWER, SAME, NOISY = "faster", "slower", "no difference seen", "too noisy"
VERDICTS = (FASTER, SLOWER, SAME, NOISY)
RESOLVED = 1.10  # an interval within this of 1 shows that nothing of interest changed


class Verdict(NamedTuple):
    """One of `VERDICTS`, and why where the word alone does not say it."""

    word: str
    note: str = ""


def verdict(ratio: Estimate, p: float, floor: float, samples: int) -> Verdict:
    """The verdict on a ratio of times A/B, above 1 where B is faster.

    Faster or slower: the 95 % interval excludes 1, the change is more than the noise floor, and p, corrected by Holm
    over all cells, is below 5 %. No difference seen: the interval lies within a factor 1.1 of 1, so that a larger
    change is ruled out. Too noisy: neither.

    Args:
        ratio: with its 95 % interval; an interval of no width at 1 is one result seen twice.
        p: corrected by Holm over all cells.
        floor: smallest change that can mean anything, 0.02 for 2 %.
        samples: of the side that has fewer.

    Example:
        >>> verdict(Estimate(1.3, 1.2, 1.4), p=0.001, floor=0.02, samples=10).word
        'faster'
        >>> verdict(Estimate(1.01, 0.9, 1.2), p=0.4, floor=0.02, samples=10).word
        'too noisy'
    """
    value, low, high = ratio
    if value == low == high == 1.0:
        return Verdict(SAME)
    if math.isnan(value):
        return Verdict(NOISY, "not measured on both sides")
    if samples < FEWEST:
        return Verdict(NOISY, f"too few samples (got {samples}, {FEWEST} are needed)")
    changed = value > 1 + floor or value < 1 / (1 + floor)
    if changed and p < LEVEL and (low > 1 or high < 1):
        return Verdict(FASTER if value > 1 else SLOWER)
    within = low >= 1 / RESOLVED and high <= RESOLVED
    return Verdict(SAME if within else NOISY)
