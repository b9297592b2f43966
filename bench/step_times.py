"""Step times of a problem's programs, interleaved over its groups: one-lane and full-width, scoring, compilation."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence

import gdjax
from bench import clock
from bench.experiment import Group

SCORING_MARKS = 8  # marks of a run that times scoring
SCORING_REPEATS = 3  # its share of the run time needs no interval


def step_times(
    groups: Sequence[Group], results: Mapping[int, tuple[float, int]], between: Callable[[], None]
) -> Iterator[dict[str, object]]:
    """Rows of the timing table.

    Args:
        groups: all groups of one problem, of one suite but for their widths.
        results: place of a group -> wall seconds of its run, lane-marks scored in it; for those run just now.
        between: called after every sample, off the clock.
    """
    suite, jobs, facts = groups[0].suite, [], {}
    for number, group in enumerate(groups):
        for solo in (True, False):
            program = group.program(solo)
            settings = [gdjax.Setting(gdjax.schedules.get(name), 1e-3) for name in suite.schedules]
            run = program.stepper(settings, key=suite.seed, max_steps=group.steps)
            label = (str(number), "solo" if solo else "batched")
            first_s, _ = clock.once(run, 1)
            facts[label] = (program, first_s)
            jobs.append(clock.calibrate((*label, "step"), run, suite.min_sample_s, suite.repeats))
            if not solo:
                jobs.append(clock.calibrate((*label, "scoring"), _scoring(run), suite.min_sample_s,
                                            min(suite.repeats, SCORING_REPEATS)))
    samples = []
    for sample in clock.samples(jobs, suite.seed):
        samples.append(sample)
        between()
    step_s = {job.label[0]: _step_median(samples, job.label) for job in jobs if job.label[1:] == ("batched", "step")}
    for sample in samples:
        index, kind, quantity = sample.label
        program, _ = facts[index, kind]
        seconds = sample.seconds / (sample.count * program.width)
        if quantity == "scoring":
            seconds = max(seconds / SCORING_MARKS - step_s[index] / program.width, 0.0)
        yield _row(groups[int(index)], kind, program.width, quantity, seconds, repeat=sample.repeat,
                   warmup=sample.warmup, voided=sample.voided, order=sample.order, steps=sample.count)
    for (index, kind), (program, first_s) in facts.items():
        group = groups[int(index)]
        for quantity, seconds in (("trace", program.trace_s), ("compile", program.compile_s), ("first_run", first_s)):
            yield _row(group, kind, program.width, quantity, seconds)
        if kind == "batched" and int(index) in results:
            run_s, scored = results[int(index)]
            yield _row(group, kind, program.width, "run", run_s)
            yield _row(group, kind, program.width, "scored", 0.0, steps=scored)


def _scoring(run: Callable[..., object]) -> Callable[[int], object]:
    """So many runs of eight steps with a mark after each: less the steps, what scoring costs."""
    return lambda count: [run(SCORING_MARKS, SCORING_MARKS) for _ in range(count)]


def _step_median(samples: list[clock.Sample], label: tuple[str, ...]) -> float:
    return statistics.median(sample.seconds / sample.count
                             for sample in samples if sample.label == label and not sample.warmup)


def _row(
    group: Group, program: str, width: int, quantity: str, seconds: float, *, repeat: int = 0, warmup: bool = False,
    voided: bool = False, order: int = 0, steps: int = 0,
) -> dict[str, object]:
    return {**group.key, "device": group.device, "program": program, "width": width, "quantity": quantity,
            "repeat": repeat, "warmup": warmup, "voided": voided, "order": order, "steps": steps, "seconds": seconds}
