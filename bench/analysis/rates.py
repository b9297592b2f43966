"""Rate sensitivity: how each rate of the grid did on the tuning starts."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.tables import CELL, Tables

_SETTING = [*CELL, "horizon", "rate"]
COLUMNS = [*CELL, "target", "gap", "horizon", "rate", "starts", "hits", "ert_steps", "final_loss_median", "diverged"]


def rate_table(tables: Tables) -> pd.DataFrame:
    """One row per (cell, target, setting): hits, ERT and final loss over the tuning starts.

    ERT = Σ steps spent / hits, ∞ without a hit; a diverged lane's final loss is ∞ in the median.

    Args:
        tables: of one run folder; only the tuning split is read.

    Returns:
        columns `COLUMNS`: starts, hits and diverged are counts of lanes, ert_steps is in steps.

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
    ends = lanes.assign(final=final, diverged=diverged).groupby(_SETTING, observed=True).agg(
        final_loss_median=("final", "median"), diverged=("diverged", "sum"))
    found = hits.groupby([*_SETTING, "target"], observed=True).agg(
        gap=("gap", "first"), starts=("hit", "size"), hits=("hit", "sum"), spent=("steps_spent", "sum")).reset_index()
    ert = np.where(found["hits"] > 0, found["spent"] / found["hits"].clip(lower=1), np.inf)
    return found.assign(ert_steps=ert).join(ends, on=_SETTING)[COLUMNS]


def best_horizons(rows: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Of each (cell, target, rate) the horizon that did best by a measure where lower is better."""
    order = rows.sort_values([measure, "final_loss_median"], kind="stable")
    return order.drop_duplicates([*CELL, "target", "rate"]).sort_values([*CELL, "target", "rate"])
