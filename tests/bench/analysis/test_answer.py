"""Who wins, by how much, and what is said about it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bench.analysis.answer import Answer, answers, headline_target, headlines
from bench.analysis.curves import outcome_shares
from bench.analysis.ranking import Ratios, Standing
from bench.analysis.reported import Reported
from bench.analysis.sentence import sentence
from bench.analysis.summary import summarise
from bench.analysis.timing import Times
from bench.tables import Tables
from tests.bench.tiny import cell, tables, timing

INF = math.inf
STEPS = list(np.random.default_rng(0).lognormal(3, 0.4, 32))


def _answer(made: Tables) -> Answer:
    return headlines(answers(made, summarise(made)))[0]


def _winner(made: Tables) -> Standing:
    winner = _answer(made).winner
    assert winner is not None
    return winner


def test_the_winner_is_the_soonest_in_seconds_not_in_steps() -> None:
    slow_steps = [3 * steps for steps in STEPS]
    made = tables([cell(10, "constant", slow_steps), cell(100, "linear", STEPS)],
                  [timing(10, [0.001] * 5, [0.001] * 5), timing(100, [0.006] * 5, [0.006] * 5)])
    answer = _answer(made)
    assert answer.runner_up is not None
    assert (_winner(made).batch_size, answer.runner_up.batch_size) == (10, 100)
    assert answer.ratio == pytest.approx((2.0, 2.0, 2.0))  # paired: 6/3 of every start
    assert answer.not_told_apart == ()


def test_the_marks_that_an_order_rests_on_are_those_around_the_hits() -> None:
    made = tables([cell(10, "linear", [10, 20, 30] * 2), cell(10, "constant", [20, 40, 60] * 2)],
                  [timing(10, [0.2], [0.1])])
    said = sentence(replace(_answer(made), mark_ratio=2.5))  # the ratio is 2
    assert "closer than the marks around the winner's hits (in the median a factor 2.5 apart), so their order" in said


def test_the_sentence_names_interval_budget_horizon_and_starts() -> None:
    made = tables([cell(10, "linear", [10, 20, 30]), cell(10, "constant", [20, 40, 60])], [timing(10, [0.2], [0.1])])
    assert sentence(_answer(made)) == (
        "p on cpu: batch 10 with linear decay (rate 0.5) gets the loss within 10 % of the initial gap in 4 s [2, 6] "
        "(3 of 3 starts); next best, batch 10 with a constant rate, takes 2.00 times as long [0.00, ∞]; budget 10 "
        "epochs (100 steps), decay over all of it. Only 3 starts were reported: a claim takes 30, and intervals from "
        "fewer than 6 are too narrow. Not told apart from the winner: batch 10 with a constant rate.")


def test_cells_whose_ratio_includes_one_are_not_told_apart() -> None:
    shuffled = list(np.random.default_rng(5).permutation(STEPS))
    slow = [9 * steps for steps in STEPS]
    made = tables([cell(10, "constant", STEPS), cell(10, "linear", shuffled), cell(10, "cosine", slow)],
                  [timing(10, [0.1] * 5, [0.1] * 5)])
    assert [tied.schedule for tied in _answer(made).not_told_apart] == ["linear"]
    assert "Not told apart from the winner: batch 10 with linear decay." in sentence(_answer(made))


def test_a_cell_with_most_starts_diverged_loses_to_a_slow_one() -> None:
    made = tables([cell(10, "constant", [1, INF, INF, INF], diverged=[1, 2, 3]), cell(10, "linear", [50, 60, 70, 80])],
                  [timing(10, [0.1], [0.1])])
    assert _winner(made).schedule == "linear"


def test_exactly_half_is_enough_to_reach_a_target() -> None:
    made = tables([cell(10, "constant", [10, 20, INF, INF])], [timing(10, [0.1], [0.1])])
    assert _winner(made).time.value == pytest.approx(2.0)


def test_nothing_reached_is_said_plainly() -> None:
    made = tables([cell(10, "constant", [10, INF, INF, INF])], [timing(10, [0.1], [0.1])])
    text = sentence(_answer(made))
    assert _answer(made).winner is None
    assert "no batch size and schedule got the loss within 10 % of the initial gap in half of the starts" in text
    assert "closest was batch 10 with a constant rate (1 of 4 starts)" in text


def test_without_step_times_examples_decide_and_the_sentence_says_so() -> None:
    made = tables([cell(10, "constant", [30, 30, 30]), cell(100, "constant", [20, 20, 20])])
    answer = _answer(made)
    assert (answer.measure, _winner(made).batch_size, _winner(made).time.value) == ("examples", 10, 300)
    assert "after 300 examples (no step times)" in sentence(answer)


def test_another_batched_winner_is_named() -> None:
    made = tables([cell(10, "constant", [10, 10, 10]), cell(100, "constant", [10, 10, 10])],
                  [timing(10, [0.1], [0.2]), timing(100, [0.2], [0.1])])
    answer = _answer(made)
    assert answer.batched_winner is not None
    assert (_winner(made).batch_size, answer.batched_winner.batch_size) == (10, 100)
    said = "As one lane of a sweep (batched) the soonest is the full batch (100) with a constant rate: 1 s [0.9, 1.1]"
    assert said in sentence(answer)


def test_headline_is_the_smallest_target_reached_by_half() -> None:
    rows = pd.DataFrame({"target": [0.3, 0.2, 0.1], "success_rate": [1.0, 0.5, 0.4]})
    assert headline_target(rows) == 0.2
    assert headline_target(rows.assign(success_rate=0.1)) == 0.3


def test_a_problem_without_results_is_not_forgotten() -> None:
    assert sentence(_answer(tables([]))) == "p on cpu: no cell has finished yet (1 of 1)."


def test_what_the_choice_of_the_winner_makes_its_time_too_short_by_is_told() -> None:
    """Twelve equal cells: of many runs, the mean of what is told is what the winner's median is too low by."""
    random, told, off = np.random.default_rng(0), [], []
    for _ in range(25):
        made = _twelve_alike(random)
        rows = made.chosen.assign(seconds_solo_median=made.hits.groupby("schedule")["steps"].median().to_numpy())
        told.append(Ratios(Reported(made), Times(made.timing)).optimism(rows, "seconds_solo"))
        off.append(1 - rows["seconds_solo_median"].min() / math.exp(3))
    assert np.mean(told) == pytest.approx(np.mean(off), rel=0.35) and np.mean(off) > 0.03
    answer = _answer(made)
    assert answer.optimism == told[-1]
    assert ("Being the soonest of 12 cells on these starts makes its time look about "
            f"{100 * told[-1]:.0f} % shorter than it is.") in sentence(answer)


