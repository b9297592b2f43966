"""One number of lanes in a process of its own: seconds from the call to the finished table, and peak memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from multiprocessing.connection import Connection

import jax
import numpy as np
import pandas as pd

import gdjax
from bench.growth import Point, Request
from bench.memory import Meter, device_peak_bytes
from bench.picture_worker import Say, serve
from bench.problems import Warn, problem_from


def main(connection: Connection, payload: dict[str, object]) -> None:
    """One number of lanes of a request."""
    request, lanes = payload["request"], payload["lanes"]
    assert isinstance(request, Request) and isinstance(lanes, int)

    def work(problem: gdjax.Problem, say: Say) -> Iterator[Point]:
        say(f"{lanes:,} lanes")
        yield measure(request, problem, lanes)

    serve(connection, request.device, lambda warn: problem_of(request, warn), work)


def problem_of(request: Request, warn: Warn) -> gdjax.Problem:
    """The problem of a request, or a ValueError or TypeError that says what is wrong with it."""
    problem = problem_from(request.problem, warn)
    gdjax.preflight(problem, batch_size=problem.examples)
    return problem


def measure(request: Request, problem: gdjax.Problem, lanes: int) -> Point:
    """BGD from so many starts until each is through, and the frame of it: `repeats` times after a first run."""
    program = gdjax.compile(problem, batch_size=problem.examples, tolerance=request.tolerance, starts=lanes)

    def run() -> tuple[gdjax.Runs, pd.DataFrame]:
        runs = gdjax.bgd(problem, rates=request.rate, starts=lanes, key=0, tolerance=request.tolerance,
                         max_steps=request.steps, program=program)
        return runs, runs.frame()

    meter = Meter.begin()
    runs, frame = run()
    leaves = [leaf for leaf in jax.tree.leaves(vars(runs)) if isinstance(leaf, np.ndarray) and len(leaf) == lanes]
    table = int(frame.memory_usage().sum()) + sum(leaf.nbytes for leaf in leaves)
    peak, needed, ran = meter.peak_bytes(), runs.lane_steps_needed, runs.lane_steps_run
    converged = int((frame.status == "converged").sum())
    del runs, frame, leaves
    seconds = []
    for _ in range(request.repeats):
        began = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - began)
    return Point(lanes=lanes, seconds=seconds, compile_s=program.trace_s + program.compile_s, peak_bytes=peak,
                 device_peak_bytes=device_peak_bytes(jax.devices()[0].memory_stats()), table_bytes=table,
                 needed=needed, ran=ran, converged=converged, platform=jax.default_backend())
