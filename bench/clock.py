"""The clock: seconds per step of compiled programs, interleaved, blocked on, voided when anything compiles."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import jax

from bench import together
from bench.samples import LONGER, WARMUPS

COMPILE_EVENT = "/jax/core/compile/backend_compile_duration"
_compilations = 0


def _count(event: str, duration_secs: float, **details: object) -> None:
    global _compilations
    _compilations += event == COMPILE_EVENT


jax.monitoring.register_event_duration_secs_listener(_count)


def compilations() -> int:
    """Programs compiled in this process so far."""
    return _compilations


def nothing() -> None:
    """What most jobs need before a sample."""


@dataclass(frozen=True)
class Job:
    """What is timed.

    `run(count) -> arrays`, the count that makes a sample long enough, how many samples to take, how long one is to be
    at least, in seconds, and what is done before each, off the clock.
    """

    label: tuple[str, ...]
    run: Callable[[int], object]
    count: int
    repeats: int
    min_sample_s: float = 0.0
    prepare: Callable[[], object] = nothing


@dataclass(frozen=True)
class Sample:
    """One timing: seconds for `count` units of work, in which round and in which place of the random order."""

    label: tuple[str, ...]
    repeat: int
    warmup: bool
    voided: bool
    order: int
    count: int
    seconds: float


def once(run: Callable[[int], object], count: int, prepare: Callable[[], object] = nothing) -> tuple[float, bool]:
    """Seconds of one blocked run until all hosts are through, and whether anything compiled in it."""
    prepare()
    before = _compilations
    began = time.perf_counter()
    jax.block_until_ready(run(count))
    seconds = time.perf_counter() - began
    return together.slowest(seconds, _compilations > before)


def calibrate(
    label: tuple[str, ...], run: Callable[[int], object], min_sample_s: float, repeats: int,
    prepare: Callable[[], object] = nothing,
) -> Job:
    """A job whose samples last at least `min_sample_s`.

    The count grows until a quarter is seen, then a fifth is added; `samples` looks whether it was enough.
    """
    count = 1
    once(run, count, prepare)
    while True:
        seconds, _ = once(run, count, prepare)
        if seconds >= min_sample_s / 4:
            return Job(label, run, _enough(count, seconds, min_sample_s), repeats, min_sample_s, prepare)
        count *= 2 if seconds > min_sample_s / 16 else 8


def samples(jobs: list[Job], seed: int) -> Iterator[Sample]:
    """Two warm-ups and the repeats of every job, each round in a new random order.

    Interleaving spreads a slow minute of the machine over all jobs (google/benchmark 1051: run-to-run deviation
    1.37 -> 1.01 %). A sample in which something compiled is marked, not dropped. After a sample that was too short, as
    where the machine was slow while it was calibrated, those that follow are longer: mostly the warm-ups see to it.
    """
    shuffle, counts = random.Random(seed), [job.count for job in jobs]
    for turn in range(WARMUPS + max((job.repeats for job in jobs), default=0)):
        due = [index for index, job in enumerate(jobs) if turn < WARMUPS + job.repeats]
        order = shuffle.sample(due, len(due))
        for place, index in enumerate(order):
            job = jobs[index]
            count = counts[index]
            seconds, voided = once(job.run, count, job.prepare)
            if seconds < job.min_sample_s:
                counts[index] = _enough(count, seconds, job.min_sample_s)
            yield Sample(job.label, turn, turn < WARMUPS, voided, place, count, seconds)


def _enough(count: int, seconds: float, min_sample_s: float) -> int:
    """A count for samples a fifth longer than they are to be, where so many took so long."""
    return max(count, math.ceil(LONGER * count * min_sample_s / seconds))
