"""The experiments of the claims against closed forms, small; two cheap claims whole."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from bench.analysis.intervals import Estimate
from bench.study.claim import CLAIMS, Claim, Finding, Outcome
from bench.study.claims import (
    batches,
    differences,
    flat,
    methods,
    minima,
    noise,
    problems,
    rates,
    scaling,
    stale,
    timing,
)
from bench.study.claims.parts import log_slope, mean_interval, near, percent, precise, ratio_of_means, soonest


@pytest.fixture(scope="module")
def bounced() -> Outcome:
    return numbered(2).run(0)


@pytest.fixture(scope="module")
def differenced() -> Outcome:
    with pytest.MonkeyPatch.context() as patch:  # fewer points and shorter samples than in the study
        patch.setattr(differences, "POINTS", 60)
        patch.setattr(differences, "SAMPLE_S", 0.01)
        patch.setattr(differences, "DIMENSIONS", (10, 50))
        return numbered(13).run(0)


def numbered(number: int) -> Claim:
    return next(claim for claim in CLAIMS.values() if claim.number == number)


def value(outcome: Outcome, quantity: str) -> Finding:
    found, = (finding for finding in outcome.findings if finding.quantity == quantity)
    return found


def test_a_fixed_rate_bounces_half_a_first_step_from_the_minimum(bounced: Outcome) -> None:
    # at rate 1 the step is 2(x − 3): it ends as far on the other side, half its length from the minimum
    fixed = value(bounced, "distance from the minimum at the end: (x − 3)², rate 1, constant rate")
    assert (fixed.value, fixed.low, fixed.high) == pytest.approx((0.5, 0.5, 0.5), abs=1e-6)
    # on |x| the last steps of a decaying rate are as long as the rate: 1/301 and e^-8 of the first, at most
    worst = [value(bounced, f"distance from the minimum at the end: |x|, rate 1/2, {name}").high
             for name in ("inverse-time decay", "exponential decay")]
    assert worst[0] <= 1 / 300
    assert worst[1] <= math.exp(-7.99)
    assert bounced.verdict == "holds"


def test_a_claim_is_a_pure_function_of_the_seed(bounced: Outcome) -> None:
    assert repr(numbered(2).run(0)) == repr(bounced)
    assert repr(numbered(2).run(1)) != repr(bounced)


@pytest.mark.parametrize(("name", "words"), [("bounced", percent), ("differenced", precise)])
def test_an_outcome_is_whole(name: str, words: Callable[[Estimate], str], request: pytest.FixtureRequest) -> None:
    outcome: Outcome = request.getfixturevalue(name)
    for finding in outcome.findings:
        assert finding.low <= finding.value <= finding.high, finding
    first = outcome.findings[0]
    assert words(Estimate(first.value, first.low, first.high)) in outcome.sentence
    for picture in outcome.pictures:
        assert picture.x_label and picture.y_label
        for line in picture.series:
            assert len(line.x) == len(line.y)
            assert len(line.low) == len(line.high) and len(line.low) in (0, len(line.x))
            assert not picture.x_log or min(line.x) > 0


@pytest.mark.parametrize(("scheme", "order"), [("forward", 1.0), ("central", 2.0)])
def test_errors_fall_by_the_order_of_the_scheme_and_rise_by_rounding(differenced: Outcome, scheme: str,
                                                                     order: float) -> None:
    fall = value(differenced, f"exponent of h where truncation rules: {scheme}, float64")
    rise = value(differenced, f"exponent of h where rounding rules: {scheme}, float64")
    best = value(differenced, f"best step h: {scheme}, float64")
    assert fall.value == pytest.approx(order, abs=0.02)
    assert rise.value == pytest.approx(-1.0, abs=0.1)
    assert best.expected / 10 < best.value < best.expected * 10
    assert best.expected == np.finfo(np.float64).eps ** (1 / (1 + order))


def test_differences_of_the_exponential_are_what_algebra_says() -> None:
    assert differences.difference(1.0, "float64", "forward", 0.1) == pytest.approx(math.e * math.expm1(0.1) / 0.1)
    assert differences.difference(1.0, "float64", "central", 0.1) == pytest.approx(math.e * math.sinh(0.1) / 0.1)
    assert differences.difference(1.0, "float32", "central", 1e-50) == 0.0
    assert differences.count_evaluations(7) == 14


def test_the_divergence_edge_of_a_quadratic_is_two_over_its_largest_curvature() -> None:
    edge = rates.divergence_edge(rates.SPECTRA["10 curvatures from 1 to 25"], seed=3)
    assert edge.low < 1.0 + 1e-6 and edge.high > 1.0 - 1e-6  # float32 knows the rate to 6e-8
    assert edge.high - edge.low < 1e-4


def test_a_bracket_spans_the_rates_on_which_starts_disagree() -> None:
    grows = np.array([[False, False, True, True], [False, True, False, True]])
    assert rates.bracket(np.arange(4.0), grows) == (0.0, 3.0)
    assert rates.bracket(np.arange(4.0), np.ones((1, 4), bool)) == (0.0, 1.0)
    assert rates.bracket(np.arange(4.0), np.zeros((1, 4), bool)) == (2.0, 3.0)


def test_steps_on_a_parabola_are_a_logarithm_over_a_logarithm() -> None:
    shares = np.geomspace(1e-3, 0.9, rates.RATES)
    steps, expected = rates.steps_of_shares(shares, seed=5)
    assert steps.shape == (rates.STARTS, rates.RATES)
    assert np.abs(steps - expected).max() <= 1  # float32 may round the last step either way
    stays, jumps = rates.crossings(shares, seed=5)
    assert (stays.value, jumps.value) == (0.0, 1.0)


def test_the_floor_is_where_the_recursion_of_the_variance_settles() -> None:
    spread = np.ones(3)
    for _ in range(2000):
        spread = (1 - 0.2 * noise.CURVATURES) ** 2 * spread + 0.2**2 * noise.NOISE / 4
    assert noise.floor(0.2, 4) == pytest.approx(0.5 * np.sum(noise.CURVATURES * spread), rel=1e-12)


def test_batch_gradients_follow_the_laws_of_sampling() -> None:
    gradients = np.random.default_rng(0).normal(size=(90, 2))
    whole = noise.batch_gradients(gradients, "shuffle", 90, seed=0, draws=5)
    assert np.allclose(whole, gradients.mean(axis=0))  # all examples once: no noise at all
    total = gradients.var(axis=0, ddof=1).sum()
    for sampling, law in (("shuffle", total * (1 / 30 - 1 / 90)), ("replacement", total * (89 / 90) / 30)):
        rows = noise.batch_gradients(gradients, sampling, 30, seed=0, draws=2000)
        assert np.sum((rows - gradients.mean(axis=0)) ** 2, axis=1).mean() == pytest.approx(law, rel=0.1)


def test_example_gradients_average_to_the_full_one() -> None:
    problem = gdjax.problems.get("line-fit")
    params = problem.start(jax.random.key(4))
    full = jax.jit(jax.grad(problem.objective))(params, problem.device_data())
    rows = noise.example_gradients(problem, seed=4)
    assert rows.mean(axis=0) == pytest.approx([float(leaf) for leaf in jax.tree.leaves(full)], rel=1e-5)


def test_steps_to_target_are_of_starts_that_did_not_choose_the_rate() -> None:
    problem = gdjax.problems.get("line-fit")
    reach = batches.reach_of(problem, 100, np.array([1e-3, 0.4]), 200, seed=0, width=1)
    assert len(reach.steps) == batches.REPORTED
    assert (reach.rate, reach.edge) == (0.4, True)  # 1e-3 cannot make it in 200 steps: 0.999^400 = 0.67 of the gap
    assert (reach.before <= reach.steps).all() and (reach.steps <= reach.after).all()
    assert reach.interval(np.full(5, 2.0)).value == pytest.approx(2 * reach.interval().value)


def test_a_ratio_of_steps_is_no_surer_than_the_marks_around_the_hits() -> None:
    near, far = (batches.Reach(np.full(4, low), np.full(4, steps), np.full(4, high), 0.1, False)
                 for low, steps, high in ((8.0, 9.0, 10.0), (40.0, 45.0, 50.0)))
    assert far.over(near) == pytest.approx((5.0, 4.0, 6.25))  # 40/10 to 50/8, though every start hits alike
    seconds = far.over(near, (np.full(5, 3.0), np.full(5, 2.0)))
    assert seconds == pytest.approx((7.5, 6.0, 9.375))
    random = np.array([1.0, 2.0, 3.0, 4.0, 5.0])  # of the medians of five the middle 95 % reach from end to end
    assert far.over(near, (random, np.ones(5))) == pytest.approx((15.0, 4.0, 31.25)), "not for lack of repeats either"
    assert batches.exponent(far.over(near), 5.0) == pytest.approx((-1.0, -math.log(6.25, 5), -math.log(4, 5)))
    never = batches.Reach(*[np.full(4, np.inf)] * 3, 0.1, False)
    assert never.over(near).value == math.inf
    assert batches.judge_batches(*[batches.exponent(never.over(near), 5.0)] * 2) == "does not hold"


@pytest.mark.parametrize(("steps", "chosen"), [
    ([[math.inf, math.inf, 50.0], [math.inf, 90.0, math.inf]], 2),  # (50 + 100)/1 before (100 + 90)/1: a miss costs all
    ([[60.0, 10.0, math.inf], [60.0, math.inf, math.inf]], 0),  # 60 before (10 + 100)/1
    ([[math.inf] * 3] * 2, 1)])  # none hits: the lowest loss
def test_the_setting_that_is_soonest_counts_misses(steps: list[list[float]], chosen: int) -> None:
    assert soonest(np.array(steps), np.array([[3.0, 1.0, 2.0]] * 2), budget=100) == chosen


def test_a_share_of_single_examples_is_a_ratio_over_the_batch() -> None:
    share = timing.share_of_singles(np.array([2.0, 4.0, 6.0]), np.array([0.5, 0.5, 0.5]), 100)
    assert share.value == pytest.approx(4.0 / 0.5 / 100)
    assert (share.low, share.high) == pytest.approx((0.04, 0.12))


def test_the_basin_of_styblinski_and_tang_has_the_share_that_its_ridge_cuts_off() -> None:
    roots = np.roots([4, 0, -32, 5])
    ridge = float(roots[np.abs(roots) < 1][0].real)  # 4x³ − 32x + 5 = 0: the local maximum of each coordinate
    found = minima.hunt(minima.global_ends(problems.styblinski_tang(), 1e-2, 1.0, 0, lanes=4096))
    assert found.p.low < ((5 + ridge) / 10) ** 2 < found.p.high
    assert found.disjoint() <= 1


def test_groups_of_independent_starts_follow_the_formula_and_dependent_ones_do_not() -> None:
    lone = minima.hunt(np.random.default_rng(0).random(1 << 14) < 0.1)
    assert lone.apart() < 0.05 and lone.disjoint() <= 1
    runs_of_eight = np.repeat(np.random.default_rng(0).random(1 << 11) < 0.1, 8)
    assert minima.judge_hunts([minima.hunt(runs_of_eight)]) == "does not hold"


def test_the_wells_and_the_hill_are_where_they_are_said_to_be() -> None:
    well = problems.noisy_double_well()
    slope = jax.jit(jax.grad(well.objective))
    for place in (flat.HILL, 0.946, -1.047):
        assert float(slope(jnp.float32(place), well.device_data())) == pytest.approx(0.0, abs=2e-3)
    tang = problems.styblinski_tang()
    assert float(jax.jit(tang.objective)(jnp.full(2, -2.903534), None)) == pytest.approx(tang.optimum, abs=1e-4)


def test_a_start_beside_a_saddle_leaves_when_the_formula_says() -> None:
    steps = flat.escape_steps(np.array([0.0, 0.005]), seed=0)
    expected = np.array([[flat.escape_formula(offset, rate) for offset in flat.OFFSETS] for rate in flat.ESCAPE_RATES])
    assert steps.shape == (2, *expected.shape)
    assert steps / expected == pytest.approx(np.ones_like(steps), rel=0.01)


def test_steps_at_the_best_rate_grow_with_the_condition_number() -> None:
    # both directions shrink by (κ − 1)/(κ + 1) a step at 2/(κ + 1), which is the best of any rate
    steps = scaling.condition_steps(30.0, seed=0)
    assert len(steps) == scaling.REPORTED
    assert np.median(steps) == pytest.approx(scaling.contraction_steps(30.0), rel=0.25)
    assert scaling.contraction_steps(3.0) == pytest.approx(math.log(674.5) / math.log(2))


def test_raw_and_standardised_diabetes_start_as_the_same_predictor() -> None:
    losses = []
    for standardised in (False, True):
        problem, begin = scaling.diabetes(standardised), scaling.same_predictors(standardised, seed=0)
        features, outcome = problem.data  # type: ignore[misc]
        losses.append(0.5 * np.mean((begin["w"] @ features.T + begin["b"][:, None] - outcome) ** 2, axis=1))
    assert losses[0] == pytest.approx(losses[1], rel=1e-9)
    assert scaling.diabetes(False).optimum == pytest.approx(scaling.diabetes(True).optimum, rel=1e-9)


def test_a_path_turns_in_every_step_or_in_none_by_where_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "TURN_STEPS", 3)
    shares = scaling.quadratic_turns((3.0, 30.0), seed=0)
    x = np.random.default_rng(0).normal(size=(scaling.TURN_STARTS, 2))
    # both gradients shrink by (κ − 1)/(κ + 1), the steep one changes sign: turns where it is the longer of the two
    assert np.array_equal(shares, np.abs(x[:, :1] * [3.0, 30.0]) > np.abs(x[:, 1:]))
    round_circle = np.abs(30 * np.tan(np.pi * np.linspace(0, 1, 9999))) > 1
    assert scaling.turning_starts(30.0) == pytest.approx(round_circle.mean(), abs=1e-3)


def test_newton_takes_one_step_and_a_fixed_rate_those_of_its_contraction() -> None:
    said = methods.expected_steps(10.0, seed=3)
    newton, fixed = (methods.steps_of(methods.METHODS[name], 10.0, seed=3) for name in (methods.NEWTON, methods.FIXED))
    assert (newton == said[methods.NEWTON]).all()
    assert np.median(fixed) == pytest.approx(said[methods.FIXED], abs=1)
    # κ/2 · log(‖∇J(x₀)‖/ε): log((κ + 1)/(κ − 1)) is 2/κ to a share of 1/(3κ²)
    assert methods.contraction_steps(1.0, 1e3) == pytest.approx(1e3 / 2 * math.log(1e3), rel=1e-3)


def test_exact_step_search_from_its_worst_start_takes_the_steps_of_the_best_fixed_rate() -> None:
    curvatures, steps = problems.curvatures(10.0), 0
    slope, loss = curvatures * methods.worst_starts(10.0, seed=0)["x"][0], []
    while np.linalg.norm(slope) > methods.NEAR:
        slope = slope - (slope @ slope) / (slope @ (curvatures * slope)) * curvatures * slope
        loss.append(0.5 * np.sum(slope**2 / curvatures))
        steps += 1
    assert np.array(loss[1:]) / loss[:-1] == pytest.approx(np.full(steps - 1, (9 / 11) ** 2))  # ((κ − 1)/(κ + 1))²
    assert steps == methods.contraction_steps(math.sqrt(2), 10.0)


def test_seconds_of_a_step_are_of_the_landscape_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "SAMPLE_S", 1e-4)
    monkeypatch.setattr(methods, "REPEATS", 3)
    asked = {(methods.FIXED, place): 20.0 for place in methods.LANDSCAPES}
    seconds = methods.step_seconds(asked, seed=0)
    assert list(seconds) == list(asked)
    assert all(len(each) == 3 and (each >= 0).all() for each in seconds.values())
    (outcome,) = methods.of_steps("sgd", "Rosenbrock", 5)(1)
    assert (outcome.steps.item(), outcome.params["condition"].item()) == (5, problems.VALLEY)


def test_a_method_is_judged_where_it_does_worst() -> None:
    steps = {(name, place): np.full(4, 10.0) for name in (methods.FIXED, methods.NEWTON) for place in ("easy", "hard")}
    steps[methods.NEWTON, "easy"] = np.full(4, 1.0)
    steps[methods.NEWTON, "hard"] = np.full(4, math.inf)
    found = methods.ratios(steps)
    assert methods.largest(found, methods.NEWTON) == ("hard", (math.inf, math.inf, math.inf))
    per_step = {key: np.full(3, 2.0 if key[0] == methods.NEWTON else 1.0) for key in steps}
    assert methods.ratios(steps, per_step)[methods.NEWTON, "easy"].value == pytest.approx(0.2)


@pytest.mark.parametrize("delay", stale.DELAYS)
def test_the_edge_of_stale_gradients_is_where_a_root_leaves_the_unit_circle(delay: int) -> None:
    def longest(rate: float) -> float:  # of the roots of z^(τ + 1) − z^τ + rate
        return float(np.abs(np.roots([1.0, -1.0, *[0.0] * (delay - 1), rate] if delay else [1.0, rate - 1.0])).max())

    edge = stale.stable_rate(delay)
    assert longest(edge) == pytest.approx(1.0, abs=1e-9)
    assert longest(0.999 * edge) < 1 < longest(1.001 * edge)


def test_stale_gradients_grow_above_the_edge_and_not_below(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stale, "EDGE_STEPS", 1000)
    grows = stale.growing((0, 2, 8), [np.array([0.9, 1.1]) * stale.stable_rate(delay) for delay in (0, 2, 8)], seed=1)
    assert grows.shape == (stale.REPORTED, 3, 2)
    assert (grows == [False, True]).all()


def test_shares_above_the_best_count_from_a_thousandth_of_the_gap() -> None:
    assert minima.above(np.array([0.0, 5e-4, 2e-3, 1.0])).value == 0.5


@pytest.mark.parametrize("power", [-1.0, 0.5])
def test_a_slope_is_the_exponent_of_a_noisy_law(power: float) -> None:
    x = [1.0, 2.0, 4.0, 8.0]
    noisy = np.random.default_rng(0).lognormal(0, 0.1, (200, 4)) * np.array(x) ** power
    found = log_slope(x, list(noisy.T), centre=np.mean)
    assert found.low < power < found.high
    assert found.high - found.low < 0.05


def test_intervals_of_means_and_their_ratios_hold_the_truth() -> None:
    values = np.random.default_rng(1).exponential(2.0, 400)
    mean = mean_interval(values)
    assert mean.low < 2.0 < mean.high
    assert mean.high - mean.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.15)  # the normal law of a mean
    assert ratio_of_means(3 * values, values) == pytest.approx((3.0, 3.0, 3.0))


@pytest.mark.parametrize(("estimate", "answer"), [
    ((1.0, 0.95, 1.05), True), ((1.0, 0.8, 1.2), False), ((1.2, 1.19, 1.21), False),
    ((1.0, math.nan, math.nan), False)])
def test_near_asks_for_the_whole_interval(estimate: Sequence[float], answer: bool) -> None:
    assert near(1.0, Estimate(*estimate), 0.1) is answer
