"""The clock of a scaling run: a corner made ready, corners timed together, the row that comes of one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import jax
import numpy as np

import gdjax
from bench import clock
from bench.analysis.intervals import median_interval
from bench.ceilings import Ceilings
from bench.samples import WARMUPS
from bench.scale import corners
from bench.scale.losses import STILL

BEGIN_REPEATS = 3  # what beginning and ending a run costs is taken off its steps: the least, as noise only adds
RUNS_BEFORE = 5  # of a sample or more, by which a corner is made ready
LOOKS = 8  # at the length of a sample
MOST_GROWTH = 64.0  # of a sample from one look to the next
ENOUGH = 0.9  # of the wanted length


@dataclass(frozen=True)
class Corner:
    """A corner that is ready for the clock: `run(steps)` steps all its lanes, in `pieces` programs side by side.

    Attributes:
        step_s, begin_s: seconds per step of all lanes, and of a run of no steps (lanes are loaded and written out), as
            they were seen once.
        count: steps of a sample.
        final_losses: of `bench.scale.losses`, where this corner is the one they are taken at.
    """

    batch_size: int
    lanes: int
    program: gdjax.Program
    pieces: int
    run: Callable[[int], list]
    first_run_s: float
    step_s: float
    begin_s: float
    count: int
    final_losses: list[float] | None = None

    @property
    def memory_bytes(self) -> int:
        """What all pieces take at once."""
        return self.program.memory_bytes * self.pieces

    @property
    def sample_s(self) -> float:
        """Seconds of a sample."""
        return self.count * self.step_s + self.begin_s


def ready(batch_size: int, lanes: int, program: gdjax.Program, pieces: int, threads: Executor,
          sample_s: float) -> Corner:
    """The lanes on the device, each piece with starts and batches of its own, and how many steps make a sample.

    A sample is at least `sample_s` long, and its steps at least as long as its beginning and end.

    Raises:
        RuntimeError: lanes ended before their steps, so that seconds per step would have no meaning.
    """
    setting = gdjax.Setting(gdjax.schedules.constant(), STILL)  # a step of a lane costs the same wherever it is
    steppers = [program.stepper([setting], key=piece) for piece in range(pieces)]

    def run(steps: int) -> list:
        if pieces == 1:
            return [steppers[0](steps)]
        return list(threads.map(lambda stepper: jax.block_until_ready(stepper(steps)), steppers))

    first_run_s, _ = clock.once(run, 1)
    begin_s = min(clock.once(run, 0)[0] for _ in range(2))
    count, wanted_s = clock.calibrate((), run, sample_s, 1).count, max(sample_s, begin_s)
    for _ in range(LOOKS):  # a busy moment at the first look would leave samples too short
        began = time.perf_counter()
        outcomes = jax.block_until_ready(run(count))
        stepping_s = max(time.perf_counter() - began - begin_s, wanted_s / MOST_GROWTH)
        ended = min(int(np.asarray(outcome.steps).min()) for outcome in outcomes)
        if ended != count:
            raise RuntimeError(f"lanes ended after {ended} of {count} steps: the loss or its gradient is not finite "
                               "there")
        step_s = stepping_s / count
        if stepping_s >= ENOUGH * wanted_s:
            break
        count = math.ceil(1.2 * count * wanted_s / stepping_s)
    return Corner(batch_size, lanes, program, pieces, run, first_run_s, step_s, begin_s, count)


def samples(held: Sequence[Corner], repeats: int, between: Callable[[], None]) -> Iterator[tuple[Corner, list, float]]:
    """Each corner with the samples of its steps, and the least seconds of its beginning; all on one clock.

    Args:
        between: called after every sample, off the clock.
    """
    jobs = []
    for place, corner in enumerate(held):
        jobs += [clock.Job((str(place), "step"), corner.run, corner.count, repeats),
                 clock.Job((str(place), "begin"), corner.run, 0, BEGIN_REPEATS)]
    taken = []
    for sample in clock.samples(jobs, seed=0):
        taken.append(sample)
        between()
    for place, corner in enumerate(held):
        kept = [sample for sample in taken if not sample.warmup and sample.label[0] == str(place)]
        yield (corner, [sample for sample in kept if sample.label[1] == "step"],
               min(sample.seconds for sample in kept if sample.label[1] == "begin"))


def seconds(sample_s: float, begin_s: float, repeats: int) -> float:
    """How long the clock takes over a corner, from the seconds of a sample and of its beginning.

    >>> seconds(0.5, 0.0, 10)
    6.0
    """
    return (repeats + WARMUPS) * sample_s + (BEGIN_REPEATS + WARMUPS) * begin_s


def row(corner: Corner, taken: Sequence[clock.Sample], begin_s: float, cost: gdjax.Cost,
        reached: Ceilings) -> dict[str, object]:
    """What the table holds of a corner; `reached` are the ceilings that its rates are a share of.

    Raises:
        RuntimeError: something compiled in every sample.
    """
    good = np.array([(sample.seconds - begin_s) / sample.count for sample in taken if not sample.voided])
    if not len(good):
        raise RuntimeError(f"something compiled in each of the {len(taken)} samples")
    step_s, low, high = median_interval(good)
    rate = corner.lanes / step_s
    shares = {"matmul_share": rate * cost.flops / reached.matmul_flops,
              "copy_share": rate * cost.bytes / reached.copy_bytes_s}
    return {
        "batch_size": corner.batch_size, "lanes": corner.lanes, "width": corner.program.width, "pieces": corner.pieces,
        "status": corners.FINISHED, "note": "", "samples": len(good), "voided": len(taken) - len(good),
        "step_s": step_s, "step_s_low": low, "step_s_high": high, "lane_steps_per_s": rate,
        "lane_steps_per_s_low": corner.lanes / high, "lane_steps_per_s_high": corner.lanes / low, "begin_s": begin_s,
        "memory_bytes": corner.memory_bytes, "bytes_per_lane": corner.memory_bytes / corner.lanes,
        "trace_s": corner.program.trace_s, "compile_s": corner.program.compile_s, "first_run_s": corner.first_run_s,
        "flops_per_lane_step": cost.flops, "bytes_per_lane_step": cost.bytes, **shares,
        "share": float(np.fmax(shares["matmul_share"], shares["copy_share"])), "final_losses": corner.final_losses,
    }
