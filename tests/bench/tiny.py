"""Tables small enough to work out by hand: one problem of 100 examples, optimum 1, targets within 10 % and 1 %."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from bench.tables import COLUMNS, Tables, empty

TARGET, GAP, BUDGET = 1.1, 0.1, 100
RUN: dict[str, object] = {
    "schema": 1, "suite": "tiny", "device": "cpu", "command": ["python"], "warnings": [], "mark_ratio": {},
    "problems": {"p": {"examples": 100, "optimum": 1.0, "initial_loss": 2.0}}, "environment": {},
    "cells": [{"problem": "p", "optimizer": "sgd", "batch_size": 10, "schedule": "constant", "device": "cpu",
               "status": "finished", "note": ""}]}


def cell(batch_size: int, schedule: str, steps: Sequence[float], *, diverged: Sequence[int] = (),
         final: Sequence[float] | None = None) -> dict[str, pd.DataFrame]:
    """Tables of one cell: steps to the target of each start (∞: missed), its diverged starts, its final losses."""
    hit_steps, starts = np.array(steps, float), np.arange(len(steps))
    hit = np.isfinite(hit_steps)
    name = {"problem": "p", "optimizer": "sgd", "batch_size": batch_size, "schedule": schedule}
    fixed = {**name, "horizon": 1.0, "rate": 0.5, "device": "cpu", "split": "reported", "lane": starts, "start": starts}
    losses = np.array(final if final is not None else [1.05] * len(steps), float)
    losses[list(diverged)] = math.inf
    status = np.where(np.isin(starts, list(diverged)), "diverged", "budget")
    lanes = pd.DataFrame({**fixed, "status": status, "steps": BUDGET, "examples": BUDGET * batch_size,
                          "final_loss": losses, "best_loss": 1.04, "grad_norm": 0.1, "held_out_loss": math.nan,
                          "accuracy": math.nan, "max_steps": BUDGET})
    shown = np.where(hit, hit_steps, math.nan)
    hits = pd.DataFrame({**fixed, "target": TARGET, "gap": GAP, "hit": hit, "steps_before": shown * 0.9, "steps": shown,
                         "steps_after": shown * 1.1, "examples": shown * batch_size,
                         "steps_spent": np.where(hit, hit_steps, BUDGET)})
    chosen = pd.DataFrame([{**name, "device": "cpu", "target": TARGET, "gap": GAP, "rate": 0.5, "horizon": 1.0,
                            "tuning_ert": 10.0, "tuning_hits": 2, "edge_of_grid": False}])
    return {"lanes": lanes, "hits": hits, "chosen": chosen}


def timing(batch_size: int, solo: Sequence[float], batched: Sequence[float]) -> pd.DataFrame:
    """Timing of the two programs of a batch size: seconds of each repeat, after a warm-up of 99 s to be left out."""
    rows = [(program, "step", repeat, repeat < 0, seconds) for program, values in (("solo", solo), ("batched", batched))
            for repeat, seconds in enumerate([99.0, *values], start=-1)]
    rows += [("solo", "compile", 0, False, 0.7), ("batched", "scoring", 0, False, 0.002),
             ("batched", "run", 0, False, 4.0), ("batched", "scored", 0, False, 0.0)]
    return pd.DataFrame([{"problem": "p", "optimizer": "sgd", "batch_size": batch_size, "device": "cpu",
                          "program": program, "width": 1 if program == "solo" else 16, "quantity": quantity,
                          "repeat": repeat, "warmup": warmup, "voided": False, "order": 0,
                          "steps": 500 if quantity == "scored" else 1, "seconds": seconds, "process": 0}
                         for program, quantity, repeat, warmup, seconds in rows])


def tables(cells: Sequence[dict[str, pd.DataFrame]], times: Sequence[pd.DataFrame] = ()) -> Tables:
    """Tables of a run that holds these cells and timings."""
    frames = {name: pd.concat([part[name] for part in cells], ignore_index=True) if cells else empty(name)
              for name in ("lanes", "hits", "chosen")}
    timed = pd.concat(times, ignore_index=True) if times else empty("timing")
    return Tables(**frames, curves=empty("curves"), timing=timed[list(COLUMNS["timing"])], run=RUN)
