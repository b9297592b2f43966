"""Paired tests, Holm, starts needed, performance profiles and waiting curves on data with a known answer."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm, wilcoxon

from bench.analysis.answer import answers
from bench.analysis.comparisons import comparison_table, holm, log_differences, sign_test, starts_needed, wilcoxon_test
from bench.analysis.profile import profile, profile_table, profile_tasks
from bench.analysis.reported import Reported
from bench.analysis.summary import summarise
from bench.analysis.timing import Times
from bench.analysis.waiting import waiting_curve
from bench.tables import load
from tests.bench.synthetic import Plan, write_run


def test_a_miss_is_a_loss_and_two_misses_are_a_tie() -> None:
    slower, faster = np.array([np.inf, 2.0, np.inf, 4.0]), np.array([1.0, np.inf, np.inf, 2.0])
    assert log_differences(slower, faster).tolist() == [math.inf, -math.inf, 0.0, math.log(2)]


def test_sign_test_is_the_binomial_one() -> None:
    # 9 of 10 one way: 2·(1 + 10)/2¹⁰
    assert sign_test(np.array([1.0] * 9 + [-1.0])) == pytest.approx(22 / 1024)
    assert sign_test(np.zeros(8)) == 1.0


def test_no_p_value_below_six_pairs() -> None:
    assert math.isnan(sign_test(np.ones(5))) and math.isnan(wilcoxon_test(np.ones(5)))
    assert math.isnan(starts_needed(np.ones(5)))


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


def test_starts_needed_give_the_power_promised() -> None:
    sigma, random = 0.3, np.random.default_rng(1)
    count = starts_needed(random.normal(scale=sigma, size=4001))
    exact = ((norm.ppf(0.975) + norm.ppf(0.8)) * sigma / math.log(1.1)) ** 2 * math.pi / 3
    assert count == pytest.approx(exact, rel=0.1)
    seen = [wilcoxon_test(random.normal(math.log(1.1), sigma, int(exact))) <= 0.05 for _ in range(400)]
    assert np.mean(seen) == pytest.approx(0.8, abs=3 * math.sqrt(0.16 / 400))


def test_starts_needed_of_a_pair_that_often_misses_are_endless() -> None:
    assert math.isinf(starts_needed(np.array([np.inf] * 4 + [0.1] * 8)))


def test_profile_is_one_at_the_best_and_counts_what_all_miss_for_none() -> None:
    costs = np.array([[1.0, 3.0], [4.0, 2.0], [np.inf, np.inf], [5.0, np.inf]])
    assert profile(costs, np.array([1.0, 2.0, 3.0])) == pytest.approx(np.array([[0.5, 0.75, 0.75], [0.25, 0.25, 0.5]]))


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
    assert (compared["p_holm"].dropna() >= compared["p_wilcoxon"].dropna()).all()
    shares = profile_table(profile_tasks(reported, summary), "schedule")
    assert set(shares["solver"]) == {"constant", "linear"}
    assert ((shares["low"] <= shares["share"]) & (shares["share"] <= shares["high"])).mean() > 0.8
    at_best = shares[shares["factor"] == 1].set_index("solver")["share"]
    assert at_best.sum() >= 1 - (summary.groupby("target")["success_rate"].max() < 0.5).mean() - 1e-9
