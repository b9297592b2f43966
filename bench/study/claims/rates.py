"""Claims 1 and 2: what a rate too small, too large, or fixed does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

import gdjax
from bench.analysis.intervals import Estimate, median_interval, wilson
from bench.analysis.words import estimate_words
from bench.study.claim import Outcome, Picture, claim
from bench.study.claims import problems
from bench.study.claims.parts import (
    Array,
    array_of,
    by_start,
    finding,
    leaf_of,
    log_slope,
    medians,
    near,
    percent,
    series,
    theory,
    verdict,
)

SPECTRA: dict[str, Array] = {
    "curvature 2": np.array([2.0]),
    "curvatures 1 and 4": np.array([1.0, 4.0]),
    "10 curvatures from 0.1 to 10": np.geomspace(0.1, 10, 10),
    "10 curvatures from 1 to 25": np.geomspace(1, 25, 10),
    "5 curvatures from 2 to 100": np.geomspace(2, 100, 5),
}
DIM = 10
STARTS, RATES, ROUNDS = 32, 32, 4
EDGE_STEPS, EDGE_MARKS = 2000, 16  # last but one at step 1,262, when only the steepest direction is left
TOLERANCE = 1e-3
SMALL = 0.05  # shares of the divergence edge up to which a rate counts as small
EDGE_SLACK = 1e-3

BOUNCE_STEPS, BOUNCE_STARTS = 1000, 64
SCHEDULES = {"constant rate": gdjax.schedules.constant(),
             "inverse-time decay": gdjax.schedules.inverse_time(decay=300.0),
             "exponential decay": gdjax.schedules.exponential(decay=8.0)}
ROUNDED = 1e-7  # distances below are rounding, and 0 has no place on a log axis
BOUNCES, SETTLES = 0.1, 0.01  # distance from the minimum at the end, in lengths of the first step


@claim(1, "rate too small or too large",
       statement="Too small a rate needs many more steps; too large a one oscillates round the minimum or diverges.",
       method="Bisection of the rate at which the loss starts to grow, on five quadratics, 32 starts each; steps to a "
              "gradient norm of 0.001 on a parabola for 32 rates from a thousandth of that edge up.")
def rate_too_small_or_too_large(seed: int) -> Outcome:
    """Divergence edges by bisection, and steps against the rate."""
    edges = {name: divergence_edge(spectrum, seed) for name, spectrum in SPECTRA.items()}
    shares = np.geomspace(1e-3, 0.995, RATES)
    steps, expected = steps_of_shares(shares, seed)
    small = shares <= SMALL
    slope = log_slope(shares[small], list(steps[:, small].T), seed=seed)
    best = int(np.argmin(np.median(steps, axis=0)))
    dearer = median_interval(steps[:, 0] / steps[:, best])
    stays, jumps = crossings(shares, seed)
    low, high = (min(edges.values()), max(edges.values()))
    return Outcome(
        verdict=judge_rates(list(edges.values()), slope, dearer, jumps),
        sentence=f"Descent on five quadratics began to diverge between {low.low:.6f} and {high.high:.6f} of 2/λ_max; "
                 f"a rate of a thousandth of that needed {estimate_words(dearer)} times the steps of the best rate, "
                 f"and above half of it {percent(jumps)} of the starts jumped across the minimum at every rate.",
        findings=[
            *(finding(f"divergence edge in units of 2/λ_max: {name}", edge, "×", 1.0) for name, edge in edges.items()),
            finding("slope of log steps against log rate, small rates", slope, expected=-1.0),
            finding("steps at a thousandth of the edge over steps at the best rate", dearer, "×"),
            finding("starts that jump across the minimum at some rate below half the edge", stays, "share", 0.0),
            finding("starts that jump across the minimum at every rate above half the edge", jumps, "share", 1.0)],
        pictures=[_steps_picture(shares, steps, expected), _edges_picture(edges)])


def judge_rates(edges: Sequence[Estimate], slope: Estimate, dearer: Estimate, crossing: Estimate) -> str:
    """Holds: every edge is 2/λ_max within 0.1 %, small rates cost ∝ 1/rate (the slope's interval within 0.1 of −1) and
    10 times the steps, and large rates overshoot from most starts. With limits: every edge within 10 %, and small rates
    cost more.
    """
    slack = max(max(abs(edge.low - 1), abs(edge.high - 1)) for edge in edges)
    whole = slack <= EDGE_SLACK and near(-1.0, slope, 0.1) and dearer.low > 10 and crossing.low > 0.5
    return verdict(whole, slack <= 0.1 and dearer.low > 1)


def divergence_edge(spectrum: Array, seed: int) -> Estimate:
    """The rate, in units of 2/λ_max, from which the loss grows: middle and ends of the last bracket.

    Every round tries 32 rates at once from 32 starts and keeps the stretch between the last rate at which no start
    grows and the first from which on all do.
    """
    low, high = 0.5, 2.0
    for _ in range(ROUNDS):
        shares = np.linspace(low, high, RATES)
        low, high = bracket(shares, growing(spectrum, shares, seed))
    return Estimate((low + high) / 2, low, high)


def bracket(shares: Array, grows: Array) -> tuple[float, float]:
    """The last of the rates below which no start grows, and the first above which all do.

    Args:
        shares: (rates,) increasing.
        grows: (starts, rates) bool.

    Example:
        >>> bracket(np.array([1.0, 2.0, 3.0]), np.array([[False, False, True]]))
        (2.0, 3.0)
    """
    some, whole = np.asarray(grows.any(axis=0)), np.asarray(grows.all(axis=0))
    first_some = int(np.argmax(some)) if some.any() else len(shares) - 1
    last_partial = len(shares) - 1 - int(np.argmax(~whole[::-1])) if not whole.all() else 0
    return float(shares[max(first_some - 1, 0)]), float(shares[min(last_partial + 1, len(shares) - 1)])


def growing(spectrum: Array, shares: Array, seed: int) -> Array:
    """Which (start, rate) end with a larger loss than at the mark before, or diverge: (starts, rates) bool."""
    begin = problems.quadratic_starts(spectrum, DIM, STARTS, seed)
    runs = gdjax.bgd(problems.any_quadratic(DIM), rates=list(shares * 2 / spectrum.max()), starts=begin, key=seed,
                     max_steps=EDGE_STEPS, marks=EDGE_MARKS)
    grown = runs.final_loss > np.nan_to_num(runs.curve[:, -2], nan=np.inf)
    return by_start(grown | (runs.status == gdjax.stopping.DIVERGED), runs)


def steps_of_shares(shares: Array, seed: int) -> tuple[Array, Array]:
    """Steps to a gradient norm of 0.001 on ½x², (starts, shares), and what |1 − 2·share|^steps predicts."""
    begin = problems.quadratic_starts(np.ones(1), DIM, STARTS, seed)
    runs = gdjax.bgd(problems.any_quadratic(DIM), rates=list(2 * shares), starts=begin, key=seed, max_steps=20_000,
                     tolerance=TOLERANCE)
    distance = np.abs(begin["x"][:, :1])
    with np.errstate(divide="ignore"):
        expected = np.ceil(np.maximum(np.log(TOLERANCE / distance), -np.inf) / np.log(np.abs(1 - 2 * shares)))
    return np.maximum(by_start(runs.steps, runs).astype(float), 1.0), np.maximum(expected, 1.0)


def crossings(shares: Array, seed: int) -> tuple[Estimate, Estimate]:
    """Shares of starts on ½x² that one step takes across the minimum: at some share of the edge below ½, at all above.

    A step multiplies x by 1 − 2·share, so what the first step does every step does.
    """
    begin = problems.quadratic_starts(np.ones(1), DIM, STARTS, seed)
    runs = gdjax.bgd(problems.any_quadratic(DIM), rates=list(2 * shares), starts=begin, key=seed, max_steps=1,
                     tolerance=TOLERANCE)
    across = np.asarray(by_start(leaf_of(runs.params, "x")[:, 0], runs) * begin["x"][:, :1] < 0)
    below, above = across[:, shares < 0.5].any(axis=1), across[:, shares > 0.5].all(axis=1)
    return wilson(int(below.sum()), STARTS), wilson(int(above.sum()), STARTS)


@dataclass(frozen=True)
class Bounce:
    """What a problem did at a rate that bounces, and with that rate decaying.

    Args:
        steps: (marks,) where distances were looked at.
        distances: schedule -> (starts, marks), from the minimum, in lengths of the first step.
        repeats: share of starts that are back after two steps, and not after one, at the end of the constant rate.
    """

    steps: Array
    distances: dict[str, Array]
    repeats: Estimate

    def end(self, schedule: str) -> Estimate:
        """Median distance at the end."""
        return median_interval(self.distances[schedule][:, -1])


@claim(2, "fixed and decaying rates",
       statement="A fixed rate can bounce between two points for ever; a decaying one settles.",
       method="(x − 3)² at rate 1, |x| at rate 1/2: distance from the minimum after 1,000 steps of 64 starts, with the "
              "rate constant and with two decays of it; whether x repeats after two steps.")
def fixed_and_decaying_rates(seed: int) -> Outcome:
    """Two problems on which a fixed rate bounces, each with and without decay."""
    found = {"(x − 3)², rate 1": bounce(gdjax.problems.get("parabola"), 1.0, 3.0, seed),
             "|x|, rate 1/2": bounce(problems.absolute(), 0.5, 0.0, seed)}
    fixed, *decays = SCHEDULES
    worst = max(each.end(name).high for each in found.values() for name in decays)
    ends = {problem: each.end(fixed) for problem, each in found.items()}
    first, second = found
    return Outcome(
        verdict=judge_bounces([(each.repeats, each.end(fixed), [each.end(name) for name in decays])
                               for each in found.values()]),
        sentence=f"After 1,000 steps a fixed rate still bounced between two points from "
                 f"{percent(found[first].repeats)} of the starts on {first}, {estimate_words(ends[first])} first steps "
                 f"from the minimum, and from {percent(found[second].repeats)} on {second}; with either decay the "
                 f"median distance was at most {worst:.2g} first steps.",
        findings=[
            *(finding(f"starts whose point repeats after two steps: {problem}, constant rate", each.repeats, "share",
                      1.0) for problem, each in found.items()),
            *(finding(f"distance from the minimum at the end: {problem}, {name}", each.end(name), "first steps",
                      0.5 if (problem, name) == (first, fixed) else float("nan"))
              for problem, each in found.items() for name in SCHEDULES)],
        pictures=[_bounce_picture(problem, each) for problem, each in found.items()])


def judge_bounces(cases: Sequence[tuple[Estimate, Estimate, Sequence[Estimate]]]) -> str:
    """Holds: on every problem most starts repeat after two steps, a tenth of a first step or more from the minimum, and
    every decay ends within a hundredth. With limits: on some problem.
    """
    good = [repeats.low > 0.5 and fixed.low > BOUNCES and all(decay.high < SETTLES for decay in decays)
            for repeats, fixed, decays in cases]
    return verdict(all(good), any(good))


def bounce(problem: gdjax.Problem, rate: float, minimum: float, seed: int) -> Bounce:
    """Distances of 64 starts from the minimum of a problem in one variable, by schedule."""
    steps = np.unique(np.geomspace(1, BOUNCE_STEPS, 24).round()).astype(int)
    begin = np.random.default_rng(seed).uniform(minimum - 5, minimum + 5, BOUNCE_STARTS)
    places = np.stack([places_after(problem, rate, int(count), begin) for count in steps], axis=-1)
    before, last = (places_after(problem, rate, BOUNCE_STEPS - back, begin)[:, 0] for back in (2, 1))
    end = places[:, 0, -1]
    first_step = np.abs(places[:, 0, 0] - begin)
    distances = np.abs(places - minimum) / first_step[:, None, None]
    back = (np.abs(end - before) < SETTLES * first_step) & (np.abs(end - last) > BOUNCES * first_step)
    repeats = wilson(int(back.sum()), len(end))
    return Bounce(steps, {name: distances[:, i] for i, name in enumerate(SCHEDULES)}, repeats)


def places_after(problem: gdjax.Problem, rate: float, steps: int, begin: Array) -> Array:
    """Where x is after so many steps of the 1,000, (starts, schedules)."""
    whole = [schedule.in_epochs(BOUNCE_STEPS) for schedule in SCHEDULES.values()]  # an epoch is a step here
    runs = gdjax.bgd(problem, rates=rate, schedules=whole, starts=begin, key=0, max_steps=steps)
    return by_start(array_of(runs.params), runs)


def _bounce_picture(problem: str, found: Bounce) -> Picture:
    return Picture(f"Distance from the minimum with and without decay: {problem}", "steps",
                   "distance from the minimum, in first steps",
                   [series(name, found.steps, medians(np.maximum(distances, ROUNDED)))
                    for name, distances in found.distances.items()])


def _steps_picture(shares: Array, steps: Array, expected: Array) -> Picture:
    return Picture("Steps to reach the minimum against the rate: few only near the middle of the stable range",
                   "rate, as a share of 2/λ_max", "steps to a gradient norm of 0.001",
                   [series("measured, median of 32 starts", shares, medians(steps)),
                    theory("log(tolerance/|x₀|) / log|1 − rate·h|", shares, np.median(expected, axis=0))])


def _edges_picture(edges: dict[str, Estimate]) -> Picture:
    curvature = np.array([SPECTRA[name].max() for name in edges])
    scaled = [Estimate(*(2 * part / h for part in edge)) for edge, h in zip(edges.values(), curvature, strict=True)]
    order = np.argsort(curvature)
    return Picture("The rate at which descent diverges against the largest curvature", "largest curvature λ_max",
                   "rate at the edge of divergence",
                   [series("measured by bisection", curvature[order], [scaled[i] for i in order], line=False),
                    theory("2/λ_max", curvature[order], 2 / curvature[order])])
