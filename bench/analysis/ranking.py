"""Which cell comes first: the order of cells on a target, and the ratio between two of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from bench.analysis.intervals import (
    Estimate,
    fewest_pairs,
    median_resamples,
    paired_medians,
    percentile_interval,
    scaled_ratio,
    spread,
    two_sided_p,
)
from bench.analysis.reported import Reported, Rows, common_starts, key_of
from bench.analysis.timing import Times, seed_of

HALF = 0.5


@dataclass(frozen=True)
class Standing:
    """A cell on a target: what it is, how soon it got there, how many of its starts did."""

    optimizer: str
    batch_size: int
    schedule: str
    rate: float
    horizon: float
    time: Estimate
    hits: int
    lanes: int
    edge_of_grid: bool


def rank(rows: pd.DataFrame, measure: str = "seconds_solo") -> pd.DataFrame:
    """Summary rows of one target, soonest first.

    By the median of the measure; then, as among cells that missed it is ∞ for all, by success rate, ERT and final loss.

    Args:
        rows: of the summary.
        measure: "seconds_solo", "seconds_batched" or "examples".
    """
    by = [f"{measure}_median", "success_rate", "ert_steps", "final_loss_median", "batch_size", "schedule"]
    return rows.sort_values(by, ascending=[True, False, True, True, True, True], na_position="last", kind="stable")


def best_cells(rows: pd.DataFrame) -> pd.DataFrame:
    """The best schedule of each batch size at the hardest target, smallest batch first.

    Args:
        rows: the summary of one problem, optimizer and device; of one target or of several.
    """
    hardest = rows[rows["target"] == rows["target"].min()]
    return rank(hardest, measure_of(hardest)).drop_duplicates("batch_size").sort_values("batch_size")


def reached(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows whose cell hit its target in at least half of its starts."""
    return rows[rows["success_rate"].to_numpy(float) >= HALF]


def measure_of(rows: pd.DataFrame) -> str:
    """What to rank by: seconds of one training, or examples seen where no cell's step was timed."""
    return "examples" if rows["seconds_solo_median"].isna().all() else "seconds_solo"


def standing(row: pd.Series, measure: str) -> Standing:
    """A summary row as a standing, its time in the measure (examples have no interval of their own)."""
    value = float(row[f"{measure}_median"])
    seconds = measure != "examples"
    low, high = (float(row[f"{measure}_{end}"]) if seconds else math.nan for end in ("low", "high"))
    return Standing(optimizer=str(row["optimizer"]), batch_size=int(row["batch_size"]), schedule=str(row["schedule"]),
                    rate=float(row["rate"]), horizon=float(row["horizon"]), time=Estimate(value, low, high),
                    hits=int(row["hits"]), lanes=int(row["lanes"]), edge_of_grid=bool(row["edge_of_grid"]))


class Compared(NamedTuple):
    """How many times as long a cell takes as another, and how sure that is.

    Args:
        ratio: of medians, with its interval; [0, ∞] where there are too few starts for one (`fewest_pairs`).
        p: two-sided, that the ratio is 1; of this pair alone, and no less than that all starts are on one side.
        pairs: starts that both have.
        starts_spread, step_spread: standard deviations of the log ratio that come from starts and from step times.
    """

    ratio: Estimate
    p: float
    pairs: int
    starts_spread: float
    step_spread: float


class Ratios:
    """Ratios of hit times between cells of a run, over the starts that both have."""

    def __init__(self, reported: Reported, times: Times) -> None:
        self._reported, self._times = reported, times

    def between(self, slower: pd.Series, faster: pd.Series, measure: str, comparisons: int = 1) -> Compared:
        """How many times as long one cell takes as another: ratio of medians, with its bootstrap interval.

        Starts are resampled in pairs over those that both have (all of each where they share none); step times are
        resampled too, unless both run the same program, whose step time cancels.

        Args:
            comparisons: how many ratios have intervals that are to hold at once.
        """
        hits = [self._hits(slower), self._hits(faster)]
        common = common_starts(hits, "steps")
        above, below = common.T if len(common) else [each["steps"] for each in hits]
        same_program = _program(slower) == _program(faster)
        scales = None if same_program else (self._scale(slower, measure), self._scale(faster, measure))
        found, starts = scaled_ratio(above, below, paired=len(common) > 0, scales=scales), min(len(above), len(below))
        ends = 0.0, math.inf
        if starts >= fewest_pairs(comparisons):
            ends = percentile_interval(found.resamples, comparisons)
        with np.errstate(divide="ignore"):
            p = two_sided_p(float(np.log(found.value)), np.log(found.resamples))
            return Compared(Estimate(found.value, *ends), min(max(p, 2.0 ** (1 - starts)), 1.0), len(common),
                            spread(np.log(found.of_starts)), spread(np.log(found.of_steps)))

    def optimism(self, rows: pd.DataFrame, measure: str) -> float:
        """How much shorter the soonest cell's time looks for being the soonest of these, as a share: 0.03 for 3 %.

        Starts and step times are resampled together for all cells. The cell that is soonest in a resample mostly takes
        less time there than it usually does in resamples; by so much, on average, does choosing the lowest of several
        uncertain times tell too little. NaN without a common start, or where the soonest cell hits at its start.

        Source: Efron & Tibshirani 1993, "An introduction to the bootstrap", section 17.6 (optimism).
        """
        steps = self._reported.steps(rows)
        if not len(steps) or not rows[f"{measure}_median"].min() > 0:
            return math.nan
        kind = measure.removeprefix("seconds_")
        scales = {program: median_resamples(self._scale(row, measure), seed=seed_of(program, kind))
                  for program, row in {_program(row): row for _, row in rows.iterrows()}.items()}
        with np.errstate(divide="ignore"):
            drawn = np.log([paired_medians(column) * scales[_program(row)]
                            for column, (_, row) in zip(steps.T, rows.iterrows(), strict=True)])
        finite = np.isfinite(drawn)
        usual = np.where(finite, drawn, 0.0).sum(axis=1) / finite.sum(axis=1)
        below = (drawn.min(axis=0) - usual[drawn.argmin(axis=0)])[finite.any(axis=0)]
        return float(-np.expm1(below.mean())) if len(below) else math.nan

    def mark_ratio(self, row: pd.Series) -> float:
        """How far apart the two marks around a hit are: median of steps after / steps before; NaN without a hit."""
        hits = self._hits(row)
        before, after = hits["steps_before"], hits["steps_after"]
        known = (before > 0) & np.isfinite(after)
        return float(np.median(after[known] / before[known])) if known.any() else math.nan

    def _hits(self, row: pd.Series) -> Rows:
        return self._reported.hits(key_of(row), float(row["rate"]), float(row["horizon"]), float(row["target"]))

    def _scale(self, row: pd.Series, measure: str) -> np.ndarray:
        if measure == "examples":
            return np.array([float(row["batch_size"])])
        return self._times.samples(_program(row), measure.removeprefix("seconds_"))


def _program(row: pd.Series) -> tuple[str, str, int, str]:
    return str(row["problem"]), str(row["optimizer"]), int(row["batch_size"]), str(row["device"])
