"""Claim 11: what the condition number costs in steps, and how the path zigzags for it."""

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
    mean_interval,
    medians,
    near,
    of_best,
    percent,
    precise,
    series,
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
DATA_RATES = np.array([0.1, 0.2, 0.4, 0.6, 0.8, 0.95])  # shares of the divergence edge
TURN_STARTS, TURN_STEPS = 256, 16


@claim(11, "feature scaling",
       statement="Without feature scaling convergence is slow: steps grow with the condition number.",
       method="Quadratics of six condition numbers, 32 starts each at the best of 16 rates (chosen on 8 others), steps "
              "to a gradient norm of 0.001; diabetes, features raw and standardised, each at its best rate. The path "
              "zigzags where two steps after one another turn by more than 90°: share of the first 16 that do.")
def feature_scaling(seed: int) -> Outcome:
    """The exponent of steps in the condition number, and steps on real data with and without scaling."""
    steps = np.stack([condition_steps(condition, seed) for condition in CONDITIONS], axis=1)
    slope = log_slope(CONDITIONS[LARGE:], list(steps[:, LARGE:].T), seed=seed)
    expected = np.array([contraction_steps(condition) for condition in CONDITIONS])
    theory_slope = float(np.polyfit(np.log(CONDITIONS[LARGE:]), np.log(expected[LARGE:]), 1)[0])
    (raw, raw_rate), (scaled, scaled_rate) = (data_steps(standardised, seed) for standardised in (False, True))
    missed = int(np.isinf(raw).sum())
    ratio = median_interval(np.minimum(raw, DATA_STEPS) / scaled)
    turning = [mean_interval(column, seed=seed) for column in quadratic_turns(CONDITIONS, seed).T]
    raw_turns, scaled_turns = (mean_interval(data_turns(standardised, rate, seed), seed=seed)
                               for standardised, rate in ((False, raw_rate), (True, scaled_rate)))
    return Outcome(
        verdict=judge_scaling(slope, ratio),
        sentence=f"Steps grew as the condition number to the power {precise(slope)}; on diabetes standardised features "
                 f"took {estimate_words(median_interval(scaled))} steps to a tenth of the initial gap and raw ones "
                 + (f"more than {DATA_STEPS:,} from {missed} of {len(raw)} starts, at least {number(ratio.value)} "
                    "times as many; " if missed else f"{estimate_words(ratio)} times as many; ")
                 + f"{percent(turning[0])} of the steps turned by more than 90° at condition number "
                   f"{number(CONDITIONS[0])}, {percent(turning[-1])} at {number(CONDITIONS[-1])}; on diabetes "
                   f"{percent(scaled_turns)} with features standardised, {percent(raw_turns)} raw.",
        findings=[
            finding("slope of log steps against log condition number", slope, expected=theory_slope),
            *(finding(f"steps to a gradient norm of 0.001, condition number {condition:g}", each, "steps", said)
              for condition, each, said in zip(CONDITIONS, medians(steps), expected, strict=True)),
            finding("steps to a tenth of the initial gap, diabetes standardised", median_interval(scaled), "steps"),
            finding("steps to a tenth of the initial gap, diabetes raw, misses as the budget",
                    median_interval(np.minimum(raw, DATA_STEPS)), "steps"),
            finding("steps raw over steps standardised, at least", ratio, "×"),
            *(finding(f"steps that turn by more than 90°, condition number {condition:g}", each, "share",
                      turning_starts(condition)) for condition, each in zip(CONDITIONS, turning, strict=True)),
            finding("steps that turn by more than 90°, diabetes standardised", scaled_turns, "share"),
            finding("steps that turn by more than 90°, diabetes raw", raw_turns, "share")],
        pictures=[Picture("Steps against condition number, each at its best rate", "condition number κ",
                          "steps to a gradient norm of 0.001",
                          [series("measured, median of 32 starts", CONDITIONS, medians(steps)),
                           theory("log(1000·|x₀|)/log((κ + 1)/(κ − 1))", CONDITIONS, expected)]),
                  Picture("Zigzag: share of steps that turn by more than 90° from the one before",
                          "condition number κ", "share of steps",
                          [series("measured, mean of 256 starts", CONDITIONS, turning),
                           theory("2/π · arctan κ", CONDITIONS, [turning_starts(each) for each in CONDITIONS])],
                          y_log=False)])


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
    return of_best(by_start(steps, runs), runs, TUNING, CONDITION_STEPS)[0]


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


