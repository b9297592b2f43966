"""Step times of programs, interleaved over their groups: one-lane and full-width, scoring, compilation."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import jax

import gdjax
from bench import clock
from bench.experiment import Group
from bench.samples import FEW

SCORING_MARKS = 8  # marks of a run that times scoring
Place = tuple[int, str]  # of a program: its group's place, "solo" or "batched"


class _Timed(NamedTuple):
    """A compiled program, ready to be run so many steps, and how long its first run took."""

    group: Group
    program: gdjax.Program
    run: gdjax.Stepper
    first_s: float

    def strides(self, count: int) -> object:
        """Run so many times the steps that the program comes in: one, or a buffer of them."""
        return self.run(count * self.program.stride)


def step_times(
    groups: Sequence[Group], results: Mapping[int, tuple[float, int]], between: Callable[[], None]
) -> Iterator[dict[str, object]]:
    """Rows of the timing table.

    Args:
        groups: all groups of one problem, of one suite but for their widths.
        results: place of a group -> wall seconds of its run, lane-marks scored in it; for those run just now.
        between: called after every sample, off the clock.
    """
    yield from _transfers(groups, between)
    suite, jobs, programs = groups[0].suite, [], {}
    for (place, kind), timed in _ready(groups):
        programs[place, kind] = timed
        label = str(place), kind
        jobs.append(clock.calibrate((*label, "step"), timed.strides, suite.min_sample_s, suite.repeats,
                                    timed.run.prepare))
        if kind == "batched" and not timed.group.streamed:  # there one is a pass over the file
            jobs.append(clock.calibrate((*label, "scoring"), _scoring(timed.run), suite.min_sample_s,
                                        min(suite.repeats, FEW)))
    samples = _in_steps(_heard(clock.samples(jobs, suite.seed), between), programs)
    step_s = {job.label[0]: _step_median(samples, job.label) for job in jobs if job.label[1:] == ("batched", "step")}
    for sample in samples:
        index, kind, quantity = sample.label
        lanes = programs[int(index), kind].program.lanes
        seconds = sample.seconds / (sample.count * lanes)
        if quantity == "scoring":
            seconds = max(seconds / SCORING_MARKS - step_s[index] / lanes, 0.0)
        yield _sample_row(groups[int(index)], lanes, sample, seconds)
    yield from _start_rows(programs, process=0)
    for place, (run_s, scored) in results.items():
        lanes = programs[place, "batched"].program.lanes
        yield _row(groups[place], "batched", lanes, "run", run_s)
        yield _row(groups[place], "batched", lanes, "scored", 0.0, steps=scored)


def step_times_again(
    groups: Sequence[Group], counts: Mapping[Place, int], repeats: int, process: int, between: Callable[[], None]
) -> Iterator[dict[str, object]]:
    """Rows of the timing table for steps alone, measured as `step_times` did but in another process (A/A).

    Args:
        groups: those to repeat, at the widths they were timed at.
        counts: program -> steps of each of its samples in the first process.
        repeats: samples of each program after the warm-ups.
        process: number of this process, from 1.
        between: called after every sample, off the clock.
    """
    programs = {at: timed for at, timed in _ready(groups) if at in counts}
    jobs = [clock.Job((str(place), kind, "step"), timed.strides, counts[place, kind] // timed.program.stride, repeats,
                      prepare=timed.run.prepare) for (place, kind), timed in programs.items()]
    for sample in _in_steps(_heard(clock.samples(jobs, groups[0].suite.seed + process), between), programs):
        index, kind, _ = sample.label
        lanes = programs[int(index), kind].program.lanes
        yield _sample_row(groups[int(index)], lanes, sample, sample.seconds / (sample.count * lanes), process)
    yield from _start_rows(programs, process)


def _transfers(groups: Sequence[Group], between: Callable[[], None]) -> Iterator[dict[str, object]]:
    """Seconds to put the problem's data on the device, or a first buffer of them, the same in every group.

    They are in no other time.
    """
    suite, data = groups[0].suite, groups[0].problem.data
    if data is None:
        return
    program = groups[0].program(solo=True) if groups[0].streamed else None

    def put(count: int) -> object:
        for number in range(count):  # each waited for, so that two copies at most are there
            placed = jax.block_until_ready(
                program.buffer(number) if isinstance(program, gdjax.Streamed) else jax.device_put(data))
        return placed

    job = clock.calibrate(("0", "solo", "transfer"), put, suite.min_sample_s, min(suite.repeats, FEW))
    for sample in _heard(clock.samples([job], suite.seed), between):
        for group in groups:
            yield _sample_row(group, 1, sample, sample.seconds / sample.count)


def _ready(groups: Sequence[Group]) -> Iterator[tuple[Place, _Timed]]:
    """Both programs of every group, compiled and run once."""
    for place, group in enumerate(groups):
        for kind in ("solo", "batched"):
            program = group.program(solo=kind == "solo")
            settings = [gdjax.Setting(gdjax.schedules.get(name), 1e-3) for name in group.suite.schedules]
            run = program.stepper(settings, key=group.suite.seed, max_steps=group.steps)
            if kind == "solo" and jax.process_index() > 0:  # a training runs on one device: one of process 0 is timed
                run = gdjax.Stepper(_nothing)
            timed = _Timed(group, program, run, math.nan)
            first_s, _ = clock.once(timed.strides, 1, run.prepare)
            yield (place, kind), timed._replace(first_s=first_s)


def _nothing(steps: int, marks: int) -> None:
    """What other hosts run while process 0 is timed alone."""


def _heard(samples: Iterator[clock.Sample], between: Callable[[], None]) -> list[clock.Sample]:
    kept = []
    for sample in samples:
        kept.append(sample)
        between()
    return kept


def _in_steps(samples: list[clock.Sample], programs: Mapping[Place, _Timed]) -> list[clock.Sample]:
    """The same with steps counted where strides were."""
    def steps(sample: clock.Sample) -> int:
        place, kind, quantity = sample.label
        return sample.count * (programs[int(place), kind].program.stride if quantity == "step" else 1)

    return [replace(sample, count=steps(sample)) for sample in samples]


def _scoring(run: Callable[..., object]) -> Callable[[int], object]:
    """So many runs of eight steps with a mark after each: less the steps, what scoring costs."""
    return lambda count: [run(SCORING_MARKS, SCORING_MARKS) for _ in range(count)]


def _step_median(samples: list[clock.Sample], label: tuple[str, ...]) -> float:
    return statistics.median(sample.seconds / sample.count
                             for sample in samples if sample.label == label and not sample.warmup)


def _sample_row(
    group: Group, width: int, sample: clock.Sample, seconds: float, process: int = 0
) -> dict[str, object]:
    _, kind, quantity = sample.label
    return _row(group, kind, width, quantity, seconds, repeat=sample.repeat, warmup=sample.warmup,
                voided=sample.voided, order=sample.order, steps=sample.count, process=process)


def _start_rows(programs: Mapping[Place, _Timed], process: int) -> Iterator[dict[str, object]]:
    """What a program cost before it was warm."""
    for (_, kind), (group, program, _, first_s) in programs.items():
        for quantity, seconds in (("trace", program.trace_s), ("compile", program.compile_s), ("first_run", first_s)):
            yield _row(group, kind, program.lanes, quantity, seconds, process=process)


def _row(
    group: Group, program: str, width: int, quantity: str, seconds: float, *, repeat: int = 0, warmup: bool = False,
    voided: bool = False, order: int = 0, steps: int = 0, process: int = 0,
) -> dict[str, object]:
    return {**group.key, "device": group.device, "program": program, "width": width, "quantity": quantity,
            "repeat": repeat, "warmup": warmup, "voided": voided, "order": order, "steps": steps, "seconds": seconds,
            "process": process}
