"""Tables that the figures draw, each from a few starts whose numbers are worked out by hand."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from bench.analysis.ecdf import TABLE, ecdf_table
from bench.analysis.intervals import wilson
from bench.analysis.profile import profile_tables
from bench.analysis.rates import rate_table
from bench.analysis.reported import Reported
from bench.analysis.shares import Shares
from bench.analysis.summary import summarise
from bench.analysis.waiting import waiting_table
from bench.tables import Tables
from tests.bench.tiny import TARGET, cell, tables, timing

MISS = math.inf


@pytest.fixture(scope="module")
def run() -> tuple[Reported, pd.DataFrame]:
    """Batch 10 of 0.1 s a step, of which a start misses and diverges; batch 20, not timed, twice as many examples."""
    made = tables([cell(10, "constant", [1, 2, 4, MISS], diverged=[3]), cell(20, "constant", [1, 2, 4, 8]),
                   cell(10, "linear", [MISS] * 4)], [timing(10, [0.1] * 3, [0.01] * 3)])
    return Reported(made), summarise(made)


def test_an_ecdf_has_its_times_in_every_unit(run: tuple[Reported, pd.DataFrame]) -> None:
    found = ecdf_table(*run)
    assert list(found) == TABLE
    assert set(zip(found["batch_size"], found["schedule"], strict=True)) == {(10, "constant"), (20, "constant")}
    first, last = (found[found["batch_size"] == 10].iloc[place] for place in (0, -1))
    assert first[["starts", "targets"]].tolist() == [4, 1]
    assert first[["steps", "examples", "seconds_solo", "share"]].tolist() == pytest.approx([1, 10, 0.1, 0.25])
    assert last[["steps", "examples", "seconds_solo", "share"]].tolist() == pytest.approx([4, 40, 0.4, 0.75])
    assert last["share_low"] < 0.75 < last["share_high"] == 1
    untimed = found[found["batch_size"] == 20]
    assert untimed["seconds_solo"].isna().all() and untimed["examples"].iloc[-1] == 160


def test_waiting_is_told_of_the_best_schedule_of_each_batch_size(run: tuple[Reported, pd.DataFrame]) -> None:
    found = waiting_table(*run)
    assert set(found["schedule"]) == {"constant"} and set(found["target"]) == {TARGET} and set(found["starts"]) == {4}
    ten = found[found["batch_size"] == 10]
    assert ten["steps"].tolist() == [0, 1, 2, 4, 100] and ten["seconds_solo"].iloc[-1] == pytest.approx(10.0)
    assert ten["waiting"].tolist() == [1, 0.75, 0.5, 0.25, 0.25]
    assert ten["diverged"].tolist() == [0, 0, 0, 0, 0.25]
    assert tuple(ten[["waiting_low", "waiting_high"]].iloc[-1]) == pytest.approx(wilson(1, 4)[1:], rel=1e-6)


def test_profiles_are_of_both_solvers_in_both_units(run: tuple[Reported, pd.DataFrame]) -> None:
    found = profile_tables(*run)
    # in seconds the one case is left out: a cell of it was not timed
    assert set(zip(found["solvers"], found["unit"], strict=True)) == {("schedule", "examples"),
                                                                      ("batch_size", "examples")}
    shares = found[found["solvers"] == "batch_size"].pivot(index="factor", columns="solver", values="share")
    assert shares.loc[1.0].to_dict() == {"10": 1.0, "20": 0.0}  # median examples: 20 (2 of 4 hit by then) and 60 or 40
    assert shares.loc[4.0].to_dict() == {"10": 1.0, "20": 1.0}


@pytest.fixture(scope="module")
def tuned() -> Tables:
    """One rate at two horizons: at the shorter one more starts hit, and two of four diverge after it."""
    made = tables([cell(10, "linear", [10, 10, 10, MISS], diverged=[2, 3]),
                   cell(10, "linear", [10, 20, MISS, MISS], final=[1.01] * 4)])
    for frame in (made.lanes, made.hits):
        frame["split"] = "tuning"
        frame["horizon"] = [0.5] * 4 + [1.0] * 4
    return made


def test_a_rate_has_the_best_horizon_of_each_measure_and_the_divergence_of_all(tuned: Tables) -> None:
    found = rate_table(tuned)
    assert len(found) == 1
    row = found.iloc[0]
    assert row[["starts", "hits", "ert_steps", "ert_horizon"]].tolist() == pytest.approx([4, 3, (30 + 100) / 3, 0.5])
    assert row[["final_loss_median", "final_loss_horizon"]].tolist() == [1.01, 1.0]
    # the horizon with the fewest would say that none did
    assert row[["lanes", "diverged", "diverged_share"]].tolist() == [8, 2, 0.25]
    assert tuple(row[["diverged_low", "diverged_high"]]) == pytest.approx(wilson(1, 4)[1:], rel=1e-6)  # of 4 starts


def test_a_run_without_a_lane_has_empty_tables_with_their_columns() -> None:
    made = tables([])
    summary = summarise(made)
    for name, table in Shares.of(made, Reported(made), summary, summary).frames.items():
        assert len(table) == 0 and len(table.columns) >= 8, name
