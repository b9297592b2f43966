"""Claims 5 and 6: what a larger batch saves in steps, and which batch is soonest in seconds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

import gdjax
from bench import clock
from bench.analysis.intervals import (
    Estimate,
    censored_median,
    hit_interval,
    median_interval,
    percentile_interval,
    scaled_ratio,
)
from bench.analysis.scaling import Fit, fit_hyperbola, flat_from
from bench.analysis.words import batch_label, estimate_words, seconds_words
from bench.study.claim import Outcome, Picture, claim
from bench.study.claims.parts import Array, by_start, finding, precise, series, soonest, theory, verdict

DIGITS, SMALL = "digits-softmax", "line-fit"
SIZES = (1, 8, 64, 256, 1797)
MINI = {DIGITS: 64, SMALL: 10}  # chosen beforehand: the mini-batch that is compared with SGD and BGD
LAST = {1: 13_000, 8: 2_400, 64: 500, 256: 240, 1797: 110}  # budget in steps, over twice the need
SMALL_LAST = {1: 3000, 10: 600, 100: 200}
GAP = {DIGITS: 1e-2, SMALL: 1e-3}
TUNING, REPORTED = 8, 32
WINDOW = 1.5 ** np.arange(-2.5, 3)  # six rates round the centre of a batch size
FALLING, FLAT = 0.5, 0.1  # exponents of B beyond which steps fall, and within which they are flat
SAMPLE_S, REPEATS = 0.1, 10


@dataclass(frozen=True)
class Reach:
    """Steps to the target at the best rate of a batch size, of the 32 reported starts; ∞ for a miss.

    Args:
        before, steps, after: (32,) the mark before the hit, the interpolated hit, the mark after.
        rate: chosen on eight other starts.
        edge: the chosen rate is the first or the last that was tried.
    """

    before: Array
    steps: Array
    after: Array
    rate: float
    edge: bool

    def interval(self, seconds: Array | None = None, seed: int = 1) -> Estimate:
        """Median steps, or seconds where seconds per step are given, with an interval no narrower than the bracket."""
        return hit_interval(self.before, self.steps, self.after, seconds, seed=seed)

    def over(self, other: Reach, seconds: tuple[Array, Array] | None = None) -> Estimate:
        """Median steps (or seconds) over another's at common starts, with an interval no narrower than the brackets."""
        ratio = scaled_ratio(self.steps, other.steps, paired=True, scales=seconds)
        low, high = percentile_interval(ratio.resamples)
        if np.isfinite([ratio.value, censored_median(self.steps), censored_median(other.steps)]).all():
            fast, slow = percentile_interval(ratio.of_steps)
            low = min(low, fast * censored_median(self.before) / max(censored_median(other.after), 1.0))
            high = max(high, slow * censored_median(self.after) / max(censored_median(other.before), 1.0))
        return Estimate(ratio.value, low, high)


@claim(5, "batches past which more buys nothing",
       statement="Past some batch size the direction hardly changes and more examples buy nothing: steps to target "
                 "stop falling.",
       method="digits-softmax, steps to within 1 % of the initial gap at five batch sizes, six rates each (the best "
              "on 8 starts, reported on 32 others); the hyperbola of McCandlish et al. tells where steps flatten.")
def batches_past_which_more_buys_nothing(seed: int) -> Outcome:
    """Exponents of steps in the batch size where it is small and large, and the critical batch size."""
    found = digits_reach(seed)
    problem = gdjax.problems.get(DIGITS)
    steps = [found[size].interval() for size in SIZES]
    small, large = (exponent(found[few].over(found[many]), many / few) for few, many in (SIZES[:2], SIZES[-2:]))
    fit = fit_hyperbola(np.array(SIZES), np.stack([found[size].steps for size in SIZES], axis=1),
                        np.array([LAST[size] for size in SIZES]), problem.examples, seed=seed)
    flat = Estimate(*(flat_from(part, problem.examples) for part in fit.b_crit))
    gain = found[SIZES[-2]].over(found[SIZES[-1]])
    return Outcome(
        verdict=judge_batches(small, large),
        sentence=f"From batch 1 to 8 the steps to target fell as B to the power {precise(small)}, from 256 to all "
                 f"1,797 examples as {precise(large)}: seven times the examples saved a factor of "
                 f"{estimate_words(gain)} in steps; by the fitted hyperbola steps are flat from about "
                 f"{estimate_words(flat)} examples on.",
        findings=[
            finding("exponent of steps in B, batch 256 to 1,797", large, expected=0.0),
            finding("exponent of steps in B, batch 1 to 8", small, expected=-1.0),
            finding("batch size from which steps are within 20 % of their least", flat, "examples"),
            finding("steps of batch 256 over steps of all 1,797", gain, "×"),
            *(finding(f"steps to target, batch {size}, rate {found[size].rate:.3g}"
                      f"{' (the last tried)' if found[size].edge else ''}", each, "steps")
              for size, each in zip(SIZES, steps, strict=True))],
        pictures=[_steps_picture(steps, fit, problem.examples)])


