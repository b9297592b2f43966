"""Walks without jax: each tells of a plan and two corners, then ends in the way that its problem's name asks for."""

from __future__ import annotations

import os
import signal
from multiprocessing.connection import Connection

CEILINGS = {"matmul_flops": 1e11, "copy_bytes_s": 1e10}


def row(size: int, lanes: int, **changed: object) -> dict[str, object]:
    """A finished corner of 1 ms a step, whatever the lanes."""
    rate = lanes / 1e-3
    return {"batch_size": size, "lanes": lanes, "width": lanes, "pieces": 1, "status": "finished", "note": "",
            "samples": 10, "voided": 0, "step_s": 1e-3, "step_s_low": 0.9e-3, "step_s_high": 1.1e-3,
            "lane_steps_per_s": rate, "lane_steps_per_s_low": rate / 1.1, "lane_steps_per_s_high": rate / 0.9,
            "begin_s": 0.0, "memory_bytes": 1000 * lanes, "bytes_per_lane": 1000.0, "trace_s": 0.1, "compile_s": 0.2,
            "first_run_s": 0.1, "flops_per_lane_step": 1e3, "bytes_per_lane_step": 1e2, "matmul_share": rate * 1e-8,
            "copy_share": rate * 1e-8 / 2, "share": rate * 1e-8, **changed}


def main(connection: Connection, payload: dict[str, object]) -> None:
    """Two corners of four, and then the end."""
    how = payload["problem"]
    if how == "no-plan":
        raise RuntimeError("broken before the plan")
    planned = [[size, lanes] for size in (1, 100) for lanes in (1, 4)]
    connection.send({"kind": "plan", "device": "cpu", "total": 4.0, "environment": {"backend": "cpu"}, "facts": {
        "examples": 100, "data_sha256": "a" * 64, "dtype": "float32", "matmul_precision": "highest",
        "corners": planned}})
    connection.send({"kind": "ceilings", "facts": CEILINGS})
    if how == "nothing":
        connection.send({"kind": "group", "row": {"batch_size": 1, "lanes": 1, "status": "skipped", "note": "no time"}})
        connection.send({"kind": "done"})
        return
    for size in (1, 100):
        connection.send({"kind": "group", "row": row(size, 1)})
    connection.send({"kind": "progress", "done": 2.0, "total": 4.0, "text": "1 lane", "expected_s": 1.0,
                     "facts": {"batch_size": 1, "lanes": 4}})
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "interrupted":
        os.kill(os.getppid(), signal.SIGINT)
        assert connection.recv()["kind"] == "stop"
        return
    connection.send({"kind": "group", "row": row(1, 4)})
    connection.send({"kind": "group", "row": {"batch_size": 100, "lanes": 4, "status": "oom", "note": "needs 9 GB"}
                     if how == "oom" else row(100, 4)})
    connection.send({"kind": "done"})
