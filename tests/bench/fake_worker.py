"""Workers without jax: each writes tiny parts, or fails in the way that its suite's name asks for."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

from bench import store
from bench.cells import gradient_group, group_name, timing_group
from bench.shards import Shard, assigned, too_many
from tests.bench.small_table import SmallTable


def main(connection: Connection, payload: dict[str, object]) -> None:
    """Plan every cell of the suite, then write one part per group that is not finished."""
    suite, folder, finished = payload["suite"], Path(str(payload["folder"])), payload["finished"]
    assert isinstance(suite, dict) and isinstance(finished, list)
    how = suite["name"]
    if how == "no-device":
        connection.send({"kind": "error", "code": 5, "text": "--device: no GPU (got cpu). Use --device cpu."})
        return
    if how == "no-plan":
        raise RuntimeError("broken before the plan")
    groups = [(problem, "sgd", size) for problem in suite["problems"] for size in suite["batch_sizes"]]
    shard = payload["shard"]
    labels = dict(payload["shards"])  # type: ignore[call-overload]
    plan: dict[str, object] = {}
    if isinstance(shard, list):
        number, of = shard
        if how == "fewer" and of > 1:  # as where "all" is a batch size that is there already
            connection.send({"kind": "error", "code": 2, "text": too_many(Shard(number, of), 1)})
            return
        numbers = assigned([1.0] * len(groups), of)
        plan = {"plan": [(*group, each) for group, each in zip(groups, numbers, strict=True)]}
        groups = [group for group, each in zip(groups, numbers, strict=True) if each == number]
        labels = {group_name(*group): Shard(number, of).label for group in groups}
    cells = [{"problem": problem, "optimizer": optimizer, "batch_size": size, "schedule": schedule, "device": "cpu",
              "status": "pending", "note": "", **_label(labels.get(group_name(problem, optimizer, size)))}
             for problem, optimizer, size in groups for schedule in suite["schedules"]]
    names = dict.fromkeys(problem for problem, _, _ in groups)
    environment = {"backend": "cpu", **json.loads(os.environ.get("FAKE_MACHINE", "{}"))}
    connection.send({"kind": "plan", "cells": cells, "environment": environment, "total": float(len(groups)),
                     "problems": {problem: {"examples": 9, "data_sha256": os.environ.get("FAKE_DATA")}
                                  for problem in names},
                     "lines": [f"{len(cells)} cells"], **plan})
    for done, (problem, optimizer, size) in enumerate(groups):
        group = group_name(problem, optimizer, size)
        if group in finished:
            continue
        connection.send({"kind": "progress", "done": float(done), "total": float(len(groups)), "text": group,
                         "group": group})
        if size == 13:
            _misbehave(how, connection)
            if how == "refuses":
                connection.send({"kind": "failed", "group": group, "note": "will not"})
                continue
        store.write_group(folder, group, {"lanes": SmallTable(problem=[problem], batch_size=[size])})
        connection.send({"kind": "group", "group": group, "note": ""})
        if connection.poll() and connection.recv()["kind"] == "stop":
            return
    for problem in names:
        timed: dict[str, list[int]] = {}
        for name, optimizer, size in groups:
            if name == problem and (folder / "parts" / store.part_name(group_name(name, optimizer, size))).exists():
                timed.setdefault(timing_group(problem, labels.get(group_name(name, optimizer, size))), []).append(size)
        for group in sorted(timed):
            if group not in finished:
                if how == "waits-timing":
                    _misbehave("waits", connection)
                    if connection.poll():
                        return
                sizes = timed[group]
                table = SmallTable(problem=[problem] * len(sizes), batch_size=sizes, seconds=[0.5] * len(sizes))
                store.write_group(folder, group, {"timing": table})
                connection.send({"kind": "group", "group": group, "note": ""})
        extra = gradient_group(problem)
        if how.startswith("no-gradients") and extra not in finished:
            connection.send({"kind": "progress", "done": 1.0, "total": 1.0, "text": extra, "group": extra})
            if how == "no-gradients-kill":
                os.kill(os.getpid(), signal.SIGKILL)
            connection.send({"kind": "failed", "group": extra, "note": "no gradient"})
    connection.send({"kind": "done"})


def _label(shard: str | None) -> dict[str, str]:
    return {} if shard is None else {"shard": shard}


def _misbehave(how: str, connection: Connection) -> None:
    once = Path(os.environ.get("FAKE_WORKER_ONCE", os.devnull))
    if how == "kill" or (how == "kill-once" and not once.exists()):
        once.touch()
        print("about to die", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "disk-full":
        connection.send({"kind": "error", "code": 4, "text": "parts: the disk is full (got ENOSPC). Make room."})
        sys.exit(0)
    elif how == "waits" and not once.exists():
        once.touch()
        while not connection.poll(60):
            time.sleep(0.01)
    elif how == "deaf" and not once.exists():
        once.touch()
        time.sleep(60)
