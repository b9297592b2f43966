"""Claim 7: a batch of 100 in one go against 100 single examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

import gdjax
from bench import clock
from bench.analysis.intervals import Estimate, median_interval, ratio_of_medians
from bench.analysis.words import estimate_words
from bench.study.claim import Outcome, Picture, claim
from bench.study.claims.batches import step_seconds
from bench.study.claims.parts import Array, finding, series, theory, verdict

PROBLEM = "digits-softmax"
BATCH = 100
SIZES = (1, 10, 100, 1000)
SAMPLE_S, REPEATS = 0.05, 10
MUCH = 0.5


@claim(7, "a vectorised batch",
       statement="A vectorised batch of 100 costs far less than 100 single examples.",
       method="digits-softmax: seconds of one step of batch 100 over 100 steps of one example in gdjax's compiled "
              "loop, and of one call of a compiled gradient of 100 examples over 100 calls of one from Python.")
def a_vectorised_batch(seed: int) -> Outcome:
    """Ratios of seconds in the compiled loop and call by call."""
    steps = step_seconds([(PROBLEM, 1), (PROBLEM, BATCH)], seed)
    calls = call_seconds(gdjax.problems.get(PROBLEM), seed)
    inside = share_of_singles(steps[PROBLEM, BATCH], steps[PROBLEM, 1], BATCH)
    outside = share_of_singles(calls[BATCH], calls[1], BATCH)
    per_example = [Estimate(*(part / size for part in median_interval(calls[size], seed=1))) for size in SIZES]
    return Outcome(
        verdict=judge_batch(inside, outside),
        sentence=f"A batch of 100 took {estimate_words(inside)} of the time of 100 single examples in a compiled loop, "
                 f"and {estimate_words(outside)} of it where every gradient is a call from Python.",
        findings=[
            finding("seconds of a step of 100 examples over 100 steps of one, compiled loop", inside, "×"),
            finding("seconds of a gradient of 100 examples over 100 gradients of one, call by call", outside, "×"),
            *(finding(f"seconds per step, batch {size}, compiled loop", median_interval(steps[PROBLEM, size], seed=1),
                      "seconds") for size in (1, BATCH)),
            *(finding(f"seconds per example, gradients of {size} by call", each, "seconds")
              for size, each in zip(SIZES, per_example, strict=True))],
        pictures=[_calls_picture(per_example, [Estimate(*(part / size for part in
                                                          median_interval(steps[PROBLEM, size], seed=1)))
                                               for size in (1, BATCH)])])


def judge_batch(inside: Estimate, outside: Estimate) -> str:
    """Holds: the batch takes less than half the time both ways. With limits: less time in one of them."""
    return verdict(max(inside.high, outside.high) < MUCH, min(inside.high, outside.high) < 1)


def share_of_singles(batch: Array, single: Array, size: int) -> Estimate:
    """Seconds of a batch over those of as many single examples, with its interval.

    Example:
        >>> share_of_singles(np.full(5, 2.0), np.full(5, 1.0), 100).value
        0.02
    """
    ratio = ratio_of_medians(batch, single, paired=False)
    return Estimate(*(part / size for part in ratio))


def call_seconds(problem: gdjax.Problem, seed: int) -> dict[int, Array]:
    """Seconds of one call of a compiled gradient of so many examples, (10,) for each size."""
    params, data = problem.start(jax.random.key(seed)), problem.device_data()
    gradient = jax.jit(jax.grad(problem.objective))
    jobs = []
    for size in SIZES:
        batch = jax.tree.map(lambda leaf, size=size: jnp.asarray(leaf[:size]), data)
        jobs.append(clock.calibrate((str(size),), _repeat(gradient, params, batch), SAMPLE_S, REPEATS))
    taken: dict[int, list[float]] = {size: [] for size in SIZES}
    for sample in clock.samples(jobs, seed):
        if not (sample.warmup or sample.voided):
            taken[int(sample.label[0])].append(sample.seconds / sample.count)
    return {size: np.array(values) for size, values in taken.items()}


def _repeat(gradient: Callable[..., object], params: object, batch: object) -> Callable[[int], object]:
    return lambda count: [gradient(params, batch) for _ in range(count)]


def _calls_picture(calls: Sequence[Estimate], steps: Sequence[Estimate]) -> Picture:
    return Picture("Seconds per example against how many go together, digits-softmax", "examples in a batch",
                   "seconds per example",
                   [series("a call from Python for each batch", SIZES, calls),
                    series("a step in a compiled loop", (1, BATCH), steps),
                    theory("no gain from batches", SIZES, [calls[0].value] * len(SIZES))])
