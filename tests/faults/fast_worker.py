"""A worker without jax: its tables are a pure function of the group's name, and it fails as FAULT asks at size 13."""

from __future__ import annotations

import errno
import hashlib
import os
import resource
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pandas as pd

from bench import files, store
from bench.cells import group_name, timing_group

LANES = 40


def main(connection: Connection, payload: dict[str, object]) -> None:
    """Plan every cell of the suite, then write what is missing; FAULT is "" or what goes wrong at batch size 13."""
    _limit_files()
    try:
        work(connection, payload, os.environ.get("FAULT", ""))
    except OSError as error:
        connection.send({"kind": "error", "code": 4,
                         "text": f"{payload['folder']}: cannot be written (got {error}). Make room."})


def work(connection: Connection, payload: dict[str, object], fault: str) -> None:
    """Everything but the disk's faults."""
    suite, folder, finished = payload["suite"], Path(str(payload["folder"])), payload["finished"]
    assert isinstance(suite, dict) and isinstance(finished, list)
    groups = [(problem, size) for problem in suite["problems"] for size in suite["batch_sizes"]]
    cells = [{"problem": problem, "optimizer": "sgd", "batch_size": size, "schedule": schedule, "device": "cpu",
              "status": "pending", "note": ""} for problem, size in groups for schedule in suite["schedules"]]
    connection.send({"kind": "plan", "cells": cells, "environment": {"backend": "cpu"}, "total": float(len(groups)),
                     "problems": {problem: {"examples": 99, "data_sha256": None} for problem in suite["problems"]}})
    for done, (problem, size) in enumerate(groups):
        group = group_name(problem, "sgd", size)
        if group not in finished:
            connection.send({"kind": "progress", "done": float(done), "total": float(len(groups)), "group": group})
            time.sleep(float(os.environ.get("FAULT_PACE_S", "0")))
            if size == 13 and fault:
                misbehave(fault)
            store.write_group(folder, group, tables_of(group, size))
            connection.send({"kind": "group", "group": group})
            if connection.poll() and connection.recv()["kind"] == "stop":
                return
    for problem in suite["problems"]:
        group = timing_group(problem)
        if group not in finished:
            store.write_group(folder, group, {"timing": pd.DataFrame({"problem": [problem], "seconds": [time.time()]})})
            connection.send({"kind": "group", "group": group})
    connection.send({"kind": "done"})


def misbehave(fault: str) -> None:
    """Hang without computing, hang computing, abort, raise, or be killed."""
    if fault == "hangs":
        while True:
            signal.pause()
    elif fault == "spins":
        while True:
            pass
    elif fault == "aborts":
        os.abort()
    elif fault == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif fault == "raises":
        raise RuntimeError("raised on purpose")


def tables_of(group: str, size: int) -> dict[str, pd.DataFrame]:
    """Lanes and hits of a group, drawn from its name."""
    random = np.random.default_rng(list(hashlib.sha256(group.encode()).digest()))
    steps = random.uniform(1, 100, LANES)
    hit = steps < 60
    lane = {"problem": group.split(".")[0], "batch_size": size, "split": "tuning", "lane": np.arange(LANES)}
    return {"lanes": pd.DataFrame({**lane, "status": np.where(hit, "budget", "diverged"),
                                   "final_loss": np.where(hit, steps, np.inf)}),
            "hits": pd.DataFrame({**lane, "target": 0.5, "hit": hit, "steps": np.where(hit, steps, np.nan)})}


def _limit_files() -> None:
    """Let no file grow beyond FAULT_FSIZE bytes, or fail the write with the number FAULT_WORKER_WRITE."""
    if "FAULT_FSIZE" in os.environ:
        size = int(os.environ["FAULT_FSIZE"])
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    if "FAULT_WORKER_WRITE" in os.environ:
        fail_at(int(os.environ["FAULT_WORKER_WRITE"]))


def fail_at(number: int) -> None:
    """Make the sync with this number, from 0, and all after it fail for lack of room."""
    synced, count = files.sync, iter(range(1_000_000))

    def sync(path: Path) -> None:
        if next(count) >= number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        synced(path)

    files.sync = sync
