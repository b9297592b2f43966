"""Claim 12: how progress slows near a minimum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

import gdjax
from bench.analysis.intervals import Estimate, median_interval
from bench.study.claim import Outcome, Picture, claim
from bench.study.claims import problems
from bench.study.claims.parts import (
    Array,
    finding,
    hit_steps,
    leaf_of,
    log_slope,
    medians,
    precise,
    series,
    theory,
    verdict,
)

STARTS = 32
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
                     starts=problems.quadratic_starts(CURVED, 2, STARTS, seed))
    return np.diff(hit_steps(runs)[:, 0], axis=1)


def decades(problem: gdjax.Problem, rate: float, goals: Sequence[float], budget: int, seed: int) -> Array:
    """Steps between one goal and the next, (32, goals − 1)."""
    runs = gdjax.bgd(problem, rates=rate, starts=STARTS, key=seed, max_steps=budget, marks=512, targets=list(goals))
    return np.diff(hit_steps(runs)[:, 0], axis=1)


def step_lengths(seed: int) -> tuple[Array, Array]:
    """Distance from the minimum and length of the next step after 16, 32, 64 and 128 steps, (32, 4) each."""
    begin = problems.quadratic_starts(CURVED, 2, STARTS, seed)
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
