"""The walk over the corners, in a process of its own: from small to large, one lane count after the other."""

from __future__ import annotations

import math
import os
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection

import jax

import gdjax
from bench import ceilings, device, environment
from bench.analysis.parity import initial_gap
from bench.problems import problem_from
from bench.scale import corners, losses, timing
from bench.scale.room import free_bytes
from bench.scale.timing import Corner
from bench.speaker import MESSAGE_LIMIT, Speaker, Stopped
from bench.watch import ran_out_of_memory

PRECISION, DTYPE = "highest", "float32"
COMPILE_S = 4.0  # guess for a program, until one of its batch size was compiled


def main(connection: Connection, payload: dict[str, object]) -> None:
    """Walk over the corners of one problem; messages to the parent tell what was measured."""
    try:
        Walk(connection, Request(**payload)).run()  # type: ignore[arg-type]
    except Stopped:
        return


@dataclass(frozen=True)
class Request:
    """What the parent asks for: where, what, for how many seconds, to how many lanes, how many samples how long."""

    problem: str
    device: str
    seconds: float
    max_lanes: int
    repeats: int
    sample_s: float


class Walk(Speaker):
    """One pass over the corners."""

    def __init__(self, connection: Connection, request: Request) -> None:
        super().__init__(connection)
        self.request = request
        self.seen: dict[int, tuple[float, float, float]] = {}  # batch size -> seconds of step, beginning, compile
        self.costs: dict[int, gdjax.Cost] = {}
        self.done = 0
        self.checked = 0  # lanes of the corners at which losses are taken
        self.gap = math.nan  # f0 - f* of the problem, where f* is known

    def run(self) -> None:
        """Open the device, measure its ceilings, then the corners."""
        opened = device.open_device(self.request.device, DTYPE, PRECISION)
        if opened.trouble:
            self.say(kind="error", code=5, text=opened.trouble)
            return
        if opened.warning:
            self._warn(opened.warning)
        try:
            self.problem = problem_from(self.request.problem, self._warn)
            gdjax.preflight(self.problem)
        except (ValueError, TypeError) as error:
            self.say(kind="error", code=2, text=str(error))
            return
        self.device = jax.devices()[0]
        cores = len(environment.affinity() or range(os.cpu_count() or 1)) if self.device.platform == "cpu" else 1
        self.cores, self.threads = cores, ThreadPoolExecutor(cores)
        self.alive = corners.batch_sizes(self.problem.examples)
        counts = corners.lane_counts(self.request.max_lanes)
        self.planned = len(self.alive) * len(counts)
        self.checked = max(lanes for lanes in counts if lanes <= losses.STARTS)
        self._plan(counts)
        self.deadline = time.monotonic() + self.request.seconds
        self._ceilings()
        for lanes in counts:
            self._level(lanes)
        self.say(kind="done")

    def _warn(self, text: str) -> None:
        self.say(kind="warning", text=text[:MESSAGE_LIMIT])

    def _plan(self, counts: list[int]) -> None:
        problem, asked = self.problem, self.request.problem
        data = None if problem.data is None else gdjax.data.fingerprint(problem.data)
        known = {"optimum": problem.optimum,
                 "initial_loss": None if problem.optimum is None else gdjax.initial_loss(problem)}
        self.gap = initial_gap(known)
        self.say(kind="plan", device=self.device.platform, total=float(self.planned), facts={
            "problem": problem.name, **({"made_by": asked} if asked != problem.name else {}),
            **known, "examples": problem.examples, "data_sha256": data, "dtype": DTYPE, "matmul_precision": PRECISION,
            "corners": [[size, lanes] for size in self.alive for lanes in counts],
        }, environment={**device.facts(), "matmul_precision": PRECISION, "dtype": DTYPE})

    def _ceilings(self) -> None:
        self.say(kind="progress", done=0.0, total=float(self.planned), text="ceilings of the device")
        self.say(kind="quiet", on=True)
        self.ceilings = ceilings.measure(self.request.repeats, self.request.sample_s)
        self.say(kind="quiet", on=False)
        self.say(kind="ceilings", facts={"matmul_flops": self.ceilings.matmul_flops,
                                         "copy_bytes_s": self.ceilings.copy_bytes_s})

    def _level(self, lanes: int) -> None:
        """All batch sizes at one lane count; as many as fit the memory together share one clock."""
        held: list[Corner] = []
        for size in list(self.alive):
            left, needed = self._left(held), self._foreseen(size)
            if needed > left:
                self._give_up(size, lanes, corners.SKIPPED, _too_long(needed, left))
                continue
            self.say(kind="progress", done=float(self.done), total=float(self.planned), expected_s=needed,
                     text=f"{self.problem.name}: {lanes:,} lanes, batch {size}",
                     facts={"batch_size": size, "lanes": lanes})
            try:
                self._hold(size, lanes, held)
            except Stopped:
                raise
            except Exception as error:  # one corner's failure must not cost the others
                self._failed(size, lanes, error)
        self._measure(held)

    def _hold(self, size: int, lanes: int, held: list[Corner]) -> None:
        """Add a corner to those that wait for the clock; where the memory is too small for all, they go first."""
        pieces, width = corners.pieces_of(lanes, self.cores)
        program = gdjax.compile(self.problem, batch_size=size, width=width)
        if size not in self.costs:
            self.costs[size] = program.cost()
        need = program.memory_bytes * pieces
        if held and self._lacks(need + max(corner.memory_bytes for corner in held)):
            self._measure(held)
            held.clear()
        why = self._lacks(need)
        if why is not None:
            self._give_up(size, lanes, corners.OOM, why, memory_bytes=need, bytes_per_lane=need / lanes)
            return
        corner = timing.ready(size, lanes, program, pieces, self.threads, self.request.sample_s)
        self.seen[size] = corner.step_s, corner.begin_s, program.trace_s + program.compile_s
        if lanes == self.checked:
            corner = replace(corner, final_losses=losses.final_losses(self.problem, size, program, self.gap))
        left = self._left(held)
        if self._clock_s(corner) > left:
            self._give_up(size, lanes, corners.SKIPPED, _too_long(self._clock_s(corner), left))
            return
        held.append(corner)

    def _measure(self, held: list[Corner]) -> None:
        """Rows of corners, timed together; where that fails, one by one."""
        if not held:
            return
        self.say(kind="quiet", on=True)
        try:
            timed = list(timing.samples(held, self.request.repeats, self.listen))
        except Stopped:
            raise
        except Exception as error:  # often memory, which one corner alone may have enough of
            if len(held) == 1:
                self._failed(held[0].batch_size, held[0].lanes, error)
                return
            traceback.print_exc()
            for corner in held:
                self._measure([corner])
            return
        finally:
            self.say(kind="quiet", on=False)
        for corner, taken, begin_s in timed:
            try:
                found = timing.row(corner, taken, begin_s, self.costs[corner.batch_size], self.ceilings)
            except RuntimeError as error:
                self._failed(corner.batch_size, corner.lanes, error)
            else:
                self._tell(found)

    def _left(self, held: list[Corner]) -> float:
        """Seconds of the time limit that are not spent, nor promised to corners that wait for the clock."""
        return self.deadline - time.monotonic() - sum(map(self._clock_s, held))

    def _clock_s(self, corner: Corner) -> float:
        return timing.seconds(corner.sample_s, corner.begin_s, self.request.repeats)

    def _foreseen(self, size: int) -> float:
        """Seconds that the next corner of a batch size may take, from its last one with a quarter of the lanes."""
        step_s, begin_s, compile_s = self.seen.get(size, (0.0, 0.0, COMPILE_S))
        step_s, begin_s = step_s * corners.FACTOR, begin_s * corners.FACTOR
        sample_s = max(self.request.sample_s, step_s, begin_s) + begin_s
        return compile_s + timing.seconds(sample_s, begin_s, self.request.repeats + timing.RUNS_BEFORE)

    def _lacks(self, need: int) -> str | None:
        return corners.too_large(need, free_bytes(self.device.memory_stats()))

    def _give_up(self, size: int, lanes: int, status: str, note: str, **known: object) -> None:
        """A corner that is not measured; those of more lanes at its batch size would not be either."""
        self.alive.remove(size)
        self._tell({"batch_size": size, "lanes": lanes, "status": status, "note": note, **known})

    def _failed(self, size: int, lanes: int, error: Exception) -> None:
        traceback.print_exc()
        text = f"{type(error).__name__}: {error}"[:MESSAGE_LIMIT]
        short = isinstance(error, MemoryError) or ran_out_of_memory(text)
        self._give_up(size, lanes, corners.OOM if short else corners.FAILED, text)

    def _tell(self, row: dict[str, object]) -> None:
        self.done += 1
        self.say(kind="group", row=row)


def _too_long(needed: float, left: float) -> str:
    return f"would take about {needed:.0f} s, {max(left, 0.0):.0f} s of the time limit were left"
