"""Look-up of what the reported starts of one setting did: its lanes, its hits, its curves."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import reduce
from typing import cast

import numpy as np
import pandas as pd

from bench.tables import CELL, Tables

Array = np.ndarray
Key = tuple[str, str, int, str, str]  # problem, optimizer, batch size, schedule, device
_KEPT = {"lanes": ["rate", "horizon", "start", "status", "steps", "final_loss", "best_loss", "held_out_loss",
                   "accuracy", "max_steps"],
         "hits": ["rate", "horizon", "start", "target", "hit", "steps_before", "steps", "steps_after", "examples",
                  "steps_spent"],
         "curves": ["rate", "horizon", "start", "step", "loss"]}
_NOWHERE = np.empty(0, int)
_CLOSE = 1e-6  # rates and targets may have passed through float32 on their way into one table and not into another


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
        self._tables = {name: _Table(frame, _KEPT[name]) for name, frame in frames.items()}
        lanes, hits = self._tables["lanes"], self._tables["hits"]
        lanes.frame = lanes.frame.drop(columns="status").assign(diverged=lanes.frame["status"] == "diverged")
        hits.frame = _with_misses(hits.frame)
        self._found: dict[tuple[Key, float, float, float], pd.DataFrame] = {}

    def lanes(self, key: Key, rate: float, horizon: float) -> pd.DataFrame:
        """Lanes of the setting, one row per start, in order of start; `diverged` says which did."""
        return self._tables["lanes"].rows(key, {"rate": rate, "horizon": horizon})

    def hits(self, key: Key, rate: float, horizon: float, target: float) -> pd.DataFrame:
        """Hits of the setting on one target, one row per start, in order of start; the steps of a miss are ∞."""
        found = self._found.get((key, rate, horizon, target))
        if found is None:
            found = self._tables["hits"].rows(key, {"rate": rate, "horizon": horizon, "target": target})
            self._found[key, rate, horizon, target] = found
        return found

    def curves(self, key: Key, rate: float, horizon: float) -> pd.DataFrame:
        """Curves of the setting: one row per (start, mark)."""
        return self._tables["curves"].rows(key, {"rate": rate, "horizon": horizon})

    def steps(self, rows: pd.DataFrame) -> Array:
        """Steps to the target of summary rows, (starts, rows), ∞ for a miss; only starts that all of them have."""
        named = rows[[*CELL, "rate", "horizon", "target"]].to_dict("records")
        found = [self.hits(key_of(row), row["rate"], row["horizon"], row["target"]) for row in named]
        starts = [hits["start"].to_numpy() for hits in found]
        common = reduce(np.intersect1d, starts) if found else np.empty(0)
        steps = [hits["steps"].to_numpy(float)[np.isin(start, common)]
                 for hits, start in zip(found, starts, strict=True)]
        return np.stack(steps, axis=1) if steps else np.empty((0, 0))


class _Table:
    """The reported rows of one table, and where those of each cell are."""

    def __init__(self, frame: pd.DataFrame, kept: list[str]) -> None:
        reported = frame.loc[(frame["split"] == "reported").to_numpy(bool), [*CELL, *kept]]
        self.frame = reported[kept]
        self._places = cast("dict[Key, Array]", reported.groupby(CELL, sort=False, observed=True).indices)
        self._starts = reported["start"].to_numpy()
        self._columns: dict[str, Array] = {name: reported[name].to_numpy(float)
                                           for name in ("rate", "horizon", "target") if name in kept}

    def rows(self, key: Key, wanted: Mapping[str, float]) -> pd.DataFrame:
        """Rows of a cell at which rate, horizon and target are as wanted, in order of start."""
        places = self._places.get(key, _NOWHERE)
        for name, value in wanted.items():
            places = places[np.abs(self._columns[name][places] - value) <= _CLOSE * abs(value)]
        return self.frame.take(places[np.argsort(self._starts[places], kind="stable")])


def _with_misses(hits: pd.DataFrame) -> pd.DataFrame:
    """The hits with ∞ for the steps of a miss and for all of its bracket."""
    hit = hits["hit"].to_numpy(bool)
    steps = np.where(hit, hits["steps"].to_numpy(float), np.inf)
    bracket = {column: np.where(hit, hits[column].to_numpy(float, na_value=np.nan), np.inf)
               for column in ("steps_before", "steps_after", "examples")}
    # a hit at the start has no mark before it: its bracket is the start itself
    return hits.assign(steps=steps, **{column: np.where(np.isnan(values), steps, values)
                                       for column, values in bracket.items()})


def key_of(row: pd.Series | Mapping[Hashable, object]) -> Key:
    """The cell that a row belongs to, as a key."""
    problem, optimizer, schedule, device = (str(row[name]) for name in ("problem", "optimizer", "schedule", "device"))
    return problem, optimizer, int(str(row["batch_size"])), schedule, device
