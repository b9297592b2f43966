"""Where a second device wins: ratios of throughput by batch size and lanes, and the lanes at which they pass one."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pandas as pd

from bench.analysis.throughput import RATES, best_so_far
from bench.analysis.verdicts import FASTER, SAME, SLOWER

FLOOR = 1.02  # smaller differences are not told of, whatever the interval
COLUMNS = ["batch_size", "lanes", "ratio", "ratio_low", "ratio_high", "verdict", "a_lanes", "b_lanes",
           *(f"{side}_{name}" for side in "ab" for name in RATES)]
ALWAYS, FROM, NEVER, BETWEEN = "always", "from", "never", "between"


class Crossover(NamedTuple):
    """From how many lanes on the second device wins at a batch size.

    Attributes:
        kind: of the verdicts at the lanes measured, "always" (all are faster), "from" (the last is, not all),
            "between" (some are, not the last), "never" (none is) or "no difference seen" (at any).
        lanes, low, high: where the ratio passes 1 for good, with the interval; 0 where it is above at all lanes, ∞
            where the last verdict is not faster.
    """

    batch_size: int
    kind: str
    lanes: float
    low: float
    high: float


def ratios(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """Lane-steps per second of B over those of A at the corners that both know.

    Each device gives a job of so many lanes its `best_so_far`. ratio = B/A of the medians; its interval runs from
    B's low over A's high to B's high over A's low, so it holds at least where both intervals do. B is "faster" or
    "slower" where the interval leaves out 1 and the ratio is 2 % from it.

    Args:
        a, b: tables of two scaling runs of one problem.

    Returns:
        columns `COLUMNS`; a_lanes and b_lanes are the lanes side by side that were best.

    Example:
        >>> def run(rates):
        ...     return pd.DataFrame({"batch_size": 1, "lanes": [1, 4], "status": "finished", "lane_steps_per_s": rates,
        ...                          "lane_steps_per_s_low": rates, "lane_steps_per_s_high": rates})
        >>> ratios(run([8.0, 8.0]), run([2.0, 16.0]))[["lanes", "ratio", "verdict"]].values.tolist()
        [[1, 0.25, 'slower'], [4, 2.0, 'faster']]
    """
    sides = [best_so_far(table).rename(columns={"best_lanes": f"{side}_lanes", **{
        name: f"{side}_{name}" for name in RATES}}) for side, table in (("a", a), ("b", b))]
    both = sides[0].merge(sides[1], on=["batch_size", "lanes"])
    middle, low, high = RATES
    both["ratio"] = both[f"b_{middle}"] / both[f"a_{middle}"]
    both["ratio_low"] = both[f"b_{low}"] / both[f"a_{high}"]
    both["ratio_high"] = both[f"b_{high}"] / both[f"a_{low}"]
    both["verdict"] = [verdict(*row) for row in zip(both["ratio"], both["ratio_low"], both["ratio_high"], strict=True)]
    return both[COLUMNS].sort_values(["batch_size", "lanes"], ignore_index=True)


def verdict(ratio: float, low: float, high: float) -> str:
    """What a ratio with its interval allows to say of B.

    >>> verdict(1.5, 1.4, 1.6), verdict(0.5, 0.4, 1.1), verdict(1.01, 1.005, 1.015)
    ('faster', 'no difference seen', 'no difference seen')
    """
    if ratio >= FLOOR and low > 1:
        return FASTER
    return SLOWER if ratio <= 1 / FLOOR and high < 1 else SAME


def crossovers(found: pd.DataFrame) -> list[Crossover]:
    """From how many lanes on B wins, for each batch size.

    Args:
        found: `ratios` of two runs.

    Example:
        >>> found = pd.DataFrame({"batch_size": 1, "lanes": [1, 4], "ratio": [0.5, 2.0], "ratio_low": [0.5, 2.0],
        ...                       "ratio_high": [0.5, 2.0], "verdict": ["slower", "faster"]})
        >>> [(each.kind, round(each.lanes, 3)) for each in crossovers(found)]
        [('from', 2.0)]
    """
    return [_crossover(int(str(size)), rows.sort_values("lanes")) for size, rows in found.groupby("batch_size")]


def passes_one(lanes: np.ndarray, ratio: np.ndarray) -> float:
    """Lanes at which the ratio passes 1 for good, interpolated in the logarithms of both; 0 always, ∞ never.

    Args:
        lanes: (corners,) in order. ratio: (corners,) of which the last decides whether there is such a place.

    Example:
        >>> passes_one(np.array([1.0, 16.0]), np.array([0.25, 4.0]))
        4.0
    """
    below = np.flatnonzero(~(ratio > 1))
    if not len(below):
        return 0.0
    last = int(below[-1])
    if last == len(ratio) - 1:
        return math.inf
    x, y = np.log(lanes[last:last + 2]), np.log(ratio[last:last + 2])
    return float(np.exp(x[0] - y[0] * (x[1] - x[0]) / (y[1] - y[0])))


def _crossover(size: int, rows: pd.DataFrame) -> Crossover:
    lanes = rows["lanes"].to_numpy(float)
    at, early, late = (passes_one(lanes, rows[name].to_numpy(float)) for name in ("ratio", "ratio_high", "ratio_low"))
    verdicts = rows["verdict"].tolist()
    if verdicts[-1] == FASTER:
        return Crossover(size, ALWAYS if set(verdicts) == {FASTER} else FROM, at, early, late)
    kind = BETWEEN if FASTER in verdicts else SAME if set(verdicts) == {SAME} else NEVER
    return Crossover(size, kind, math.inf, early, math.inf)
