"""A worker of the commands that draw a picture, without jax: it ends in the way that the problem's name asks for."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pandas as pd

from bench import basins, growth, stream
from bench.analysis.intervals import NOTHING, Estimate
from bench.basins import Basins
from bench.growth import Point
from bench.stream import Arm, FileRun

MISSED = Estimate(math.inf, math.inf, math.inf)


def plane(label: np.ndarray, minima: int) -> Basins:
    """A picture's data written by hand: the box [0, 1]², a loss without contours, minima along the diagonal."""
    numbers = [each for each in [*range(1, minima + 1), 0, -1] if (label == each).any()]
    count = np.array([(label == each).sum() for each in numbers])
    table = pd.DataFrame({
        "minimum": numbers, "kind": ["minimum" if each > 0 else "other" for each in numbers],
        "loss": np.arange(len(numbers), dtype=float), "lanes": count, "share": count / label.size,
        "share_low": count / label.size, "share_high": count / label.size})
    found = sum(each > 0 for each in numbers)
    return Basins(
        problem="$cost", optimizer="sgd", rate=0.1, searched=False, steps=10, side=len(label), names=("a_1", "$b"),
        box=np.array([[0.0, 1.0]] * 2), loss=np.zeros(label.shape), label=label, table=table,
        points=np.full((found, 2), 0.05), paths=np.full((1, 3, 2), 0.05))


def point(lanes: int, seconds: float, beside: int) -> Point:
    return Point(lanes=lanes, seconds=[seconds, 1.1 * seconds, 0.9 * seconds], compile_s=1.0,
                 peak_bytes=beside + 100 * lanes, device_peak_bytes=None, table_bytes=100 * lanes, needed=lanes,
                 ran=2 * lanes, converged=lanes // 2, platform="cpu")


def arm(order: str, buffer: int, block: int, ratio: float) -> Arm:
    known = math.isfinite(ratio)
    return Arm(order=order, buffer=buffer, block=block, rate=0.1,
               epochs=Estimate(4 * ratio, 3 * ratio, 5 * ratio) if known else MISSED,
               ratio=Estimate(ratio, 0.9 * ratio, 1.2 * ratio) if known else MISSED)


BASINS = plane(np.array([[1, 2], [1, 0]]), 2)
POINTS = [point(1_000, 0.001, 300_000_000), point(10_000, 0.01, 400_000_000), point(100_000, 0.2, 500_000_000)]
ARMS = [arm("random", 1797, 1797, 1.0), arm("random", 80, 1, 1.1), arm("random", 80, 80, 1.05),
        arm("outcome", 80, 1, 1.5), arm("outcome", 80, 80, math.inf)]
MISSING = Arm(order="random", buffer=1797, block=1797, rate=0.1, epochs=MISSED, ratio=NOTHING)
FILE = FileRun(file_bytes=20_000_000_000, examples=1_000_000, lanes=16, batch_size=256, seconds=60.0, read_s=10.0,
               peak_bytes=2_000_000_000, before_bytes=200_000_000, loss_before=0.7, loss_after=0.3)


def main(connection: Connection, payload: dict[str, object]) -> None:
    """What a worker says: its plan, then what it found, then its end."""
    request = payload.get("request")
    how = getattr(request, "problem", "")
    connection.send({"kind": "plan"})
    connection.send({"kind": "progress", "text": repr(request)})
    if how == "waits":
        Path(request.out).with_suffix(".pid").write_text(str(os.getpid()))
        time.sleep(600)
    for place, found in enumerate(_found(request, payload)):
        if place or payload.get("lanes") == 100_000:
            _end(connection, how)
        connection.send({"kind": "group", "row": vars(found)})
    connection.send({"kind": "done"})


def _found(request: object, payload: dict[str, object]) -> Iterator[object]:
    if isinstance(request, basins.Request):
        yield BASINS
    elif isinstance(request, growth.Request):
        yield from (each for each in POINTS if each.lanes == payload["lanes"])
    elif isinstance(request, stream.Request):
        yield from [MISSING] if request.problem == "missed" else ARMS
    else:
        yield FILE


def _end(connection: Connection, how: str) -> None:
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "interrupted":
        os.kill(os.getppid(), signal.SIGTERM)
        time.sleep(600)  # as in one long call: it hears nothing
