"""Look-up of what the reported starts of one setting did: its lanes, its hits, its curves."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import cast

import numpy as np
import pandas as pd

from bench.tables import CELL, COLUMNS, Tables

Array = np.ndarray
Key = tuple[str, str, int, str, str]  # problem, optimizer, batch size, schedule, device
_KEPT = {"lanes": ["rate", "horizon", "start", "status", "steps", "final_loss", "best_loss", "held_out_loss",
                   "accuracy", "max_steps"],
         "hits": ["rate", "horizon", "start", "target", "hit", "steps_before", "steps", "steps_after", "examples",
                  "steps_spent"],
         "curves": ["rate", "horizon", "start", "step", "loss", "score"]}
_NOWHERE = np.empty(0, int)
_CLOSE = 1e-6  # rates and targets may have passed through float32 on their way into one table and not into another


@dataclass(frozen=True)
class Rows:
    """Rows of one setting, in order of start: a column by its name."""

    columns: Mapping[str, Array]
    places: Array

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, name: str) -> Array:
        return self.columns[name][self.places]


class Reported:
    """The reported lanes of a run, found by cell and setting; tuning lanes are left out.

    Example:
        >>> from bench.tables import empty
        >>> tables = Tables(**{name: empty(name) for name in ("lanes", "hits", "curves", "chosen", "timing")}, run={})
        >>> len(Reported(tables).lanes(("p", "sgd", 1, "constant", "cpu"), rate=0.1, horizon=1.0))
        0
    """

    def __init__(self, tables: Tables) -> None:
        frames = {"lanes": tables.lanes, "hits": tables.hits, "curves": tables.curves}
        self._tables = {name: _Table(frame, name) for name, frame in frames.items()}
        lanes, hits = self._tables["lanes"].columns, self._tables["hits"].columns
        lanes["diverged"] = lanes.pop("status") == "diverged"
        hits |= _misses(hits)

    def lanes(self, key: Key, rate: float, horizon: float) -> Rows:
        """Lanes of the setting, one row per start."""
        return self._tables["lanes"].rows(key, {"rate": rate, "horizon": horizon})

    def hits(self, key: Key, rate: float, horizon: float, target: float) -> Rows:
        """Hits of the setting on one target, one row per start; steps and bracket of a miss are ∞."""
        return self._tables["hits"].rows(key, {"rate": rate, "horizon": horizon, "target": target})

    def curves(self, key: Key, rate: float, horizon: float) -> Rows:
        """Curves of the setting: one row per (start, mark)."""
        return self._tables["curves"].rows(key, {"rate": rate, "horizon": horizon})

    def steps(self, rows: pd.DataFrame) -> Array:
        """Steps to the target of summary rows, (starts, rows), ∞ for a miss; only starts that all of them have."""
        named = rows[[*CELL, "rate", "horizon", "target"]].to_dict("records")
        found = [self.hits(key_of(row), row["rate"], row["horizon"], row["target"]) for row in named]
        return common_starts(found, "steps")


def common_starts(found: Sequence[Rows], name: str) -> Array:
    """A column of several settings side by side, (starts, settings): only starts that all of them have."""
    if not found:
        return np.empty((0, 0))
    common = reduce(np.intersect1d, [rows["start"] for rows in found])
    return np.stack([rows[name][np.isin(rows["start"], common)] for rows in found], axis=1)


class _Table:
    """The reported rows of one table, column by column, and where those of each cell are."""

    def __init__(self, frame: pd.DataFrame, table: str) -> None:
        kept = _KEPT[table]
        mask = (frame["split"] == "reported").to_numpy(bool)
        reported = frame if mask.all() else frame.loc[mask, [*CELL, *kept]]  # of curves, the largest, all are
        typed = reported[kept].astype({name: COLUMNS[table][name] for name in kept})
        self.columns: dict[str, Array] = {name: typed[name].to_numpy() for name in kept}
        self._places = cast("dict[Key, Array]", reported.groupby(CELL, sort=False, observed=True).indices)

    def rows(self, key: Key, wanted: Mapping[str, float]) -> Rows:
        """Rows of a cell at which rate, horizon and target are as wanted, or the nearest where several are close."""
        places = self._places.get(key, _NOWHERE)
        for name, value in wanted.items():
            off = np.abs(self.columns[name][places] - value)
            places = places[(off <= _CLOSE * abs(value)) & (off == off.min(initial=math.inf))]
        return Rows(self.columns, places[np.argsort(self.columns["start"][places], kind="stable")])


def _misses(hits: Mapping[str, Array]) -> dict[str, Array]:
    """Steps and bracket of all hits, ∞ for a miss."""
    steps = np.where(hits["hit"], hits["steps"], np.inf)
    bracket = {name: np.where(hits["hit"], hits[name], np.inf) for name in ("steps_before", "steps_after", "examples")}
    # a hit at the start has no mark before it: its bracket is the start itself
    return {"steps": steps} | {name: np.where(np.isnan(values), steps, values) for name, values in bracket.items()}


def key_of(row: pd.Series | Mapping[Hashable, object]) -> Key:
    """The cell that a row belongs to, as a key."""
    problem, optimizer, schedule, device = (str(row[name]) for name in ("problem", "optimizer", "schedule", "device"))
    return problem, optimizer, int(str(row["batch_size"])), schedule, device
