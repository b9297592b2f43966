"""Batch scaling in words: one row per schedule and target that has a fit."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from bench.analysis.goals import Goal
from bench.analysis.intervals import Estimate
from bench.analysis.words import estimate_words, number, problem_label, rounded, schedule_label


def scaling_rows(scaling: pd.DataFrame) -> list[Sequence[str]]:
    """Rows of the batch scaling table, from problem and loss to the residual of the fit.

    Args:
        scaling: `scaling_table` of a run with the noise scale; rows without a fit are left out.
    """
    several = scaling["optimizer"].nunique() > 1
    return [_row(row, several) for _, row in scaling[scaling["b_crit"].notna()].iterrows()]


def _row(row: pd.Series, several: bool) -> Sequence[str]:
    values = {name: Estimate(*(float(row[f"{name}{part}"]) for part in ("", "_low", "_high")))
              for name in ("b_crit", "b_simple_target", "ratio", "s_min", "e_min")}
    ratio = estimate_words(values["ratio"]) if math.isfinite(values["ratio"].value) else "–"
    noise = "–" if math.isnan(values["b_simple_target"].value) else estimate_words(values["b_simple_target"])
    return [problem_label(row["problem"], row["optimizer"], several=several),
            Goal.of(row).words, schedule_label(str(row["schedule"])),
            estimate_words(values["b_crit"]), noise, ratio, estimate_words(values["s_min"]),
            estimate_words(values["e_min"]),
            f"up to {_round(float(row['perfect_until']))}", f"from {_round(float(row['flat_from']))}",
            number(float(row["fastest_batch"])), f"{row['batch_sizes_hit']} of {row['batch_sizes']}",
            number(float(row["residual"]))]


def _round(value: float) -> str:
    return number(rounded(value, 2))
