"""Claim 15: step search, Adam, L-BFGS and Newton beside a fixed rate, in steps and in seconds."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

import gdjax
from bench import clock
from bench.analysis.intervals import Estimate, hit_interval, median_interval, ratio_of_medians
from bench.analysis.words import estimate_words, seconds_words
from bench.study.claim import Finding, Outcome, Picture, Series, claim
from bench.study.claims import problems
from bench.study.claims.parts import Array, by_start, finding, leaf_of, of_best, series, theory, verdict

LANDSCAPES = {**{f"condition number {condition:,.0f}": condition for condition in problems.CONDITIONS},
              "Rosenbrock": problems.VALLEY}
STEEPEST = "condition number 1,000"
VALLEY_RATES = (5e-4, 7e-4, 1e-3, 1.4e-3)
TUNING, REPORTED = 8, 32
NEAR = 1e-3  # gradient norm at which descent stops
BUDGET = 30_000
LONG = 2000  # steps that are timed, at most
SAMPLE_S, REPEATS = 0.02, 10


@dataclass(frozen=True)
class Method:
    """A way down.

    Args:
        optimizer: of gdjax, by name.
        rates: that are tried, the best on 8 starts is reported on 32 others; () for those of `fixed_rates`.
        even: a step takes the same time everywhere, as it does where nothing is searched for.
    """

    optimizer: str
    rates: Sequence[float] = (1.0,)
    even: bool = False


FIXED, SEARCH, DEFAULT, NEWTON = "a fixed rate", "step search", "Adam at rate 0.001", "Newton"
METHODS = {
    FIXED: Method("sgd", (), even=True),
    "backtracking": Method("backtracking"),
    SEARCH: Method("line_search", (0.1,)),
    DEFAULT: Method("adam", (1e-3,), even=True),
    "Adam at its best rate": Method("adam", (0.03, 0.1, 0.3, 1.0), even=True),
    "L-BFGS": Method("lbfgs"),
    NEWTON: Method("newton"),
}
TOLD = (FIXED, SEARCH, "L-BFGS", NEWTON)  # whose seconds the sentence tells
Place = tuple[str, str]  # method, landscape
Timed = tuple[str, str]  # optimizer, landscape


@claim(15, "other ways down",
       statement="Step search, Adam, L-BFGS and Newton are other ways down: they reach the minimum sooner than a fixed "
                 "rate.",
       method="Steps to a gradient norm of 0.001 on quadratics in 10 dimensions of condition number κ = 10, 100 and "
              "1,000 and in Rosenbrock's valley, 32 starts each: the fixed rate 2/(κ + 1) (in the valley the best of "
              "four), backtracking from 1, the rate that minimises the loss (to 1 % of the slope), Adam, L-BFGS, "
              "Newton; times the seconds of a step of one training, timed over as many as the median start needs.")
def other_ways_down(seed: int) -> Outcome:
    """Steps and seconds of each method in each landscape, over those of the best fixed rate."""
    steps = {(name, place): steps_of(method, LANDSCAPES[place], seed) for name, method in METHODS.items()
             for place in LANDSCAPES}
    per_step = step_seconds({key: float(np.median(each)) for key, each in steps.items()}, seed)
    spent = {key: hit_interval(each, each, each, per_step[key]) for key, each in steps.items()}
    counted = {key: median_interval(each) for key, each in steps.items()}
    in_steps, in_seconds = ratios(steps), ratios(steps, per_step)
    said = {place: expected_steps(LANDSCAPES[place], seed) for place in LANDSCAPES}
    worst = {place: worst_steps(LANDSCAPES[place], seed) for place in LANDSCAPES if LANDSCAPES[place]}
    return Outcome(
        verdict=judge_methods(by_method(in_steps), by_method(in_seconds)),
        sentence=f"At {STEEPEST} the steps to a gradient norm of 0.001 were "
                 + ", ".join(f"{estimate_words(counted[name, STEEPEST])} by {name}" for name in METHODS)
                 + f"; {', '.join(f'{name} took {seconds_words(spent[name, STEEPEST])}' for name in TOLD)}. "
                   f"{DEFAULT} took up to {estimate_words(largest(in_steps, DEFAULT)[1])} times the steps of the best "
                   "fixed rate.",
        findings=[
            *_largest_findings("steps", in_steps),
            *(finding(f"steps: {name}, {place}", each, "steps", said[place].get(name, math.nan))
              for (name, place), each in counted.items()),
            *(finding(f"steps: {SEARCH} from its worst start, {place}", median_interval(measured), "steps", expected)
              for place, (measured, expected) in worst.items()),
            *_largest_findings("seconds", in_seconds),
            *(finding(f"seconds: {name}, {place}", each, "seconds") for (name, place), each in spent.items())],
        pictures=[_picture("Steps to the minimum of a quadratic against its condition number",
                           "steps to a gradient norm of 0.001", counted,
                           [theory("a fixed rate, by formula", problems.CONDITIONS,
                                   [said[place][FIXED] for place in worst])]),
                  _picture("Seconds to the minimum of a quadratic against its condition number",
                           "seconds to a gradient norm of 0.001", spent, [])])


def judge_methods(steps: Sequence[Sequence[Estimate]], seconds: Sequence[Sequence[Estimate]]) -> str:
    """Holds: every method takes fewer steps and less time than the best fixed rate in every landscape. With limits:
    some method takes fewer steps in every landscape.

    Args:
        steps, seconds: of each method in each landscape, over those of the best fixed rate.
    """
    fewer = [all(ratio.high < 1 for ratio in each) for each in steps]
    sooner = [all(ratio.high < 1 for ratio in each) for each in seconds]
    return verdict(all(fewer) and all(sooner), any(fewer))


def steps_of(method: Method, condition: float, seed: int) -> Array:
    """Steps to the gradient norm at the best of the method's rates, ∞ for a miss, (32,)."""
    begin = problems.landscape_starts(condition, TUNING + REPORTED, seed)
    return of_best(*descend(method.optimizer, method.rates or fixed_rates(condition), begin, seed), TUNING, BUDGET)[0]


