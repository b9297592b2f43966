"""Claims 9 and 10: leaving a local minimum by noise, and standing still where the gradient is zero."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import gdjax
from bench.analysis.intervals import Estimate, wilson
from bench.study.claim import Outcome, Picture, claim
from bench.study.claims import problems
from bench.study.claims.parts import (
    Array,
    array_of,
    by_start,
    finding,
    hit_steps,
    mean_interval,
    medians,
    near,
    percent,
    precise,
    series,
    theory,
    verdict,
)

WELL_RATES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
WELL_STARTS, WELL_STEPS = 256, 2000
HILL = 0.1010  # between the wells: x³ − x + 0.1 = 0

FLAT_STARTS = 64
OFFSETS = (1e-2, 1e-4, 1e-6, 1e-8, 1e-10, 1e-12)
ESCAPE_RATES = (0.05, 0.1, 0.2)
REACH = 0.1  # a start has left the saddle when |y| is this
LONG = 3000
STILL = 1e-4  # gradient norm at which descent stops
FAR = 6.0  # from the hole of the plateau


@claim(9, "escaping a local minimum",
       statement="SGD escapes local minima more easily than BGD.",
       method="A tilted double well with noisy examples: 256 starts in the basin of its local minimum, 2,000 steps of "
              "SGD and of BGD with the same six rates; share that end in the basin of the global one.")
def escaping_a_local_minimum(seed: int) -> Outcome:
    """Shares of starts that cross the hill, against the rate, with one example a step and with all."""
    problem = problems.noisy_double_well()
    begin = np.random.default_rng(seed).uniform(0.3, 1.5, WELL_STARTS)
    single = crossed(gdjax.sgd(problem, rates=WELL_RATES, starts=begin, key=seed, max_steps=WELL_STEPS))
    full = crossed(gdjax.bgd(problem, rates=WELL_RATES, starts=begin, key=seed, max_steps=WELL_STEPS))
    best = int(np.argmax([share.value for share in single]))
    never = [rate for rate, share in zip(WELL_RATES, single, strict=True) if share.value < 0.01]
    return Outcome(
        verdict=judge_escape(single, full),
        sentence=f"Of 256 starts in the local minimum's basin SGD at rate {WELL_RATES[best]:g} brought "
                 f"{percent(single[best])} to the global one and BGD {percent(full[best])}; "
                 + (f"at rates up to {max(never):g} fewer than 1 % left by SGD." if never
                    else "SGD left at every rate tried."),
        findings=[finding(f"starts that end in the global basin: {name}, rate {rate:g}", share, "share")
                  for name, shares in (("SGD", single), ("BGD", full))
                  for rate, share in reversed(list(zip(WELL_RATES, shares, strict=True)))],
        pictures=[Picture("Leaving the local minimum: share of starts that end in the global one's basin",
                          "constant rate", "share of 256 starts",
                          [series("SGD, one example a step", WELL_RATES, single),
                           series("BGD, all examples", WELL_RATES, full)], y_log=False)])


def judge_escape(single: Sequence[Estimate], full: Sequence[Estimate]) -> str:
    """Holds: at every rate SGD's interval lies above BGD's. With limits: at some rate it does, and at none below."""
    more = [one.low > all_.high for one, all_ in zip(single, full, strict=True)]
    less = [one.high < all_.low for one, all_ in zip(single, full, strict=True)]
    return verdict(all(more), any(more) and not any(less))


def crossed(runs: gdjax.Runs) -> list[Estimate]:
    """Share of starts that end left of the hill, by rate; a start that diverged ended nowhere."""
    left = by_start((array_of(runs.params) < HILL) & (runs.status != gdjax.stopping.DIVERGED), runs)
    return [wilson(int(column.sum()), len(column)) for column in left.T]


@claim(10, "saddles and plateaus",
       statement="A zero gradient may be a saddle or a plateau: descent stalls there.",
       method="A saddle entered exactly along its stable direction, from random starts, and beside it at distances "
              "from 1e-2 to 1e-12 (steps to leave beside ⌈log(0.1/ε)/log(1 + η|λ|)⌉); a plain with one hole. A lane "
              "stops at a gradient norm of 1e-4.")
def saddles_and_plateaus(seed: int) -> Outcome:
    """Shares of starts that stop at a saddle or on a plain, and the steps that leaving a saddle takes."""
    draw = np.random.default_rng(seed)
    on_axis = np.stack([draw.normal(size=FLAT_STARTS), np.zeros(FLAT_STARTS)], axis=1)
    anywhere = draw.normal(size=(FLAT_STARTS, 2))
    exactly, random = (stopped(problems.saddle(), begin, -0.2, seed) for begin in (on_axis, anywhere))
    plain = draw.uniform(FAR, 2 * FAR, FLAT_STARTS) * draw.choice([-1.0, 1.0], FLAT_STARTS)
    plateau = stopped(problems.plateau(), plain, 0.9, seed)
    steps = escape_steps(draw.uniform(-0.01, 0.01, FLAT_STARTS), seed)
    expected = np.array([[escape_formula(offset, rate) for offset in OFFSETS] for rate in ESCAPE_RATES])
    ratio = mean_interval(np.mean(steps / expected, axis=(1, 2)), seed=seed)
    return Outcome(
        verdict=judge_flat(exactly, random, plateau, ratio),
        sentence=f"Descent stopped at the saddle from {percent(exactly)} of the starts on its stable axis but from "
                 f"{percent(random)} of random ones: a start ε beside it left in {precise(ratio)} times "
                 f"⌈log(0.1/ε)/log(1 + η|λ|)⌉ steps; on a plateau it stopped from {percent(plateau)}.",
        findings=[
            finding("random starts that stop at the saddle", random, "share", 0.0),
            finding("starts on the stable axis that stop at the saddle", exactly, "share", 1.0),
            finding("starts on the plain that stop there", plateau, "share", 1.0),
            finding("steps to leave the saddle over the formula's", ratio, "×", 1.0)],
        pictures=[_escape_picture(steps, expected)])


def judge_flat(exactly: Estimate, random: Estimate, plateau: Estimate, ratio: Estimate) -> str:
    """Holds: most random starts stop at the saddle, as do most on the plain. With limits: only starts exactly on the
    saddle's axis or on the plain stop; others leave in the steps of the formula, to 10 %.
    """
    return verdict(random.low > 0.5 and plateau.low > 0.5,
                   exactly.low > 0.5 and plateau.low > 0.5 and near(1.0, ratio, 0.1))


def stopped(problem: gdjax.Problem, begin: Array, height: float, seed: int) -> Estimate:
    """Share of starts that stop for a small gradient while the loss is above `height`."""
    runs = gdjax.bgd(problem, rates=0.1, starts=begin, key=seed, max_steps=LONG, tolerance=STILL)
    still = (runs.status == gdjax.stopping.CONVERGED) & (runs.final_loss > height)
    return wilson(int(still.sum()), len(still))


def escape_formula(offset: float, rate: float) -> float:
    """Steps that y takes from `offset` to 0.1 where y ← (1 + rate)·y: ⌈log(0.1/offset)/log(1 + rate)⌉.

    Example:
        >>> escape_formula(1e-2, 1.0)
        4.0
    """
    return float(np.ceil(np.log(REACH / offset) / np.log1p(rate)))


def escape_steps(along: Array, seed: int) -> Array:
    """Steps until |y| is 0.1, by the loss there, from (along, offset): (starts, rates, offsets)."""
    begin = np.stack([np.repeat(along, len(OFFSETS)), np.tile(OFFSETS, len(along))], axis=1)
    goal = REACH**4 / 4 - REACH**2 / 2
    runs = gdjax.bgd(problems.saddle(), rates=ESCAPE_RATES, starts=begin, key=seed, max_steps=1000, marks=512,
                     targets=[goal])
    steps = hit_steps(runs)[:, :, 0].reshape(len(along), len(OFFSETS), len(ESCAPE_RATES))
    return steps.transpose(0, 2, 1)


def _escape_picture(steps: Array, expected: Array) -> Picture:
    lines = []
    for place, rate in enumerate(ESCAPE_RATES):
        lines.append(series(f"rate {rate:g}", OFFSETS, medians(steps[:, place]), line=False))
        lines.append(theory(f"⌈log(0.1/ε)/log(1 + {rate:g})⌉", OFFSETS, expected[place]))
    return Picture("Steps to leave a saddle against how near it one starts", "distance ε from the saddle's stable axis",
                   "steps until the distance is 0.1", lines, y_log=False)
