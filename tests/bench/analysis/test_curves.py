"""Loss curves of starts that end at different marks, against losses written by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd

from bench.analysis.curves import curve_quantiles
from bench.analysis.reported import Reported
from bench.analysis.summary import summarise
from tests.bench import tiny

LANES = [{0: 2.0, 1: 1.0, 7: 0.2},  # converged at step 7, which is no mark
         {0: 2.0, 1: 1.0, 10: 0.5, 100: 0.1},
         {0: 2.0, 1: 1.5, 10: 3.0}]  # diverged after mark 10


def test_a_diverged_start_is_infinite_after_its_last_mark_and_not_where_it_was_not_scored() -> None:
    tables = tiny.tables([tiny.cell(10, "constant", [5.0] * 3, diverged=[2])])
    rows = pd.DataFrame([{"start": start, "lane": start, "step": step, "loss": loss, "examples": 10 * step,
                          "score": math.nan} for start, lane in enumerate(LANES) for step, loss in lane.items()])
    same = ["problem", "optimizer", "batch_size", "schedule", "horizon", "rate", "device", "split"]
    tables = replace(tables, curves=rows.assign(**tables.lanes[same].iloc[0]))
    found = curve_quantiles(Reported(tables), summarise(tables).iloc[0])
    assert found["step"].tolist() == [0, 1, 7, 10, 100]
    assert found["low"].tolist() == [2.0, 1.0, 0.2, 0.2, 0.1]  # quantiles of three: the least, the middle, the greatest
    assert found["median"].tolist() == [2.0, 1.0, 1.0, 0.5, 0.2]
    assert found["high"].tolist() == [2.0, 1.5, 1.5, 3.0, math.inf]
