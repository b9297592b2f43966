"""Two runs to be compared: what each holds, and the cells that both have."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from bench.analysis.intervals import ratio_resamples
from bench.analysis.repeats import Array, Program, step_samples
from bench.analysis.reported import Key, Reported, common_starts
from bench.analysis.resampling import RESAMPLES
from bench.analysis.summary import summarise
from bench.analysis.timing import Times
from bench.tables import Tables

CELL = ["problem", "optimizer", "batch_size", "schedule"]  # of two devices: the device is no part of the name
Cell = tuple[str, str, int, str]


@dataclass(frozen=True)
class Side:
    """One of the two runs."""

    name: str
    tables: Tables

    @property
    def run(self) -> Mapping[str, object]:
        """The manifest."""
        return self.tables.run

    @property
    def device(self) -> str:
        """The device that it ran on."""
        return str(self.run.get("device") or "")

    @cached_property
    def reported(self) -> Reported:
        """Look-up of its reported lanes."""
        return Reported(self.tables)

    @cached_property
    def summary(self) -> pd.DataFrame:
        """Its summary with a column `goal` that names a target alike on both sides: its gap, or what it is on."""
        summary = summarise(self.tables, reported=self.reported, times=self.times)
        goals = [f"gap {gap:g}" if math.isfinite(gap) else f"{on} {target:.6g}"
                 for gap, target, on in summary[["gap", "target", "target_on"]].itertuples(index=False)]
        return summary.assign(goal=goals)

    @cached_property
    def steps(self) -> dict[Program, list[Array]]:
        """Seconds per step of every program, by process."""
        return step_samples(self.tables.timing)

    @cached_property
    def times(self) -> Times:
        """Its timing, of the process that ran the suite."""
        return Times(self.tables.timing)


@dataclass(frozen=True)
class Pair:
    """Two runs and their common rows: `rows` pairs summary rows by cell and goal, columns of A and B suffixed."""

    a: Side
    b: Side

    @cached_property
    def rows(self) -> pd.DataFrame:
        """Summary rows of both, one per (cell, target); columns end in _a and _b, but for those of the cell."""
        return self.a.summary.merge(self.b.summary, on=[*CELL, "goal"], suffixes=("_a", "_b"), sort=False)

    @cached_property
    def hits(self) -> list[tuple[tuple[Array, Array], float, Array]]:
        """For each of `rows`: steps to the target of A and B over common starts (∞: a miss), `ratio_resamples`."""
        return [self._hits(row) for _, row in self.rows.iterrows()]

    @cached_property
    def programs(self) -> list[Program]:
        """Programs that both timed."""
        return [program for program in self.a.steps if program in self.b.steps]

    @cached_property
    def only(self) -> tuple[list[str], list[str]]:
        """Cells that only A finished, and that only B did, as texts."""
        found = [{(str(p), str(o), int(str(s)), str(c)) for p, o, s, c in side.summary[CELL].itertuples(index=False)}
                 for side in (self.a, self.b)]
        return _names(found[0] - found[1]), _names(found[1] - found[0])

    @cached_property
    def same_run(self) -> bool:
        """Whether both are one and the same run."""
        identities = [(side.run.get("started"), side.run.get("config_hash")) for side in (self.a, self.b)]
        return identities[0] == identities[1] and self.a.tables.timing.equals(self.b.tables.timing)

    @cached_property
    def headlines(self) -> dict[str, str]:
        """Problem -> its goal to tell of: the hardest that some cell reaches, on both sides, in half of its starts."""
        found = {}
        for problem, rows in self.rows.groupby("problem", sort=False):
            ordered = rows.sort_values("target_a", ascending=False)
            both = ordered[(ordered["success_rate_a"] >= 0.5) & (ordered["success_rate_b"] >= 0.5)]
            found[str(problem)] = str((both if len(both) else ordered.head(1))["goal"].iloc[-1])
        return found


    def _hits(self, row: pd.Series) -> tuple[tuple[Array, Array], float, Array]:
        found = [side.reported.hits(*setting_of(row, end, side.device), float(row[f"target_{end}"]))
                 for side, end in ((self.a, "a"), (self.b, "b"))]
        common = common_starts(found, "steps")
        steps = common[:, 0], common[:, 1]
        if not len(common):
            return steps, math.nan, np.full(RESAMPLES, math.nan)
        return steps, *ratio_resamples(*steps, paired=True)


def setting_of(row: pd.Series, end: str, device: str) -> tuple[Key, float, float]:
    """The cell of a row of `Pair.rows` on one side ("a" or "b"), with the rate and horizon that were chosen there."""
    key = str(row["problem"]), str(row["optimizer"]), int(row["batch_size"]), str(row["schedule"]), device
    return key, float(row[f"rate_{end}"]), float(row[f"horizon_{end}"])


def _names(cells: set[Cell]) -> list[str]:
    return [f"{problem}, {optimizer}, batch {size}, {schedule}" for problem, optimizer, size, schedule in sorted(cells)]
