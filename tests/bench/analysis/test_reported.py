"""Look-up of reported rows: by setting whatever the float type, in order of start, common starts only."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd

from bench.analysis.reported import Reported
from tests.bench.tiny import TARGET, cell, tables

KEY = ("p", "sgd", 10, "constant", "cpu")


def test_a_setting_is_found_through_float32_and_its_rows_are_in_order_of_start() -> None:
    made = tables([cell(10, "constant", [30.0, math.inf, 10.0])])
    made = replace(made, hits=made.hits.iloc[::-1])
    hits = Reported(made).hits(KEY, float(np.float32(0.5)), 1.0, float(np.float32(TARGET)))
    assert hits["start"].tolist() == [0, 1, 2]
    assert hits["steps"].tolist() == [30.0, math.inf, 10.0]
    assert hits["steps_after"].tolist() == [33.0, math.inf, 11.0]


def test_targets_that_differ_by_little_are_not_taken_together() -> None:
    """A loss that is large against its gap: the targets of 10 % and 1 % are a millionth of it apart."""
    made = tables([cell(10, "constant", [30.0, 20.0])])
    near = made.hits.assign(target=TARGET * (1 + 5e-7), steps=99.0)
    reported = Reported(replace(made, hits=pd.concat([near, made.hits], ignore_index=True)))
    assert reported.hits(KEY, 0.5, 1.0, TARGET)["steps"].tolist() == [30.0, 20.0]
    assert reported.hits(KEY, 0.5, 1.0, TARGET * (1 + 4e-7))["steps"].tolist() == [99.0, 99.0]


def test_what_is_not_there_has_no_rows() -> None:
    reported = Reported(tables([cell(10, "constant", [30.0])]))
    assert len(reported.hits(("q", *KEY[1:]), 0.5, 1.0, TARGET)) == 0
    assert len(reported.hits(KEY, 0.5001, 1.0, TARGET)) == 0
    assert len(reported.lanes(KEY, 0.5, 0.25)) == 0


def test_a_lane_says_whether_it_diverged() -> None:
    lanes = Reported(tables([cell(10, "constant", [5.0, math.inf], diverged=[1])])).lanes(KEY, 0.5, 1.0)
    assert lanes["diverged"].tolist() == [False, True]


def test_steps_of_several_cells_are_of_the_starts_that_all_have() -> None:
    made = tables([cell(10, "constant", [1.0, 2.0, 3.0]), cell(20, "constant", [4.0, 5.0, math.inf])])
    rows = pd.DataFrame({"problem": "p", "optimizer": "sgd", "batch_size": [20, 10], "schedule": "constant",
                         "device": "cpu", "rate": 0.5, "horizon": 1.0, "target": TARGET})
    assert Reported(made).steps(rows).tolist() == [[4.0, 1.0], [5.0, 2.0], [math.inf, 3.0]]
    part = replace(made, hits=made.hits.drop(index=[1]))  # start 1 of batch size 10
    assert Reported(part).steps(rows).tolist() == [[4.0, 1.0], [math.inf, 3.0]]
    assert Reported(made).steps(rows.iloc[:0]).shape == (0, 0)
