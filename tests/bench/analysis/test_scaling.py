"""Batch scaling on hit times of a known hyperbola, and the noise scale of known gradients."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.analysis import scaling
from bench.analysis.noise import noise_scale
from bench.analysis.reported import Reported
from bench.analysis.scaling import (
    critical_ratio,
    fit_hyperbola,
    flat_from,
    noise_share,
    perfect_until,
    scaling_table,
)
from bench.analysis.summary import summarise
from bench.report.plots.critical import critical_plots
from bench.tables import load
from tests.bench import tiny
from tests.bench.report.folders import change, met_at_the_start
from tests.bench.synthetic import Plan, write_run

SIZES = np.array([1.0, 4, 16, 64, 256, 1000])
EXAMPLES, S_MIN, B_CRIT = 1000, 50.0, 30.0
ENOUGH = np.full(len(SIZES), 1e9)


def _steps(starts: int, spread: float, seed: int = 0, b_crit: float = B_CRIT) -> np.ndarray:
    exact = S_MIN * (1 + b_crit * noise_share(SIZES, EXAMPLES))
    return exact * np.exp(spread * np.random.default_rng(seed).normal(size=(starts, len(SIZES))))


def test_an_exact_hyperbola_is_found() -> None:
    fit = fit_hyperbola(SIZES, _steps(8, 0.0), ENOUGH, EXAMPLES)
    # between candidates 12 % apart a parabola is left with an error far below the step
    assert fit.b_crit.value == pytest.approx(B_CRIT, rel=2e-3)
    assert fit.s_min.value == pytest.approx(S_MIN, rel=2e-3)
    assert fit.e_min.value == pytest.approx(S_MIN * B_CRIT, rel=2e-3)
    assert fit.residual == pytest.approx(1, abs=5e-3)
    assert fit.steps(SIZES, EXAMPLES) == pytest.approx(_steps(1, 0.0)[0], rel=5e-3)


def test_both_factors_of_the_hyperbola_multiply_to_one() -> None:
    fit = fit_hyperbola(SIZES, _steps(8, 0.0), ENOUGH, 10**12)
    steps = fit.steps(SIZES, 10**12)
    product = (steps / fit.s_min.value - 1) * (steps * SIZES / fit.e_min.value - 1)
    assert product == pytest.approx(np.ones(len(SIZES)), rel=1e-6)


def test_intervals_cover_the_truth() -> None:
    runs = 60
    covered = [fit.b_crit.low <= B_CRIT <= fit.b_crit.high for fit in
               (fit_hyperbola(SIZES, _steps(32, 0.4, seed), ENOUGH, EXAMPLES) for seed in range(runs))]
    # 95 % less three standard deviations of 60 draws
    assert np.mean(covered) >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / runs)


def test_a_missed_batch_size_is_a_lower_bound() -> None:
    steps, budgets = _steps(8, 0.0), ENOUGH.copy()
    steps[:, 0], budgets[0] = np.inf, 500.0
    agrees = fit_hyperbola(SIZES, steps, budgets, EXAMPLES)
    assert agrees.b_crit.value == pytest.approx(B_CRIT, rel=2e-3)  # 1,548 steps were needed: 500 say nothing new
    budgets[0] = 10_000.0
    pushed = fit_hyperbola(SIZES, steps, budgets, EXAMPLES)
    assert pushed.b_crit.value > 1.5 * B_CRIT


def test_a_fit_does_not_depend_on_the_blocks_it_is_made_in(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = _steps(8, 0.4)
    steps[:5, 1] = steps[1:, 3] = np.inf
    whole = fit_hyperbola(SIZES, steps, np.full(len(SIZES), 200.0), EXAMPLES)
    monkeypatch.setattr(scaling, "_BLOCK", scaling._GRID * len(SIZES))  # a resample at a time
    assert np.array_equal(fit_hyperbola(SIZES, steps, np.full(len(SIZES), 200.0), EXAMPLES).highs, whole.highs)


def test_bounds_lift_the_level_until_no_further_one_is_above_it() -> None:
    """Hits at 0 and 2, bounds at 4, 1.9 and 0: mean 1, with 4 it is 2, above the others. A second line has no bound."""
    gap = np.array([[[0.0, 2.0, 4.0, 1.9, 0.0], [1.0, 3.0, -1.0, -2.0, 0.0]]])
    hit = np.broadcast_to([[[True, True, False, False, False]]], gap.shape)
    assert scaling._lifted(np.array([[1.0, 2.0]]), gap, hit).tolist() == [[2.0, 2.0]]


def test_few_hits_give_one_side_and_one_hit_gives_none() -> None:
    steps, budgets = _steps(16, 0.1), np.full(len(SIZES), 100.0)
    steps[:, :3] = np.inf
    fit = fit_hyperbola(SIZES, steps, budgets, EXAMPLES)
    assert fit.one_sided
    assert math.isinf(fit.b_crit.high) and math.isinf(fit.e_min.high) and fit.s_min.low == 0
    assert 0 < fit.b_crit.low < math.inf
    steps[:, :5] = np.inf
    assert math.isnan(fit_hyperbola(SIZES, steps, budgets, EXAMPLES).b_crit.value)


def test_flat_steps_have_a_critical_batch_size_below_what_was_tried() -> None:
    fit = fit_hyperbola(SIZES, _steps(32, 0.05, b_crit=0.0), ENOUGH, EXAMPLES)
    assert fit.b_crit.low == 0
    assert fit.b_crit.high < 1


def _beyond(sizes: np.ndarray, b_crit: float, s_min: float, starts: int = 16, seed: int = 0) -> scaling.Fit:
    """A fit to starts that differ by their luck, the same at all sizes but for 2 %, of endless examples."""
    luck, rest = (np.random.default_rng([seed, part]) for part in (0, 1))
    noise = 0.2 * luck.normal(size=(starts, 1)) + 0.02 * rest.normal(size=(starts, len(sizes)))
    steps = s_min * (1 + b_crit * noise_share(sizes, 10**9)) * np.exp(noise)
    return fit_hyperbola(sizes, steps, np.full(len(sizes), 1e12), 10**9)


@pytest.mark.parametrize("sizes", [(1, 4, 16, 64, 256), (1, 8, 32, 128, 1797), (8, 64, 512, 1797)])
def test_beyond_the_candidates_an_interval_has_no_end_and_what_hangs_on_it_has_none(sizes: tuple[int, ...]) -> None:
    """The guard compared a candidate that rounding had moved with itself: [7680, 7680] for a truth of a million."""
    tried = np.array(sizes, float)
    perfect = _beyond(tried, 1e7, 1.0)
    assert perfect.b_crit.low <= 1e7 and math.isinf(perfect.b_crit.high)
    assert perfect.s_min.low == 0 and perfect.s_min.high >= 1.0
    assert perfect.e_min.value == pytest.approx(1e7, rel=0.2)
    assert perfect.e_min.low > 0 and math.isfinite(perfect.e_min.high)
    level = _beyond(tried, 1e-3, 100.0)
    assert level.b_crit.low == 0 and level.b_crit.high >= 1e-3
    assert level.s_min.low <= 100.0 <= level.s_min.high
    assert level.e_min.low == 0 and level.e_min.high >= 0.1


def test_a_ratio_to_a_critical_batch_size_that_is_beyond_has_no_end() -> None:
    """Truths of 10, 10,000 and 1/10,000: the first was told as 1 [1, 1.57]."""
    tried = np.array([1.0, 4, 16, 64, 256])
    far, near, inside = (_beyond(tried, b_crit, 1.0, seed=seed) for seed, b_crit in enumerate((1e6, 1e5, 1e2)))
    both, above, below = critical_ratio(far, near), critical_ratio(far, inside), critical_ratio(inside, far)
    assert both.low <= 10 and math.isinf(both.high)
    assert 1 < above.low <= 1e4 and math.isinf(above.high)
    assert below.low == 0 and 1e-4 <= below.high < 1
    assert math.isnan(critical_ratio(far, scaling.NO_FIT).low)


def test_resamples_in_which_nothing_hits_leave_an_interval_without_ends() -> None:
    """Half of the starts miss at every size, so half of the resamples say nothing, of neither end."""
    steps = _steps(32, 0.1)
    steps[:16] = np.inf
    fit = fit_hyperbola(SIZES, steps, np.full(len(SIZES), 1e4), EXAMPLES)
    assert not fit.one_sided
    for estimate in (fit.b_crit, fit.s_min, fit.e_min, critical_ratio(fit, fit)):
        assert estimate[1:] == (0, math.inf) and 0 < estimate.value < math.inf


@pytest.mark.parametrize("b_crit", [20.0, 50.0, 200.0])
def test_examples_drawn_with_replacement_have_noise_of_one_over_b_up_to_all_of_them(b_crit: float) -> None:
    examples, shares = 100, {4: 1 / 4, 8: 1 / 8, 16: 1 / 16, 64: 1 / 64, 100: 0.0}  # all at once are not drawn
    cells = [tiny.cell(size, "constant", [10 * (1 + b_crit * share)] * 8) for size, share in shares.items()]
    facts = {"examples": examples, "optimum": 1.0, "sampling": "replacement"}
    made = replace(tiny.tables(cells), run=tiny.RUN | {"problems": {"p": facts}})
    summary = summarise(made)
    found = scaling_table(Reported(made), summary)
    row = found.iloc[0]
    assert row["b_crit"] == pytest.approx(b_crit, rel=5e-3) and row["residual"] == pytest.approx(1, abs=5e-3)
    assert row["perfect_until"] == pytest.approx(b_crit / 5, rel=5e-3)
    assert row["flat_from"] == pytest.approx(min(5 * b_crit, examples), rel=5e-3)
    [fit, _] = critical_plots(summary, found, {"constant": ("#000000", "o")}, tiny.TARGET, "p")
    points, line, *_ = fit.views["0"]["data"]
    assert line["y"][[0, -1]] == pytest.approx(points["y"][[0, -1]], rel=5e-3)


def test_steps_that_are_level_are_flat_from_the_first_example_on() -> None:
    assert flat_from(0.0, 100) == 0 and flat_from(math.inf, 100) == flat_from(math.inf, 100, "replacement") == 100


def test_the_table_has_a_row_per_schedule_and_target_and_a_ratio_to_the_constant_one(
        tmp_path: Path) -> None:
    tables = load(write_run(tmp_path, Plan(schedules=("constant", "linear"), starts=16)))
    found = scaling_table(Reported(tables), summarise(tables))
    assert len(found) == 2 * 3
    assert found.loc[found["schedule"] == "constant", "ratio"].isna().all()
    easy = found[(found["schedule"] == "linear") & (found["gap"] == 0.1)].iloc[0]
    # the synthetic speed is ∝ 1/(1 + 20/B); what the rate grid adds moves it by less than a factor of four
    assert 5 < easy["b_crit"] < 80
    assert easy["ratio_low"] <= easy["ratio"] <= easy["ratio_high"]
    assert easy["perfect_until"] < easy["b_crit"] < easy["flat_from"]


def test_a_target_that_the_start_meets_has_no_fit(tmp_path: Path) -> None:
    """Steps of 0 were raised to 1, whose fit had a critical batch size of 1/30 of the smallest."""
    folder = write_run(tmp_path, Plan(batch_sizes=(1, 32, 128), schedules=("linear",), starts=8))
    change(folder, "hits", met_at_the_start)
    tables = load(folder)
    found = scaling_table(Reported(tables), summarise(tables)).set_index("gap")
    assert found.loc[0.1, ["b_crit", "s_min", "e_min", "perfect_until"]].isna().all()
    assert found.loc[0.01, "b_crit"] > 1


def test_noise_scale_of_gaussian_gradients() -> None:
    random = np.random.default_rng(0)
    signal, noise, dims, examples = 3.0, 12.0, 6, 10**9
    mean = np.full(dims, math.sqrt(signal / dims))

    def squared(batch: int) -> np.ndarray:
        return ((mean + math.sqrt(noise / dims / batch) * random.normal(size=(20_000, dims))) ** 2).sum(axis=1)

    found = noise_scale(squared(2), squared(64), 2, 64, examples)
    assert found.b_simple.value == pytest.approx(noise / signal, rel=0.05)
    assert found.b_simple.low < noise / signal < found.b_simple.high


def test_noise_scale_without_replacement_is_exact() -> None:
    gradients = np.random.default_rng(1).normal(size=(5, 3)) + 1
    pairs = np.array([(gradients[i] + gradients[j]) / 2 for i in range(5) for j in range(i)])
    single, double = (gradients**2).sum(axis=1), (pairs**2).sum(axis=1)
    found = noise_scale(single, double, 1, 2, 5)
    full = gradients.mean(axis=0)
    # over all batches of both sizes the estimate is the population's: |mean|² and the variance with divisor n − 1
    assert found.signal == pytest.approx((full**2).sum())
    assert found.noise == pytest.approx(gradients.var(axis=0, ddof=1).sum())


@pytest.mark.parametrize(("small", "big"), [(4, 4), (8, 4), (0, 4), (1, 11)])
def test_noise_scale_refuses_batches_that_tell_nothing(small: int, big: int) -> None:
    with pytest.raises(ValueError, match="batch_small"):
        noise_scale(np.ones(2), np.ones(2), small, big, 10)


@pytest.mark.parametrize(("b_crit", "examples"), [(5.0, 1797), (1000.0, 1797), (1797.0, 1797), (5000.0, 1797)])
def test_perfect_scaling_ends_where_examples_are_a_fifth_above_the_least(b_crit: float, examples: int) -> None:
    sizes = np.arange(1, examples + 1, dtype=float)
    # S/S_min = 1 + b_crit·(1/B − 1/n), and E_min is B·S where B → 0, b_crit·S_min
    risen = sizes * (1 + b_crit * (1 / sizes - 1 / examples)) / b_crit
    assert math.floor(perfect_until(b_crit, examples)) == sizes[risen <= 1.2].max()