def exponent(gain: Estimate, factor: float) -> Estimate:
    """The power of the batch size that steps follow, −log gain / log factor: B times `factor` takes steps / `gain`.

    Example:
        >>> exponent(Estimate(4.0, 2.0, 8.0), 2.0)
        Estimate(value=-2.0, low=-3.0, high=-1.0)
    """
    with np.errstate(divide="ignore"):
        value, high, low = (float(each) for each in -np.log(gain) / math.log(factor))
    return Estimate(value, low, high)


def judge_batches(small: Estimate, large: Estimate) -> str:
    """Holds: at small batches steps fall faster than B^-½, at large ones slower than B^-0.1 (seven times the examples
    save less than a fifth of the steps). With limits: slower than B^-½ at large batches, and slower than at small ones.
    """
    steep = small.high < -FALLING
    return verdict(steep and large.low > -FLAT, large.low > max(-FALLING, small.high))


@claim(6, "steps against seconds",
       statement="SGD steps are cheap but there are many; BGD steps are few and dear; mini-batch wins on time.",
       method="Steps to within 1 % of the initial gap × measured seconds per step of one training, on digits-softmax "
              "(batches 1, 64, all 1,797); to within 0.1 % on a line through 100 points (1, 10, 100).")
def steps_against_seconds(seed: int) -> Outcome:
    """Steps, seconds per step and their product for SGD, a mini-batch and BGD on two problems."""
    reach = {DIGITS: digits_reach(seed), SMALL: line_reach(seed)}
    sizes = {name: (1, MINI[name], gdjax.problems.get(name).examples) for name in reach}
    seconds = step_seconds([(name, size) for name in reach for size in sizes[name]], seed)
    ratios = {(name, rival): reach[name][MINI[name]].over(reach[name][rival],
                                                          (seconds[name, MINI[name]], seconds[name, rival]))
              for name in reach for rival in (1, sizes[name][-1])}
    spent = {(name, size): reach[name][size].interval(seconds[name, size], seed=1 + place)
             for name in reach for place, size in enumerate(sizes[name])}
    steps = {key: reach[key[0]][key[1]].interval() for key in spent}
    per_step = {key: median_interval(values, seed=1) for key, values in seconds.items()}
    ordered = [_ordered(reach[name], per_step, name, sizes[name]) for name in reach]
    (digits_sgd, digits_bgd), (line_sgd, line_bgd) = ([ratios[name, rival] for rival in (1, sizes[name][-1])]
                                                      for name in reach)
    return Outcome(
        verdict=judge_seconds(ordered, [[digits_sgd, digits_bgd], [line_sgd, line_bgd]]),
        sentence=f"On {DIGITS} batch {MINI[DIGITS]} reached the target in "
                 f"{seconds_words(spent[DIGITS, MINI[DIGITS]])}, {estimate_words(digits_sgd)} of SGD's time and "
                 f"{estimate_words(digits_bgd)} of BGD's; on a line through 100 points batch {MINI[SMALL]} took "
                 f"{estimate_words(line_sgd)} of SGD's time and {estimate_words(line_bgd)} of BGD's.",
        findings=[
            *(finding(f"mini-batch seconds over those of batch {batch_label(rival, sizes[name][-1])}: {name}", ratio,
                      "×")
              for (name, rival), ratio in sorted(ratios.items(), key=lambda each: each[1].value, reverse=True)),
            *(finding(f"seconds to target: {name}, batch {batch_label(size, sizes[name][-1])}", each, "seconds")
              for (name, size), each in spent.items()),
            *(finding(f"steps to target: {name}, batch {batch_label(size, sizes[name][-1])}", each, "steps")
              for (name, size), each in steps.items()),
            *(finding(f"seconds per step: {name}, batch {batch_label(size, sizes[name][-1])}", each, "seconds")
              for (name, size), each in per_step.items())],
        pictures=[_by_batch("Seconds to train once: a dip in the middle is a mini-batch that wins", "seconds to target",
                            sizes, spent),
                  _by_batch("Steps to target: many with single examples", "steps to target", sizes, steps),
                  _by_batch("Seconds per step: dear with all examples", "seconds per step", sizes, per_step)])


