"""Claims 11 and 12: what the condition number costs, and how progress slows near a minimum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

import gdjax
from bench.analysis.intervals import Estimate, median_interval
from bench.analysis.words import estimate_words, number
from bench.study.claim import Outcome, Picture, claim
from bench.study.claims import problems
from bench.study.claims.parts import (
    Array,
    by_start,
    finding,
    hit_steps,
    leaf_of,
    log_slope,
    medians,
    near,
    precise,
    series,
    soonest,
    theory,
    verdict,
)

CONDITIONS = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
LARGE = 1  # conditions from here on are in the fit: the law is κ/2 for large κ
TUNING, REPORTED = 8, 32
NEAR = 1e-3  # gradient norm at the end: the distance along the flattest direction, whose curvature is 1
CONDITION_STEPS = 20_000
DATA_STEPS = 2000
DATA_GAP = 0.1


@claim(11, "feature scaling",
       statement="Without feature scaling convergence is slow: steps grow with the condition number.",
       method="Quadratics of six condition numbers, 32 starts each at the best of 16 rates (chosen on 8 others), steps "
              "to a gradient norm of 0.001; diabetes, features raw and standardised, each at its best rate.")
def feature_scaling(seed: int) -> Outcome:
    """The exponent of steps in the condition number, and steps on real data with and without scaling."""
    steps = np.stack([condition_steps(condition, seed) for condition in CONDITIONS], axis=1)
    slope = log_slope(CONDITIONS[LARGE:], list(steps[:, LARGE:].T), seed=seed)
    expected = np.array([contraction_steps(condition) for condition in CONDITIONS])
    theory_slope = float(np.polyfit(np.log(CONDITIONS[LARGE:]), np.log(expected[LARGE:]), 1)[0])
    raw, scaled = (data_steps(standardised, seed) for standardised in (False, True))
    missed = int(np.isinf(raw).sum())
    ratio = median_interval(np.minimum(raw, DATA_STEPS) / scaled)
    return Outcome(
        verdict=judge_scaling(slope, ratio),
        sentence=f"Steps grew as the condition number to the power {precise(slope)}; on diabetes standardised features "
                 f"took {estimate_words(median_interval(scaled))} steps to a tenth of the initial gap and raw ones "
                 + (f"more than {DATA_STEPS:,} from {missed} of {len(raw)} starts, at least {number(ratio.value)} "
                    "times as many." if missed else f"{estimate_words(ratio)} times as many."),
        findings=[
            finding("slope of log steps against log condition number", slope, expected=theory_slope),
            *(finding(f"steps to a gradient norm of 0.001, condition number {condition:g}", each, "steps", said)
              for condition, each, said in zip(CONDITIONS, medians(steps), expected, strict=True)),
            finding("steps to a tenth of the initial gap, diabetes standardised", median_interval(scaled), "steps"),
            finding("steps to a tenth of the initial gap, diabetes raw, misses as the budget",
                    median_interval(np.minimum(raw, DATA_STEPS)), "steps"),
            finding("steps raw over steps standardised, at least", ratio, "×")],
        pictures=[Picture("Steps against condition number, each at its best rate", "condition number κ",
                          "steps to a gradient norm of 0.001",
                          [series("measured, median of 32 starts", CONDITIONS, medians(steps)),
                           theory("log(1000·|x₀|)/log((κ + 1)/(κ − 1))", CONDITIONS, expected)])])


def judge_scaling(slope: Estimate, ratio: Estimate) -> str:
    """Holds: steps grow as κ to a power whose interval is within 0.15 of 1, and raw features cost at least twice the
    steps. With limits: they grow at all, or raw features cost more.
    """
    return verdict(near(1.0, slope, 0.15) and ratio.low >= 2, slope.low > 0 or ratio.low > 1)


def condition_steps(condition: float, seed: int) -> Array:
    """Steps on ½(κx₁² + x₂²) of the reported starts at the best rate, (32,)."""
    begin = problems.quadratic_starts(np.array([condition, 1.0]), 2, TUNING + REPORTED, seed)
    rates = 2 / (condition + 1) * np.linspace(0.4, 1.15, 16)
    runs = gdjax.bgd(problems.any_quadratic(2), rates=list(rates), starts=begin, key=seed,
                     max_steps=CONDITION_STEPS, tolerance=NEAR)
    steps = np.where(runs.status == gdjax.stopping.CONVERGED, runs.steps, np.inf)
    return _of_best(by_start(steps, runs), runs, CONDITION_STEPS)


def contraction_steps(condition: float) -> float:
    """Steps at the rate 2/(κ + 1): both directions shrink by (κ − 1)/(κ + 1) a step, a typical |x₀| of 0.6745 to 0.001.

    Example:
        >>> round(contraction_steps(3.0), 3)
        9.398
    """
    return float(np.log(0.6745 / NEAR) / np.log((condition + 1) / (condition - 1)))


@cache
def diabetes(standardised: bool) -> gdjax.Problem:
    """Linear regression on diabetes: features in their own units, or standardised."""
    features, outcome = gdjax.data.diabetes()
    if standardised:
        features = gdjax.data.standardise(features)
    return gdjax.problems.linear_regression(features, gdjax.data.standardise(outcome),
                                            name=f"diabetes-{'standardised' if standardised else 'raw'}")


def data_steps(standardised: bool, seed: int) -> Array:
    """Steps to a tenth of the initial gap at the best rate, ∞ for a miss, (32,).

    Both problems begin as the same predictor, N(0, 1) weights of standardised features, and go to the same loss.
    """
    problem = diabetes(standardised)
    edge = 2 / np.linalg.eigvalsh(_moments(standardised))[-1]
    runs = gdjax.bgd(problem, rates=list(edge * np.array([0.1, 0.2, 0.4, 0.6, 0.8, 0.95])),
                     starts=same_predictors(standardised, seed), key=seed, max_steps=DATA_STEPS, marks=64,
                     targets=gdjax.targets(diabetes(True), [DATA_GAP]), stop_at_target=True)
    return _of_best(hit_steps(runs)[:, :, 0], runs, DATA_STEPS)


def same_predictors(standardised: bool, seed: int) -> dict[str, Array]:
    """Starts of a diabetes problem: w·(x − μ)/σ with w from N(0, 1), written for the features it has."""
    features, _ = gdjax.data.diabetes()
    weights = np.random.default_rng(seed).normal(size=(TUNING + REPORTED, features.shape[1]))
    if standardised:
        return {"w": weights, "b": np.zeros(len(weights))}
    raw = weights / features.std(axis=0)
    return {"w": raw, "b": -raw @ features.mean(axis=0)}


def _moments(standardised: bool) -> Array:
    """Hessian of the linear regression: second moments of the features and the intercept."""
    features, _ = gdjax.data.diabetes()
    features = gdjax.data.standardise(features) if standardised else features
    with_one = np.column_stack([features, np.ones(len(features))])
    return with_one.T @ with_one / len(features)


def _of_best(steps: Array, runs: gdjax.Runs, budget: int) -> Array:
    """Steps of the last 32 starts at the setting that is soonest over the first 8."""
    return steps[TUNING:, soonest(steps[:TUNING], by_start(runs.final_loss, runs)[:TUNING], budget)]


DECADES = tuple(10.0**-power for power in range(2, 7))
TENTHS = (1e-1, 1e-2, 1e-3, 1e-4)
CURVED = np.array([1.0, 0.2])
BUDGETS = (16, 32, 64, 128)


@claim(12, "slowing near the minimum",
       statement="Convergence slows near the minimum.",
       method="Steps for each further decade of the loss, from 1e-2 to 1e-6 on a quadratic, from 1e-4 to 1e-8 on ¼x⁴ "
              "and from 1e-1 to 1e-4 on logistic regression without a minimum, 32 starts each; step length against "
              "distance on the quadratic.")
def slowing_near_the_minimum(seed: int) -> Outcome:
    """How much longer each decade takes than the one before, and how the step shrinks with the distance."""
    cases = {
        "a quadratic": (quadratic_decades(seed), 1.0),
        "¼x⁴": (decades(problems.quartic(), 0.5, [goal / 100 for goal in DECADES], 20_000, seed), 10**0.5),
        "logistic without a minimum": (decades(problems.separable(), 1.0, TENTHS, 20_000, seed), 10.0)}
    growth = {name: median_interval(table[:, -1] / table[:, -2]) for name, (table, _) in cases.items()}
    distance, length = step_lengths(seed)
    slope = log_slope(np.median(distance, axis=0), list(length.T), seed=seed)
    return Outcome(
        verdict=judge_slowing(list(growth.values()), slope),
        sentence="A decade of the loss took, in steps of the decade before it, "
                 + ", ".join(f"{precise(each)} on {name}" for name, each in growth.items())
                 + "; on the quadratic only the length of a step shrinks, as the distance from the minimum to the "
                   f"power {precise(slope)}.",
        findings=[
            *(finding(f"steps of the last decade over those of the one before: {name}", growth[name], "×", said)
              for name, (_, said) in cases.items()),
            finding("slope of log step length against log distance, quadratic", slope, expected=1.0),
            *(finding(f"steps of decade {place + 1}: {name}", each, "steps")
              for name, (table, _) in cases.items() for place, each in enumerate(medians(table)))],
        pictures=[_decades_picture({name: table for name, (table, _) in cases.items()}),
                  _lengths_picture(distance, length)])


def judge_slowing(growth: Sequence[Estimate], slope: Estimate) -> str:
    """Holds: on every loss a decade takes over a tenth more steps than the one before. With limits: on some, or steps
    get shorter as the minimum comes nearer (a slope above 0) while a decade takes as many.
    """
    slows = [each.low > 1.1 for each in growth]
    return verdict(all(slows), any(slows) or slope.low > 0)


def quadratic_decades(seed: int) -> Array:
    """Steps of each decade of the loss on ½(x₁² + x₂²/5), rate ½, (32, decades)."""
    runs = gdjax.bgd(problems.any_quadratic(2), rates=0.5, max_steps=200, marks=512, targets=list(DECADES), key=seed,
                     starts=problems.quadratic_starts(CURVED, 2, REPORTED, seed))
    return np.diff(hit_steps(runs)[:, 0], axis=1)


def decades(problem: gdjax.Problem, rate: float, goals: Sequence[float], budget: int, seed: int) -> Array:
    """Steps between one goal and the next, (32, goals − 1)."""
    runs = gdjax.bgd(problem, rates=rate, starts=REPORTED, key=seed, max_steps=budget, marks=512, targets=list(goals))
    return np.diff(hit_steps(runs)[:, 0], axis=1)


def step_lengths(seed: int) -> tuple[Array, Array]:
    """Distance from the minimum and length of the next step after 16, 32, 64 and 128 steps, (32, 4) each."""
    begin = problems.quadratic_starts(CURVED, 2, REPORTED, seed)
    distance, length = [], []
    for budget in BUDGETS:
        runs = gdjax.bgd(problems.any_quadratic(2), rates=0.5, starts=begin, key=seed, max_steps=budget, marks=512)
        distance.append(np.linalg.norm(leaf_of(runs.params, "x"), axis=1))
        length.append(0.5 * runs.grad_norm)
    return np.stack(distance, axis=1), np.stack(length, axis=1)


def _decades_picture(cases: Mapping[str, Array]) -> Picture:
    return Picture("Steps that each further decade of the loss takes: flat means progress at a constant rate",
                   "decade of the loss, counted from the first", "steps of the decade",
                   [series(name, np.arange(1, table.shape[1] + 1), medians(table)) for name, table in cases.items()],
                   x_log=False)


def _lengths_picture(distance: Array, length: Array) -> Picture:
    x = np.median(distance, axis=0)
    slowest = 0.5 * CURVED.min()
    return Picture("A step is shorter the nearer the minimum (quadratic)", "distance from the minimum",
                   "length of the next step", [series("measured, median of 32 starts", x, medians(length)),
                                               theory("rate × flattest curvature × distance", x, slowest * x)])
