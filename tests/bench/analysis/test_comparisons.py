"""Tests, Holm, starts needed, performance profiles and waiting curves on data with a known answer."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import wilcoxon

from bench.analysis.answer import answers
from bench.analysis.comparisons import comparison_table, holm, log_differences, sign_test, starts_needed, wilcoxon_test
from bench.analysis.intervals import NOTHING, percentile_interval, scaled_ratio
from bench.analysis.intervals import spread as sigma
from bench.analysis.profile import RESAMPLES, Task, profile, profile_table, profile_tasks
from bench.analysis.ranking import Compared
from bench.analysis.reported import Reported
from bench.analysis.summary import summarise
from bench.analysis.timing import Times
from bench.analysis.waiting import waiting_curve
from bench.tables import load
from tests.bench.synthetic import Plan, write_run
from tests.bench.tiny import cell, tables, timing


def test_a_miss_is_a_loss_and_two_misses_are_a_tie() -> None:
    slower, faster = np.array([np.inf, 2.0, np.inf, 4.0]), np.array([1.0, np.inf, np.inf, 2.0])
    assert log_differences(slower, faster).tolist() == [math.inf, -math.inf, 0.0, math.log(2)]


def test_sign_test_is_the_binomial_one() -> None:
    # 9 of 10 one way: 2·(1 + 10)/2¹⁰
    assert sign_test(np.array([1.0] * 9 + [-1.0])) == pytest.approx(22 / 1024)
    assert sign_test(np.zeros(8)) == 1.0


def test_no_p_value_below_six_pairs() -> None:
    assert math.isnan(sign_test(np.ones(5))) and math.isnan(wilcoxon_test(np.ones(5)))
    assert math.isnan(starts_needed(_compared(5, 0.1)))


@pytest.mark.parametrize("pairs", [6, 9])
def test_wilcoxon_of_few_pairs_is_scipys_way_through_all_signs(pairs: int) -> None:
    difference = np.random.default_rng(pairs).integers(-3, 5, pairs).astype(float)  # with ties and zeros
    expected = wilcoxon(difference, zero_method="pratt", correction=True).pvalue
    assert wilcoxon_test(difference) == pytest.approx(float(expected), rel=1e-12)


def test_wilcoxon_has_its_level_and_counts_misses() -> None:
    random = np.random.default_rng(0)
    rejected = np.mean([wilcoxon_test(random.normal(size=32)) <= 0.05 for _ in range(400)])
    assert 0.05 - 3 * math.sqrt(0.05 * 0.95 / 400) <= rejected <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)
    assert wilcoxon_test(np.full(12, np.inf)) < 0.01  # twelve misses against twelve hits
    assert wilcoxon_test(np.zeros(12)) == 1.0


def test_holm_multiplies_the_smallest_by_all_and_never_falls() -> None:
    found = holm(np.array([0.04, 0.001, np.nan, 0.02]))
    assert found[[0, 1, 3]] == pytest.approx([0.04, 0.003, 0.04])
    assert np.isnan(found[2])
    assert holm(np.array([0.9, 0.8])).max() == 1.0


def test_holm_of_some_hypotheses_of_a_family_counts_them_all() -> None:
    assert holm(np.array([0.01, 0.02]), family=10) == pytest.approx([0.1, 0.18])


@pytest.mark.parametrize(("spread", "comparisons"), [(0.1, 1), (0.2, 11)])
def test_starts_needed_give_the_power_promised(spread: float, comparisons: int) -> None:
    """With so many starts the interval of the ratio excludes 1 in 80 of 100 runs where one takes 1.1 times as long."""
    random = np.random.default_rng(2)

    def told(starts: int, ratio: float) -> np.ndarray:
        luck = random.normal(0, 0.25, starts)
        one, other = (np.exp(luck + random.normal(0, spread, starts)) for _ in range(2))
        return scaled_ratio(ratio * one, other, paired=True).resamples

    needed = int(np.median([starts_needed(_compared(32, sigma(np.log(told(32, 1.0)))), comparisons)
                            for _ in range(40)]))
    seen = [not low <= 1 <= high for low, high in (
        percentile_interval(told(needed, 1.1), comparisons) for _ in range(100))]
    assert np.mean(seen) == pytest.approx(0.8, abs=3 * math.sqrt(0.16 / 100))


def test_starts_needed_are_endless_where_step_times_alone_leave_more_than_ten_percent() -> None:
    assert math.isinf(starts_needed(_compared(32, 0.02, step_spread=0.05)))
    assert starts_needed(_compared(32, 0.02, step_spread=0.02)) > starts_needed(_compared(32, 0.02))
    assert math.isnan(starts_needed(_compared(32, math.inf)))  # too many miss for a spread: not known
    assert starts_needed(_compared(32, 0.0)) == 6  # as many as an interval of a median takes
    assert starts_needed(_compared(32, 0.0), comparisons=100) == 12


def _compared(pairs: int, starts_spread: float, step_spread: float = 0.0) -> Compared:
    return Compared(NOTHING, 1.0, pairs, starts_spread, step_spread)


@pytest.mark.parametrize("starts", [6, 8])
def test_few_starts_are_no_surer_than_their_signs_and_their_range(starts: int) -> None:
    """Ten cells, one of them slower at every start: a p of 6e-11 was told of six starts that all went one way."""
    luck = np.exp(np.random.default_rng(starts).normal(0, 0.01, (10, starts)))
    luck[0] *= 0.5
    made = tables([cell(10, f"s{place}", list(20 * steps)) for place, steps in enumerate(luck)],
                  [timing(10, [0.1] * 5, [0.1] * 5)])
    [answer] = answers(made, summarise(made))
    compared = comparison_table(Reported(made), Times(made.timing), [answer])
    assert len(compared) == 9 and (compared["slower"] == starts).all()
    assert (compared["p_ratio"] == 2.0 ** (1 - starts)).all() and (compared["p_sign"] == compared["p_ratio"]).all()
    assert (compared["p_holm"] == min(1, math.comb(10, 2) * 2.0 ** (1 - starts))).all()
    # the range of n starts holds a median with 1 − 2^(1 − n): nine at once take 1 + log₂(9/0.05) = 8.5
    assert (compared["ratio_low"] == 0).all() and np.isinf(compared["ratio_high"]).all()
    assert len(answer.not_told_apart) == 9


def test_as_many_starts_as_intervals_of_all_cells_take_tell_them_apart() -> None:
    luck = np.exp(np.random.default_rng(1).normal(0, 0.01, (10, 9)))
    luck[0] *= 0.5
    made = tables([cell(10, f"s{place}", list(20 * steps)) for place, steps in enumerate(luck)],
                  [timing(10, [0.1] * 5, [0.1] * 5)])
    [answer] = answers(made, summarise(made))
    assert answer.not_told_apart == () and 1.8 < answer.ratio.low < 2 < answer.ratio.high < 2.2


def test_profile_is_one_at_the_best_and_counts_what_all_miss_for_none() -> None:
    costs = np.array([[1.0, 3.0], [4.0, 2.0], [np.inf, np.inf], [5.0, np.inf]])
    assert profile(costs, np.array([1.0, 2.0, 3.0])) == pytest.approx(np.array([[0.5, 0.75, 0.75], [0.25, 0.25, 0.5]]))


def test_profile_of_targets_met_at_the_start_and_of_solvers_that_were_not_run() -> None:
    assert profile(np.array([[0.0, 3.0], [1.0, 4.0]]), np.array([1.0, 4.0])).tolist() == [[1.0, 1.0], [0.0, 0.5]]
    # the second solver was run on one task of two, and was the best there
    assert profile(np.array([[2.0, np.nan], [2.0, 1.0]]), np.array([1.0, 4.0])).tolist() == [[0.5, 1.0], [1.0, 1.0]]


def test_batches_of_all_examples_are_one_solver_whatever_their_number() -> None:
    steps = np.ones((1 + RESAMPLES, 2))
    tasks = [Task(pd.DataFrame({"batch_size": [8, n], "problem_examples": n, "step_s_solo": [1.0, 2.0]}), steps)
             for n in (100, 500)]
    tasks.append(Task(tasks[0].rows.assign(step_s_solo=[1.0, math.nan]), steps))  # one program was not timed
    shares = profile_table(tasks, "batch_size").query("factor == 1").set_index("solver")
    assert shares["share"].to_dict() == {"8": 1.0, "all": 0.0} and set(shares["tasks"]) == {2}


def test_diverged_lanes_stay_at_risk_to_the_horizon() -> None:
    hits = np.array([10.0, 20.0, np.inf, np.inf])
    curve = waiting_curve(hits, np.array([30, 30, 5, 5]), np.array([False, False, True, True]))
    assert curve["waiting"].iloc[-1] == 0.5  # Kaplan–Meier would end at 0
    assert curve.set_index("step")["diverged"].to_dict() == {0.0: 0.0, 5.0: 0.5, 10.0: 0.5, 20.0: 0.5, 30.0: 0.5}
    assert (curve["low"] <= curve["waiting"] + 1e-9).all() and (curve["waiting"] <= curve["high"] + 1e-9).all()


def test_a_lane_that_diverges_after_its_hit_has_hit() -> None:
    curve = waiting_curve(np.array([4.0]), np.array([9]), np.array([True]))
    assert curve["waiting"].iloc[-1] == 0 and curve["diverged"].max() == 0


def test_tables_of_a_run(tmp_path: Path) -> None:
    tables = load(write_run(tmp_path, Plan(batch_sizes=(8, 128), schedules=("constant", "linear"), starts=16)))
    summary, reported = summarise(tables), Reported(tables)
    compared = comparison_table(reported, Times(tables.timing), answers(tables, summary))
    assert (compared["slower"] + compared["faster"] + compared["ties"] == compared["pairs"]).all()
    assert (compared["p_holm"].dropna() >= compared["p_ratio"].dropna()).all()
    shares = profile_table(profile_tasks(reported, summary), "schedule")
    assert set(shares["solver"]) == {"constant", "linear"}
    assert ((shares["share_low"] <= shares["share"]) & (shares["share"] <= shares["share_high"])).mean() > 0.8
    at_best = shares[shares["factor"] == 1].set_index("solver")["share"]
    assert at_best.sum() >= 1 - (summary.groupby("target")["success_rate"].max() < 0.5).mean() - 1e-9
