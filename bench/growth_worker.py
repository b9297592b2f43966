"""One number of lanes in a process of its own: seconds from the call to the finished table, and peak memory."""

from __future__ import annotations

import time

import jax
import numpy as np
import pandas as pd

import gdjax
from bench import device
from bench.growth import NoDeviceError, Point, Request
from bench.memory import Meter, device_peak_bytes


def measure(request: Request, lanes: int) -> Point:
    """BGD from so many starts until each is through, and the frame of it: `repeats` times after a first run.

    Raises:
        NoDeviceError: the device is not there.
    """
    opened = device.open_device(request.device, "float32", "highest")
    if opened.trouble:
        raise NoDeviceError(opened.trouble)

    problem = gdjax.problems.get(request.problem)
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
                 needed=needed, ran=ran, converged=converged, platform=opened.platform)
