"""Rate sensitivity: how each rate of the grid did on the tuning starts."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.analysis.intervals import wilson_band
from bench.tables import CELL, Tables

_RATE = [*CELL, "rate"]
_SETTING = [*CELL, "horizon", "rate"]
COLUMNS = [*CELL, "target", "gap", "rate", "starts", "hits", "ert_steps", "ert_horizon", "final_loss_median",
           "final_loss_horizon", "lanes", "diverged", "diverged_share", "diverged_low", "diverged_high"]


def rate_table(tables: Tables) -> pd.DataFrame:
    """One row per (cell, target, rate): ERT and final loss at the horizon that is best for it, and what diverged.

    ERT = Σ steps spent / hits, ∞ without a hit; a diverged lane's final loss is ∞ in the median. What diverged is told
    of all lanes that were tuned at the rate, whatever their horizon: that of the best horizon alone would make a rate
    look safer than it is. Its 95 % Wilson interval takes the horizons of a start, which are alike, for one observation.

    Args:
        tables: of one run folder; only the tuning split is read.

    Returns:
        columns `COLUMNS`: starts and hits are counts at ert_horizon, ert_steps is in steps, horizons are shares of the
        budget; lanes and diverged are counts over all horizons, diverged_share is their ratio.

    Example:
        >>> from bench.tables import empty
        >>> tables = Tables(**{name: empty(name) for name in ("lanes", "hits", "curves", "chosen", "timing")}, run={})
        >>> len(rate_table(tables))
        0
    """
    lanes = tables.lanes[tables.lanes["split"] == "tuning"]
    hits = tables.hits[tables.hits["split"] == "tuning"]
    diverged = lanes["status"] == "diverged"
    final = lanes["final_loss"].mask(diverged | lanes["final_loss"].isna(), np.inf)
    lanes = lanes.assign(diverged=diverged, final=final)
    ends = lanes.groupby(_SETTING, observed=True).agg(final_loss_median=("final", "median"))
    found = hits.groupby([*_SETTING, "target"], observed=True).agg(
        gap=("gap", "first"), starts=("hit", "size"), hits=("hit", "sum"), spent=("steps_spent", "sum")).reset_index()
    ert = np.where(found["hits"] > 0, found["spent"] / found["hits"].clip(lower=1), np.inf)
    found = found.assign(ert_steps=ert).join(ends, on=_SETTING)
    soonest, lowest = _best(found, "ert_steps"), _best(found, "final_loss_median")
    soonest = soonest.rename(columns={"horizon": "ert_horizon"}).drop(columns="final_loss_median")
    lowest = lowest.rename(columns={"horizon": "final_loss_horizon"})
    lowest = lowest[[*_RATE, "target", "final_loss_median", "final_loss_horizon"]]
    lost = lanes.groupby(_RATE, observed=True).agg(lanes=("diverged", "size"), diverged=("diverged", "sum"),
                                                   seen=("start", "nunique"))
    share = (lost["diverged"] / lost["lanes"]).to_numpy(float)
    low, high = wilson_band(share, lost["seen"].to_numpy(float))
    lost = lost.assign(diverged_share=share, diverged_low=low, diverged_high=high)
    return soonest.merge(lowest, on=[*_RATE, "target"]).join(lost, on=_RATE)[COLUMNS]


def _best(rows: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Of each (cell, target, rate) the horizon that did best by a measure where lower is better."""
    order = rows.sort_values([measure, "final_loss_median"], kind="stable")
    return order.drop_duplicates([*_RATE, "target"]).sort_values([*CELL, "target", "rate"])
