"""Look-up of what the reported starts of one setting did: its lanes, its hits, its curves."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.tables import CELL, Tables

Key = tuple[str, str, int, str, str]  # problem, optimizer, batch size, schedule, device
_KEPT = {"lanes": ["rate", "horizon", "start", "status", "steps", "final_loss", "best_loss", "held_out_loss",
                   "accuracy", "max_steps"],
         "hits": ["rate", "horizon", "start", "target", "hit", "steps_before", "steps", "steps_after", "examples",
                  "steps_spent"],
         "curves": ["rate", "horizon", "start", "step", "loss"]}
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
        self._empty = {name: frame[_KEPT[name]].iloc[:0] for name, frame in frames.items()}
        self._found: dict[tuple[Key, float, float, float], pd.DataFrame] = {}
        self._cells = {name: _by_cell(frame, _KEPT[name]) for name, frame in frames.items()}

    def lanes(self, key: Key, rate: float, horizon: float) -> pd.DataFrame:
        """Lanes of the setting, one row per start, in order of start."""
        return self._setting("lanes", key, rate, horizon).sort_values("start")

    def hits(self, key: Key, rate: float, horizon: float, target: float) -> pd.DataFrame:
        """Hits of the setting on one target, one row per start, in order of start; the steps of a miss are ∞."""
        found = self._found.get((key, rate, horizon, target))
        if found is None:
            found = self._found[key, rate, horizon, target] = self._hits(key, rate, horizon, target)
        return found

    def _hits(self, key: Key, rate: float, horizon: float, target: float) -> pd.DataFrame:
        rows = self._setting("hits", key, rate, horizon)
        rows = rows[np.isclose(rows["target"].to_numpy(float), target, rtol=_CLOSE, atol=0)].sort_values("start")
        hit = rows["hit"].to_numpy(bool)
        steps = np.where(hit, rows["steps"].to_numpy(float), np.inf)
        bracket = {column: np.where(hit, rows[column].to_numpy(float, na_value=np.nan), np.inf)
                   for column in ("steps_before", "steps_after", "examples")}
        # a hit at the start has no mark before it: its bracket is the start itself
        return rows.assign(steps=steps, **{column: np.where(np.isnan(values), steps, values)
                                           for column, values in bracket.items()})

    def curves(self, key: Key, rate: float, horizon: float) -> pd.DataFrame:
        """Curves of the setting: one row per (start, mark)."""
        return self._setting("curves", key, rate, horizon)

    def _setting(self, table: str, key: Key, rate: float, horizon: float) -> pd.DataFrame:
        rows = self._cells[table].get(key, self._empty[table])
        same_rate = np.isclose(rows["rate"].to_numpy(float), rate, rtol=_CLOSE, atol=0)
        return rows[same_rate & np.isclose(rows["horizon"].to_numpy(float), horizon, rtol=_CLOSE, atol=0)]


def key_of(row: pd.Series) -> Key:
    """The cell that a row belongs to, as a key."""
    problem, optimizer, schedule, device = (str(row[name]) for name in ("problem", "optimizer", "schedule", "device"))
    return problem, optimizer, int(row["batch_size"]), schedule, device


def _by_cell(frame: pd.DataFrame, kept: list[str]) -> dict[Key, pd.DataFrame]:
    reported = frame[frame["split"] == "reported"]
    groups = reported.groupby(CELL, sort=False, observed=True)[kept]
    return {(str(p), str(o), int(str(b)), str(s), str(d)): rows for (p, o, b, s, d), rows in groups}
