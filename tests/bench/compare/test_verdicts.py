"""Process noise, the rule of the verdict, and loss parity, on tables whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from bench.analysis.intervals import Estimate
from bench.analysis.repeats import UNMEASURED, process_noise, step_samples
from bench.analysis.verdicts import FASTER, NOISY, SAME, SLOWER, verdict
from tests.bench import tiny

PROGRAM = ("p", "sgd", 10, "solo")


def test_noise_is_the_spread_of_process_medians_and_the_floor_their_largest_usual_distance():
    run = {PROGRAM: [np.full(5, 1.0), np.full(5, 1.04), np.full(5, 0.98)]}
    noise = process_noise([run])
    logs = np.log([1.0, 1.04, 0.98])
    assert noise.sigma == pytest.approx(np.std(logs, ddof=1))
    assert (noise.freedom, noise.programs) == (2, 1)
    assert process_noise([run | {("p", "sgd", 1, "solo"): run[PROGRAM]}]).freedom == 2  # the same three processes
    far = np.quantile(np.abs(logs[1:]), 0.95)
    assert noise.floor == pytest.approx(math.expm1(far))


def test_without_repeats_in_fresh_processes_only_large_changes_are_told():
    noise = process_noise([{PROGRAM: [np.ones(5)]}])
    assert not noise.measured
    assert noise.floor == UNMEASURED
    assert not noise.draws(1, 0).any()


def test_quiet_processes_still_leave_a_floor_of_two_percent():
    assert process_noise([{PROGRAM: [np.ones(5), np.full(5, 1.001)]}]).floor == 0.02


def test_noise_recovers_the_spread_that_was_put_in():
    random = np.random.default_rng(0)
    runs = [{("p", "sgd", size, "solo"): [np.full(3, math.exp(each)) for each in random.normal(0, 0.05, 3)]
             for size in range(1, 400)}]
    assert process_noise(runs).sigma == pytest.approx(0.05, rel=0.06)  # 798 degrees of freedom: 2.5 % standard error


def test_warm_ups_voided_samples_and_other_quantities_are_no_step_samples():
    timing = tiny.timing(10, [1.0, 2.0, 3.0], [0.5]).assign(process=0)
    timing.loc[timing["seconds"] == 2.0, "voided"] = True
    found = step_samples(pd.concat([timing, timing.assign(process=1)]))
    assert [each.tolist() for each in found[PROGRAM]] == [[1.0, 3.0], [1.0, 3.0]]


@pytest.mark.parametrize(("ratio", "p", "floor", "samples", "word"), [
    ((1.3, 1.2, 1.4), 0.001, 0.02, 10, FASTER),
    ((0.8, 0.7, 0.9), 0.001, 0.02, 10, SLOWER),
    ((1.3, 1.2, 1.4), 0.2, 0.02, 10, NOISY),  # Holm over many cells
    ((1.03, 1.02, 1.04), 0.001, 0.05, 10, SAME),  # below the noise floor
    ((1.3, 1.2, 1.4), 0.001, 0.35, 10, NOISY),
    ((1.0, 0.95, 1.05), 0.9, 0.02, 10, SAME),
    ((1.0, 0.85, 1.05), 0.9, 0.02, 10, NOISY),
    ((1.3, 1.2, 1.4), 0.001, 0.02, 5, NOISY),
    ((1.0, 1.0, 1.0), 1.0, 0.02, 1, SAME),  # one result seen twice
    ((math.inf, math.inf, math.inf), 2e-4, 0.02, 10, FASTER),  # only B reaches the target
    ((math.nan, math.nan, math.nan), math.nan, 0.02, 0, NOISY),
])
def test_the_rule(ratio, p, floor, samples, word):
    assert verdict(Estimate(*ratio), p, floor, samples).word == word


def test_too_few_samples_are_named():
    assert verdict(Estimate(1.3, 1.2, 1.4), 0.001, 0.02, 1).note == "too few samples (got 1, 6 are needed)"
