"""Throughput against lane count: what a device gives to so many lanes, and from where more lanes give no more."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

GROWN = 0.9  # of the best throughput: from there on more lanes bring at most a ninth more
RATES = ["lane_steps_per_s", "lane_steps_per_s_low", "lane_steps_per_s_high"]


def best_so_far(table: pd.DataFrame) -> pd.DataFrame:
    """Lane-steps per second that a job of so many lanes can have, at each corner: those of the best lower lane count.

    A device need not step all lanes side by side: where fewer at a time are faster, or more do not fit the memory, the
    job runs in waves, as the library does. So throughput as a job sees it never falls with the lanes.

    Args:
        table: of a scaling run; corners that are neither finished nor out of memory are left out.

    Returns:
        one row per corner: batch_size, lanes, RATES, and best_lanes, the lanes side by side that give them.

    Example:
        >>> rows = pd.DataFrame({"batch_size": 1, "lanes": [1, 4, 16], "status": ["finished", "finished", "oom"],
        ...                      "lane_steps_per_s": [5.0, 3.0, None], "lane_steps_per_s_low": [4.0, 2.0, None],
        ...                      "lane_steps_per_s_high": [6.0, 4.0, None]})
        >>> best_so_far(rows).lane_steps_per_s.tolist()
        [5.0, 5.0, 5.0]
    """
    known = table[table["status"].isin(("finished", "oom"))].sort_values(["batch_size", "lanes"])
    found = []
    for _, rows in known.groupby("batch_size", sort=True):
        if rows["lane_steps_per_s"].isna().iloc[0]:
            continue
        best = np.maximum.accumulate(rows["lane_steps_per_s"].fillna(-math.inf).to_numpy(float))
        place = [int(np.flatnonzero(rows["lane_steps_per_s"] == value)[0]) for value in best]
        at = rows.iloc[place]
        found.append(rows[["batch_size", "lanes"]].assign(
            best_lanes=at["lanes"].to_numpy(), **{name: at[name].to_numpy(float) for name in RATES}))
    columns = ["batch_size", "lanes", "best_lanes", *RATES]
    return pd.concat(found, ignore_index=True)[columns] if found else pd.DataFrame(columns=columns)


def knee(lanes: np.ndarray, rates: np.ndarray) -> int | None:
    """Lanes from which throughput no longer grows: the fewest with 90 % of the best; None where the most have it first.

    Args:
        lanes: (corners,) in order. rates: (corners,) lane-steps per second.

    Example:
        >>> knee(np.array([1, 4, 16, 64]), np.array([1.0, 3.0, 9.8, 10.0]))
        16
    """
    first = int(np.flatnonzero(rates >= GROWN * rates.max())[0])
    return int(lanes[first]) if first < len(lanes) - 1 else None
