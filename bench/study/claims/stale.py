"""Claim 16: descent by gradients that are some steps old."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

import gdjax
from bench.analysis.intervals import Estimate, median_interval, ratio_of_medians, wilson
from bench.analysis.words import estimate_words, number
from bench.study.claim import Outcome, Picture, claim
from bench.study.claims import problems
from bench.study.claims.parts import Array, by_start, finding, near, of_best, percent, series, theory, verdict
from bench.study.claims.rates import bracket

DELAYS = (0, 1, 2, 4, 8)
SPECTRUM = np.array([4.0, 1.0])
TUNING, REPORTED = 8, 32
RATES, ROUNDS = 16, 3
EDGE_STEPS = 10_000  # growth by 0.1 % of the rate at the longest delay: e^1.3 in them
SHARES = np.linspace(0.1, 0.9, 17)  # of the largest stable rate, to choose the best from
NEAR = 1e-3  # gradient norm at which descent stops
STEPS = 2000
SLACK = 0.01
OPTIMIZER = gdjax.optimizers.delayed(gdjax.optimizers.get("sgd"), longest=max(DELAYS))


@claim(16, "stale gradients",
       statement="Updates may come from stale gradients (asynchronous descent): it still gets down, at smaller rates.",
       method="A quadratic of curvatures 4 and 1, gradients 0, 1, 2, 4 and 8 steps old: bisection of the rate from "
              "which the loss grows over 10,000 steps, 32 starts; steps to a gradient norm of 0.001 at the best of 17 "
              "rates below it (chosen on 8 starts, reported on 32 others).")
def stale_gradients(seed: int) -> Outcome:
    """The largest stable rate and the steps at the best one, by delay."""
    edges = stable_edges(DELAYS, seed)
    steps = best_steps(DELAYS, edges, seed)
    reached = [wilson(int(np.isfinite(each).sum()), len(each)) for each in steps]
    counted = [median_interval(each) for each in steps]
    dearer = [ratio_of_medians(each, steps[0], paired=True) for each in steps]
    said = [stable_rate(delay) for delay in DELAYS]
    shrunk = edges[0].value / edges[-1].value
    return Outcome(
        verdict=judge_stale(edges, DELAYS, reached),
        sentence=f"Gradients {DELAYS[-1]} steps old were stable up to a rate of {estimate_words(edges[-1])}/λ_max, "
                 f"where theory says {number(said[-1])}, {number(shrunk)} times less than fresh ones; at its best rate "
                 f"descent took {estimate_words(dearer[-1])} times the steps, and {percent(reached[-1])} of the starts "
                 "arrived.",
        findings=[
            *(finding(f"largest stable rate × λ_max, delay {delay}", edge, "", expected)
              for delay, edge, expected in reversed(list(zip(DELAYS, edges, said, strict=True)))),
            *(finding(f"steps at the best rate, delay {delay}", each, "steps")
              for delay, each in zip(DELAYS, counted, strict=True)),
            *(finding(f"steps over those of fresh gradients, delay {delay}", each, "×")
              for delay, each in zip(DELAYS[1:], dearer[1:], strict=True)),
            *(finding(f"starts that arrive, delay {delay}", each, "share", 1.0)
              for delay, each in zip(DELAYS, reached, strict=True))],
        pictures=[Picture("The largest stable rate against the age of the gradients", "delay τ, steps",
                          "largest stable rate × λ_max",
                          [series("measured by bisection", DELAYS, edges, line=False),
                           theory("2 sin(π/(2(2τ + 1)))", DELAYS, said)], x_log=False),
                  Picture("Steps at the best rate against the age of the gradients", "delay τ, steps",
                          "steps to a gradient norm of 0.001",
                          [series("measured, median of 32 starts", DELAYS, counted)], x_log=False)])


def judge_stale(edges: Sequence[Estimate], delays: Sequence[int], reached: Sequence[Estimate]) -> str:
    """Holds: at every delay most starts arrive, and the largest stable rate is within 1 % of that of the formula. With
    limits: at every delay most starts arrive.
    """
    arrive = all(share.low > 0.5 for share in reached)
    lawful = all(near(stable_rate(delay), edge, SLACK) for delay, edge in zip(delays, edges, strict=True))
    return verdict(arrive and lawful, arrive)


def stable_rate(delay: int) -> float:
    """The largest stable rate of gradients τ steps old, in units of 1/λ_max: 2 sin(π/(2(2τ + 1))).

    There a root of z^(τ + 1) − z^τ + rate·λ, by which x goes on, is on the unit circle: z = e^(iπ/(2τ + 1)).

    Example:
        >>> stable_rate(0), round(stable_rate(1), 12)
        (2.0, 1.0)

    Source: Levin & May 1976, "A note on difference-delay equations", Theoretical Population Biology 9(2).
    """
    return 2 * math.sin(math.pi / (2 * (2 * delay + 1)))


def stable_edges(delays: Sequence[int], seed: int) -> list[Estimate]:
    """The rate × λ_max at which the loss begins to grow, middle and ends of the last bracket, for each delay.

    Every round tries 16 rates from 32 starts for all delays at once, see `rates.bracket`.
    """
    tried = [np.geomspace(0.05, 4.0, RATES)] * len(delays)
    ends: list[tuple[float, float]] = []
    for _ in range(ROUNDS):
        grows = growing(delays, tried, seed)
        ends = [bracket(rates, grows[:, place]) for place, rates in enumerate(tried)]
        tried = [np.linspace(low, high, RATES) for low, high in ends]
    return [Estimate((low + high) / 2, low, high) for low, high in ends]


def growing(delays: Sequence[int], tried: Sequence[Array], seed: int) -> Array:
    """Which (start, delay, rate) have a larger loss at the end than at the start, or diverge: bool."""
    runs = gdjax.bgd(problems.any_quadratic(2), optimizer=OPTIMIZER, rates=None, settings=_settings(delays, tried),
                     starts=problems.quadratic_starts(SPECTRUM, 2, REPORTED, seed), key=seed, max_steps=EDGE_STEPS)
    grown = ~(runs.final_loss < runs.start_loss) | (runs.status == gdjax.stopping.DIVERGED)
    return by_start(grown, runs).reshape(REPORTED, len(delays), -1)


def best_steps(delays: Sequence[int], edges: Sequence[Estimate], seed: int) -> list[Array]:
    """Steps to the gradient norm at the best rate, ∞ for a miss, (32,) for each delay."""
    begin = problems.quadratic_starts(SPECTRUM, 2, TUNING + REPORTED, seed)
    found = []
    for delay, edge in zip(delays, edges, strict=True):
        runs = gdjax.bgd(problems.any_quadratic(2), optimizer=OPTIMIZER, rates=None, starts=begin, key=seed,
                         settings=_settings([delay], [SHARES * edge.value]), max_steps=STEPS, tolerance=NEAR)
        steps = np.where(runs.status == gdjax.stopping.CONVERGED, runs.steps, np.inf)
        found.append(of_best(by_start(steps, runs), runs, TUNING, STEPS)[0])
    return found


def _settings(delays: Sequence[int], tried: Sequence[Array]) -> list[gdjax.Setting]:
    return [gdjax.Setting(gdjax.schedules.constant(), float(rate) / SPECTRUM.max(), {"delay": delay})
            for delay, rates in zip(delays, tried, strict=True) for rate in rates]
