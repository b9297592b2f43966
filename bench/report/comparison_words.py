"""Comparisons with the winner in words: rows of the table, and how many starts a 10 % difference takes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from bench.analysis.intervals import Estimate
from bench.analysis.sentence import ratio_words
from bench.analysis.words import number, problem_label, schedule_label

_NEAREST = 5
_NEVER = 0.001


def comparison_rows(comparisons: pd.DataFrame) -> list[Sequence[str]]:
    """The cells nearest to the winner of each problem: ratio, starts slower, faster and tied, p after Holm.

    Args:
        comparisons: `comparison_table` of the run, soonest first in each problem.
    """
    several = comparisons["optimizer"].nunique() > 1
    nearest = comparisons.groupby(["problem", "device"], sort=False).head(_NEAREST)
    return [_row(row, several) for _, row in nearest.iterrows()]


def starts_sentence(comparisons: pd.DataFrame, problem: str, device: str) -> str:
    """How many starts it takes to tell winner and runner-up apart at 10 %; empty where that is not known."""
    rows = comparisons[(comparisons["problem"] == problem) & (comparisons["device"] == device)]
    if rows.empty or math.isnan(float(rows["starts_for_10_percent"].iloc[0])):
        return ""
    needed, had = float(rows["starts_for_10_percent"].iloc[0]), int(rows["pairs"].iloc[0])
    if math.isinf(needed):
        return ("No number of starts would tell the first two apart at a difference of 10 %: the step times are not "
                "sure enough for that.")
    return (f"To tell the first two apart at a difference of 10 %, in four of five experiments, takes about "
            f"{number(needed)} starts; this run had {had}.")


def _row(row: pd.Series, several: bool) -> Sequence[str]:
    name = problem_label(row["problem"], row["optimizer"], several=several)
    p = float(row["p_holm"])
    ratio = Estimate(*(float(row[f"ratio{part}"]) for part in ("", "_low", "_high")))
    return [name, str(row["batch_size"]), schedule_label(str(row["schedule"])), ratio_words(ratio, "×"),
            f"{row['slower']} / {row['faster']} / {row['ties']}", f"< {_NEVER}" if p < _NEVER else number(p),
            number(float(row["starts_for_10_percent"]))]