def judge_seconds(ordered: Sequence[bool], ratios: Sequence[Sequence[Estimate]]) -> str:
    """Holds: on every problem SGD has the most and cheapest steps, BGD the fewest and dearest, and the mini-batch takes
    less time than both. With limits: it takes less than both on some problem.
    """
    wins = [all(ratio.high < 1 for ratio in pair) for pair in ratios]
    return verdict(all(wins) and all(ordered), any(wins))


@cache
def digits_reach(seed: int) -> Mapping[int, Reach]:
    """Steps to target of digits-softmax by batch size; both claims use them, so they are measured once."""
    return {size: reach_of(gdjax.problems.get(DIGITS), size, min(0.06 * size, 3.5) * WINDOW, LAST[size], seed)
            for size in SIZES}


def line_reach(seed: int) -> Mapping[int, Reach]:
    """Steps to target of the line through 100 points."""
    return {size: reach_of(gdjax.problems.get(SMALL), size, min(0.05 * size, 0.5) * WINDOW, last, seed, width=1)
            for size, last in SMALL_LAST.items()}


def reach_of(problem: gdjax.Problem, size: int, rates: Array, budget: int, seed: int,
             width: int | None = None) -> Reach:
    """Steps to the target at the rate with the lowest ERT over the first eight starts."""
    runs = gdjax.minibatch(problem, batch_size=size, rates=list(rates), starts=TUNING + REPORTED, key=seed,
                           max_steps=budget, targets=gdjax.targets(problem, [GAP[problem.name]]),
                           stop_at_target=True, width=width)
    hits = runs.hits()
    hit = by_start(hits["hit"].to_numpy(), runs)
    before, steps, after = (np.where(hit, by_start(hits[column].to_numpy(), runs), math.inf)
                            for column in ("steps_before", "steps", "steps_after"))
    best = soonest(steps[:TUNING], by_start(runs.final_loss, runs)[:TUNING], budget)
    return Reach(before[TUNING:, best], steps[TUNING:, best], after[TUNING:, best], float(rates[best]),
                 best in (0, len(rates) - 1))


def step_seconds(programs: Sequence[tuple[str, int]], seed: int) -> dict[tuple[str, int], Array]:
    """Seconds per step of one-lane programs (problem, batch size), (10,) each, timed in random order."""
    jobs = []
    for name, size in programs:
        program = gdjax.compile(gdjax.problems.get(name), batch_size=size, width=1)
        run = program.stepper([gdjax.Setting(gdjax.schedules.constant(), 1e-3)], key=seed)
        jobs.append(clock.calibrate((name, str(size)), run, SAMPLE_S, REPEATS))
    taken: dict[tuple[str, int], list[float]] = {key: [] for key in programs}
    for sample in clock.samples(jobs, seed):
        if not (sample.warmup or sample.voided):
            taken[sample.label[0], int(sample.label[1])].append(sample.seconds / sample.count)
    return {key: np.array(values) for key, values in taken.items()}


def _ordered(reach: Mapping[int, Reach], per_step: Mapping[tuple[str, int], Estimate], name: str,
             sizes: tuple[int, int, int]) -> bool:
    steps = [censored_median(reach[size].steps) for size in sizes]
    cost = [per_step[name, size].value for size in sizes]
    return steps[0] > steps[1] > steps[2] and cost[0] < cost[1] < cost[2]


def _steps_picture(steps: Sequence[Estimate], fit: Fit, examples: int) -> Picture:
    wide = np.geomspace(1, examples, 40)
    return Picture("Steps to target against batch size, digits-softmax: falling, then nearly flat",
                   "batch size B, examples", "steps to within 1 % of the initial gap",
                   [series("measured, median of 32 starts", SIZES, steps, line=False),
                    theory("fitted hyperbola", wide, fit.steps(wide, examples)),
                    theory("perfect scaling, 1/B", (1, 64), (steps[0].value, steps[0].value / 64))])


def _by_batch(title: str, y_label: str, sizes: Mapping[str, Sequence[int]],
              found: Mapping[tuple[str, int], Estimate]) -> Picture:
    return Picture(title, "batch size, examples", y_label,
                   [series(name, sizes[name], [found[name, size] for size in sizes[name]]) for name in sizes])
