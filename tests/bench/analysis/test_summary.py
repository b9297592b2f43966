"""The summary of tables worked out by hand."""

from __future__ import annotations

import math

import pytest

from bench.analysis.summary import COLUMNS, FIXED, summarise
from bench.analysis.timing import timing_table
from tests.bench.tiny import cell, tables, timing

INF = math.inf


def test_every_column_of_one_row() -> None:
    made = tables([cell(10, "constant", [10, 20, 30, INF], final=[1.02, 1.04, 1.06, 1.5])],
                  [timing(10, solo=[0.2] * 3, batched=[0.05] * 3)])
    row = summarise(made).iloc[0]
    assert (row["lanes"], row["hits"], row["success_rate"], row["diverged"]) == (4, 3, 0.75, 0)
    assert (row["steps_median"], row["examples_median"], row["epochs_median"]) == (25.0, 250.0, 2.5)
    assert row["ert_steps"] == (10 + 20 + 30 + 100) / 3
    assert row["seconds_solo_median"] == pytest.approx(25 * 0.2)
    assert row["seconds_batched_median"] == pytest.approx(25 * 0.05)
    assert (row["compile_s"], row["step_s_solo"], row["step_s_batched"]) == (0.7, 0.2, 0.05)
    assert row["final_loss_median"] == pytest.approx(1.05)
    assert row["final_gap_median"] == pytest.approx(0.05)
    assert (row["budget_steps"], row["budget_epochs"]) == (100, 10)
    assert row["steps_low"] <= 25 * 0.9 and row["steps_high"] == INF  # a quarter missed: resamples of four often miss


def test_a_setting_with_three_of_four_starts_diverged_must_not_win() -> None:
    made = tables([cell(10, "constant", [1, INF, INF, INF], diverged=[1, 2, 3], final=[1.0001, 0, 0, 0])])
    row = summarise(made).iloc[0]
    assert (row["steps_median"], row["final_loss_median"], row["diverged"]) == (INF, INF, 3)
    assert row["ert_steps"] == 1 + 3 * 100


def test_a_lane_that_diverged_after_its_hit_is_counted_as_both() -> None:
    row = summarise(tables([cell(10, "constant", [10, 20, 30], diverged=[2])])).iloc[0]
    assert (row["hits"], row["diverged"], row["diverged_hits"]) == (3, 1, 1)


def test_without_timing_seconds_are_nan_and_steps_stand() -> None:
    row = summarise(tables([cell(10, "constant", [10, 20, 30])])).iloc[0]
    assert row["steps_median"] == 20
    assert all(math.isnan(row[name]) for name in FIXED if "seconds" in name or "step_s" in name)


def test_no_rows_still_has_the_columns() -> None:
    assert list(summarise(tables([])).columns) == COLUMNS
    assert len(timing_table(tables([]))) == 0


def test_tuning_lanes_are_no_part_of_it() -> None:
    made = tables([cell(10, "constant", [10, 20, 30])])
    made.lanes.loc[0, "split"] = made.hits.loc[0, "split"] = "tuning"
    row = summarise(made).iloc[0]
    assert (row["lanes"], row["hits"], row["steps_median"]) == (2, 2, 25.0)


def test_timing_leaves_out_warm_ups_and_voided_samples() -> None:
    times = timing(10, solo=[0.2, 0.3, 50.0], batched=[0.05])
    times.loc[times["seconds"] == 50.0, "voided"] = True
    row = timing_table(tables([], [times])).iloc[0]
    assert row["step_s_solo"] == 0.25
    assert (row["repeats"], row["voided"], row["width"]) == (2, 1, 16)
    assert row["scoring_share"] == 500 * 0.002 / 4.0  # scored lane-marks × seconds each / run seconds


def test_held_out_loss_and_accuracy_are_medians_in_which_a_diverged_start_is_the_worst() -> None:
    found = cell(10, "constant", [5.0, 6.0, 7.0], diverged=[2])
    assert summarise(tables([found]))[["held_out_loss_median", "accuracy_median"]].isna().all(axis=None), "it has none"
    found["lanes"] = found["lanes"].assign(held_out_loss=[0.5, 0.4, math.inf], accuracy=[0.8, 0.9, math.nan])
    row = summarise(tables([found])).iloc[0]
    assert (row["held_out_loss_median"], row["accuracy_median"]) == (0.5, 0.8)
