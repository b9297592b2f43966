"""Not yet at the target: what became of the starts by each step, with divergence as a competing event."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.analysis.reported import Reported, key_of

COLUMNS = ["step", "waiting", "low", "high", "diverged"]
_Z = 1.959964  # of a 95 % interval


def waiting_curve(hits: np.ndarray, ends: np.ndarray, diverged: np.ndarray) -> pd.DataFrame:
    """Share of starts that have not hit by each step, and the share that diverged without a hit.

    waiting(t) = 1 − (hits by t)/N: a lane that diverged stays in N and in `waiting` to the horizon. Dropping it when
    it diverges, as Kaplan–Meier does with a censored lane, would tell the share among lanes that live: 100 % hit
    where half of them diverged.

    Args:
        hits: (lanes,) steps to the hit, ∞ for a miss.
        ends: (lanes,) steps at which the lane ended.
        diverged: (lanes,) whether it diverged.

    Returns:
        step, waiting with its pointwise 95 % Wilson interval, diverged: one row at the start, one per event.

    Example:
        >>> curve = waiting_curve(np.array([5.0, np.inf]), np.array([9, 3]), np.array([False, True]))
        >>> curve[["step", "waiting", "diverged"]].to_numpy().tolist()
        [[0.0, 1.0, 0.0], [3.0, 1.0, 0.5], [5.0, 0.5, 0.5], [9.0, 0.5, 0.5]]

    Source: Andersen et al. 2012, "Competing risks in epidemiology", for the cumulative incidence.
    """
    count = len(hits)
    if count == 0:
        return pd.DataFrame(columns=COLUMNS, dtype=float)
    lost = np.where(diverged & np.isinf(hits), ends.astype(float), np.inf)
    events = np.unique(np.concatenate([[0.0], hits, lost, [float(ends.max())]]))
    events = events[np.isfinite(events)]
    waiting = 1 - (hits <= events[:, None]).mean(axis=1)
    middle = (waiting + _Z**2 / (2 * count)) / (1 + _Z**2 / count)
    reach = _Z / (1 + _Z**2 / count) * np.sqrt(waiting * (1 - waiting) / count + _Z**2 / (4 * count**2))
    return pd.DataFrame({"step": events, "waiting": waiting, "low": np.maximum(middle - reach, 0.0),
                         "high": np.minimum(middle + reach, 1.0), "diverged": (lost <= events[:, None]).mean(axis=1)})


def waiting_of(reported: Reported, row: pd.Series) -> pd.DataFrame:
    """`waiting_curve` of a summary row's cell and target."""
    setting = float(row["rate"]), float(row["horizon"])
    hits, lanes = reported.hits(key_of(row), *setting, float(row["target"])), reported.lanes(key_of(row), *setting)
    both = np.intersect1d(hits["start"], lanes["start"])
    ended = np.isin(lanes["start"], both)
    return waiting_curve(hits["steps"][np.isin(hits["start"], both)], lanes["steps"][ended], lanes["diverged"][ended])
