"""Loss curves over the starts of a setting: median and 10–90 % quantiles at each mark."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.analysis.goals import Goal
from bench.analysis.reported import Reported, key_of
from bench.target_on import LOSS

QUANTILES = (0.1, 0.5, 0.9)


def curve_quantiles(reported: Reported, row: pd.Series) -> pd.DataFrame:
    """Loss at each mark over the reported starts of a summary row's setting, or what its target is on.

    A lane that ended early keeps its last loss, unless it diverged: then its loss is ∞ from there on, so that the
    quantiles speak of all starts at every mark. Where the end of another lane adds a mark, a lane keeps the loss of the
    mark before.

    Args:
        reported: of the run.
        row: of the summary; names the cell, rate and horizon.

    Returns:
        step, epochs, low, median, high: one row per mark, quantiles 10, 50 and 90 % over starts.
    """
    setting = key_of(row), float(row["rate"]), float(row["horizon"])
    curves, lanes = reported.curves(*setting), reported.lanes(*setting)
    if not len(curves):
        return pd.DataFrame(columns=["step", "epochs", "low", "median", "high"], dtype=float)
    shown = "loss" if Goal.of(row).on == LOSS else "score"
    named = pd.DataFrame({name: curves[name] for name in ("step", "start", shown)})
    losses = named.pivot(index="step", columns="start", values=shown)
    diverged = losses.columns.isin(lanes["start"][lanes["diverged"]])
    over = losses.bfill().isna().to_numpy() & diverged  # after its last mark
    filled = losses.ffill().mask(over).fillna(np.inf).to_numpy(float)
    low, median, high = np.quantile(filled, QUANTILES, axis=1, method="inverted_cdf")
    steps = losses.index.to_numpy(float)
    epochs = steps * float(row["batch_size"]) / float(row["problem_examples"])
    return pd.DataFrame({"step": steps, "epochs": epochs, "low": low, "median": median, "high": high})


def outcome_shares(rows: pd.DataFrame) -> pd.DataFrame:
    """Shares of the reported lanes of each summary row: hit, hit_then_diverged, missed, diverged; they sum to 1."""
    lanes = rows["lanes"].to_numpy(float)
    lanes = np.where(lanes > 0, lanes, np.nan)
    late, lost = rows["diverged_hits"].to_numpy(float), (rows["diverged"] - rows["diverged_hits"]).to_numpy(float)
    hit = rows["hits"].to_numpy(float) - late
    counts = {"hit": hit, "hit_then_diverged": late, "missed": lanes - hit - late - lost, "diverged": lost}
    names = rows[["optimizer", "batch_size", "schedule"]].reset_index(drop=True)
    return names.assign(**{name: count / lanes for name, count in counts.items()})