def data_steps(standardised: bool, seed: int) -> tuple[Array, float]:
    """Steps to a tenth of the initial gap at the best rate, ∞ for a miss, (32,), and that rate.

    Both problems begin as the same predictor, N(0, 1) weights of standardised features, and go to the same loss.
    """
    problem = diabetes(standardised)
    rates = DATA_RATES * 2 / np.linalg.eigvalsh(_moments(standardised))[-1]
    runs = gdjax.bgd(problem, rates=list(rates), starts=same_predictors(standardised, seed), key=seed,
                     max_steps=DATA_STEPS, marks=64, targets=gdjax.targets(diabetes(True), [DATA_GAP]),
                     stop_at_target=True)
    steps, best = of_best(hit_steps(runs)[:, :, 0], runs, TUNING, DATA_STEPS)
    return steps, float(rates[best])


def quadratic_turns(conditions: Sequence[float], seed: int) -> Array:
    """Share of the steps on ½(κx₁² + x₂²) at the rate 2/(κ + 1) that turn by more than 90°, (starts, conditions).

    Descent on κ at that rate is descent on curvatures 2κ/(κ + 1) and 2/(κ + 1) at the rate 1: one run for all κ.
    """
    spectra = np.array([[condition, 1.0] for condition in conditions])
    spectra *= 2 / spectra.sum(axis=1, keepdims=True)
    x = np.repeat(np.random.default_rng(seed).normal(size=(TURN_STARTS, 2)), len(conditions), axis=0)
    begin = {"h": np.tile(spectra, (TURN_STARTS, 1)), "x": x}
    places = path(problems.any_quadratic(2), begin, 1.0, seed)
    gradients = np.stack([begin["h"] * leaf_of(place, "x") for place in places])
    return turns(gradients).reshape(TURN_STARTS, -1)


def turning_starts(condition: float) -> float:
    """Share of N(0, 1)² from which every step at the rate 2/(κ + 1) turns by more than 90°, from the others none does.

    Both directions shrink alike, the steep one changes sides: all turns are those of starts with |κx₁| > |x₂|.

    Example:
        >>> round(turning_starts(1.0), 12), round(turning_starts(1000.0), 4)
        (0.5, 0.9994)
    """
    return float(2 / np.pi * np.arctan(condition))


def data_turns(standardised: bool, rate: float, seed: int) -> Array:
    """Share of the steps on diabetes at a rate that turn by more than 90°, (40,) starts."""
    features, outcome = gdjax.data.diabetes()
    features = gdjax.data.standardise(features) if standardised else features
    outcome = gdjax.data.standardise(outcome)
    gradients = []
    for place in path(diabetes(standardised), same_predictors(standardised, seed), rate, seed):
        wrong = leaf_of(place, "w") @ features.T + leaf_of(place, "b")[:, None] - outcome
        gradients.append(np.column_stack([wrong @ features, wrong.sum(axis=1)]))
    return turns(np.stack(gradients))


def path(problem: gdjax.Problem, begin: Mapping[str, Array], rate: float, seed: int) -> list[object]:
    """Parameters of every start before the first step and after each of the first 16."""
    places: list[object] = [begin]
    for steps in range(1, TURN_STEPS + 1):
        runs = gdjax.bgd(problem, rates=rate, starts=begin, key=seed, max_steps=steps)
        places.append(runs.params)
    return places


def turns(gradients: Array) -> Array:
    """Share of the steps of each lane that turn by more than 90° from the one before: ∇J(xₜ)·∇J(xₜ₊₁) < 0, (lanes,).

    Args:
        gradients: (steps + 1, lanes, parameters).

    Example:
        >>> turns(np.array([[[1.0, 0.0]], [[-1.0, 1.0]], [[0.0, 1.0]]]))
        array([0.5])
    """
    return np.mean(np.sum(gradients[1:] * gradients[:-1], axis=2) < 0, axis=0)


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