def descend(optimizer: str, rates: Sequence[float], begin: Mapping[str, Array], seed: int) -> tuple[Array, gdjax.Runs]:
    """Steps to the gradient norm, ∞ for a miss, (starts, rates), and the runs that they are of."""
    runs = gdjax.bgd(problems.landscape(), optimizer=optimizer, rates=list(rates), starts=begin, key=seed,
                     max_steps=BUDGET, tolerance=NEAR, width=1, program=program(optimizer))
    return by_start(np.where(runs.status == gdjax.stopping.CONVERGED, runs.steps, np.inf), runs), runs


def program(optimizer: str) -> gdjax.Program:
    """The one-lane program of an optimizer in all landscapes, compiled once."""
    made = gdjax.compile(problems.landscape(), batch_size=1, optimizer=optimizer, width=1, tolerance=NEAR)
    assert isinstance(made, gdjax.Program)
    return made


def fixed_rates(condition: float) -> Sequence[float]:
    """2/(κ + 1), the best fixed rate of a quadratic; four to choose from in the valley."""
    return [2 / (condition + 1)] if condition else VALLEY_RATES


def expected_steps(condition: float, seed: int) -> dict[str, float]:
    """Median steps on a quadratic by formula: Newton's 1, a fixed rate's (about κ/2 · log(‖∇J(x₀)‖/ε)).

    At the rate 2/(κ + 1) the gradient shrinks by (κ − 1)/(κ + 1) along the flattest and the steepest direction, by
    more along the others, which are gone when the end comes.
    """
    if not condition:
        return {}
    x = problems.landscape_starts(condition, TUNING + REPORTED, seed)["x"][TUNING:]
    slope = np.linalg.norm((problems.curvatures(condition) * x)[:, [0, -1]], axis=1)
    return {NEWTON: 1.0, FIXED: float(np.median([contraction_steps(each, condition) for each in slope]))}


def contraction_steps(slope: float, condition: float) -> int:
    """Steps from a gradient norm to that of the end where each multiplies it by (κ − 1)/(κ + 1).

    Example:
        >>> contraction_steps(1.0, 3.0)
        10
    """
    return math.ceil(math.log(slope / NEAR) / math.log((condition + 1) / (condition - 1)))


def worst_steps(condition: float, seed: int) -> tuple[Array, float]:
    """Steps of step search from 32 of its worst starts of one gradient norm, (32,), and what theory says.

    Where the gradient is as large along the flattest as along the steepest direction and 0 along the others, the rate
    that minimises the loss is 2/(κ + 1) in every step, and each takes the loss to ((κ − 1)/(κ + 1))² of itself.

    Source: Kantorovich's inequality, Nocedal & Wright 2006, theorem 3.3; the start: Bertsekas 1999, section 1.3.
    """
    method = METHODS[SEARCH]
    steps, _ = descend(method.optimizer, method.rates, worst_starts(condition, seed), seed)
    return steps[:, 0], contraction_steps(math.sqrt(2), condition)