def _twelve_alike(random: np.random.Generator) -> Tables:
    return tables([cell(10, f"s{place:02}", list(np.exp(random.normal(3, 0.2, 32)))) for place in range(12)],
                  [timing(10, [1.0] * 5, [1.0] * 5)])


def test_a_winner_far_ahead_is_not_too_good_by_choice() -> None:
    made = tables([cell(10, "constant", STEPS), cell(10, "linear", [3 * steps for steps in STEPS])],
                  [timing(10, [1.0] * 5, [1.0] * 5)])
    assert abs(_answer(made).optimism) < 0.01 and "shorter than it is" not in sentence(_answer(made))


def test_starts_that_meet_the_target_before_any_step_are_said_to() -> None:
    made = tables([cell(10, "constant", [0.0] * 8), cell(100, "constant", [0.0] * 8)],
                  [timing(10, [0.3] * 5, [0.3] * 5), timing(100, [0.2] * 5, [0.2] * 5)])
    text = sentence(_answer(made))
    assert "at its start, before any step (8 of 8 starts)" in text and "takes 1.00 times as long [1.00, 1.00]" in text


def test_cells_that_failed_and_cells_to_come_are_told_apart() -> None:
    made = tables([cell(10, "constant", STEPS)], [timing(10, [0.1] * 5, [0.1] * 5)])

    def said(*statuses: str) -> str:
        cells = [{"problem": "p", "status": status} for status in statuses]
        return sentence(_answer(replace(made, run={**made.run, "cells": cells})))

    assert said("finished").startswith("p on cpu: batch 10")
    assert said("finished", "oom", "failed").startswith("p on cpu (1 of 3 cells, 2 failed): ")
    assert said("finished", "oom", "pending").startswith("p on cpu (so far, 1 of 3 cells, 1 failed): ")
    assert sentence(Answer("p", "cpu", failed=2, cells=2)) == "p on cpu: every cell failed (2 of 2)."


def test_a_run_in_which_everything_diverged_names_no_closest_cell() -> None:
    made = tables([cell(10, name, [INF] * 3, diverged=[0, 1, 2]) for name in ("constant", "linear")],
                  [timing(10, [0.1], [0.1])])
    assert sentence(_answer(made)).startswith(
        "p on cpu: every start of every cell diverged, so none got the loss within 10 % of the initial gap; budget")


def test_starts_that_reached_the_target_before_they_diverged_are_told_of() -> None:
    made = tables([cell(10, "constant", [5, 6, 7, *[INF] * 5], diverged=range(8))], [timing(10, [0.1], [0.1])])
    assert sentence(_answer(made)).startswith(
        "p on cpu: no batch size and schedule got the loss within 10 % of the initial gap in half of the starts; "
        "closest was batch 10 with a constant rate (3 of 8 starts); budget")


def test_shares_of_outcomes_sum_to_one() -> None:
    made = tables([cell(10, "constant", [10, 20, INF, INF], diverged=[1, 2])])
    shares = outcome_shares(summarise(made)).iloc[0]
    assert shares[["hit", "hit_then_diverged", "missed", "diverged"]].tolist() == [0.25, 0.25, 0.25, 0.25]