def worst_starts(condition: float, seed: int) -> dict[str, Array]:
    """32 starts whose gradient is 1 or −1 along the flattest and the steepest direction, 0 along the others."""
    x = np.zeros((REPORTED, problems.LANDSCAPE_DIM))
    x[:, [0, -1]] = np.random.default_rng(seed).choice([-1.0, 1.0], (REPORTED, 2)) / [1.0, condition]
    return {"condition": np.full(REPORTED, condition), "x": x}


def ratios(steps: Mapping[Place, Array], per_step: Mapping[Place, Array] | None = None) -> dict[Place, Estimate]:
    """Median steps, or seconds where those of a step are given, over those of the fixed rate from the same starts."""
    found = {}
    for name, place in steps:
        if name != FIXED:
            scales = None if per_step is None else (per_step[name, place], per_step[FIXED, place])
            found[name, place] = ratio_of_medians(steps[name, place], steps[FIXED, place], paired=True, scales=scales)
    return found


def by_method(found: Mapping[Place, Estimate]) -> list[list[Estimate]]:
    """Ratios of each method in the landscapes."""
    return [[each for (other, _), each in found.items() if other == name] for name in METHODS if name != FIXED]


def step_seconds(medians: Mapping[Place, float], seed: int) -> dict[Place, Array]:
    """Seconds of a step of one training, (10,) each: of as many as the median start needs, less a call without any.

    What searches takes longer where more rates are tried, so it is timed in each landscape and no farther than the
    minimum, where a search finds nothing.
    """
    counts: dict[Timed, int] = {}
    for (name, place), median in medians.items():
        method = METHODS[name]
        steps = int(np.clip(median, 1, LONG)) if math.isfinite(median) else LONG
        counts[method.optimizer, STEEPEST if method.even else place] = LONG if method.even else steps
    runs: dict[Timed, Callable[[int], object]] = {(optimizer, ""): of_steps(optimizer, STEEPEST, 0)
                                                  for optimizer, _ in counts}
    runs |= {key: of_steps(*key, steps) for key, steps in counts.items()}
    jobs = [clock.calibrate(key, run, SAMPLE_S, REPEATS) for key, run in runs.items()]
    calls: dict[Timed, dict[int, float]] = {key: {} for key in runs}
    for sample in clock.samples(jobs, seed):
        if not (sample.warmup or sample.voided):
            calls[sample.label[0], sample.label[1]][sample.repeat] = sample.seconds / sample.count
    seconds = {}
    for optimizer, place in counts:
        call, empty = calls[optimizer, place], calls[optimizer, ""]
        rest = [call[turn] - empty[turn] for turn in call if turn in empty]
        seconds[optimizer, place] = np.maximum(rest, 0.0) / counts[optimizer, place]
    return {(name, place): seconds[METHODS[name].optimizer, STEEPEST if METHODS[name].even else place]
            for name, place in medians}


def of_steps(optimizer: str, place: str, steps: int) -> Callable[[int], object]:
    """A function that makes so many steps, so many times, from a random start in a landscape."""
    rate = next(each.rates[0] if each.rates else fixed_rates(LANDSCAPES[place])[0]
                for each in METHODS.values() if each.optimizer == optimizer)
    setting = gdjax.Setting(gdjax.schedules.constant(), rate)
    runs = (program(optimizer).stepper([setting], key=key) for key in itertools.count())
    run = next(run for run in runs if _landscape(run) == np.float32(LANDSCAPES[place]))
    return lambda count: [run(steps) for _ in range(count)]


def largest(found: Mapping[Place, Estimate], name: str) -> tuple[str, Estimate]:
    """Where a method does worst beside the fixed rate, and the ratio there."""
    return max(((place, each) for (other, place), each in found.items() if other == name),
               key=lambda pair: pair[1].value)


def _landscape(run: gdjax.Stepper) -> float:
    """Condition number of the start that a one-lane program steps from."""
    params, *_ = cast("tuple[object, ...]", run(0))
    return float(leaf_of(params, "condition").item())


def _largest_findings(unit: str, found: Mapping[Place, Estimate]) -> list[Finding]:
    worst = {name: largest(found, name) for name in METHODS if name != FIXED}
    return [finding(f"{unit} over those of the best fixed rate, at most: {name}, {place}", each, "×")
            for name, (place, each) in sorted(worst.items(), key=lambda item: item[1][1].value, reverse=True)]


def _picture(title: str, y_label: str, found: Mapping[Place, Estimate], theories: Sequence[Series]) -> Picture:
    quadratics = [place for place, condition in LANDSCAPES.items() if condition]
    lines = [series(name, problems.CONDITIONS, [found[name, place] for place in quadratics]) for name in METHODS]
    return Picture(title, "condition number κ", y_label, [*lines, *theories])
