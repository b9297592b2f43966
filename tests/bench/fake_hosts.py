"""Workers of several hosts without jax, and their parents as processes; each goes wrong as its suite's name asks for.

python -m tests.bench.fake_hosts SUITE-JSON FOLDER MEETING-JSON
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

from bench import store
from bench.cells import group_name
from bench.meeting import Host, Meeting
from tests.bench.small_table import SmallTable

ODD = 13  # the batch size at which something goes wrong


def main(connection: Connection, payload: dict[str, object]) -> None:
    """Plan every cell of the suite, then a part for each group that is not finished; process 0 alone writes them."""
    suite, host, finished = payload["suite"], payload["host"], payload["finished"]
    assert isinstance(suite, dict) and isinstance(host, Host) and isinstance(finished, list)
    how, leads = suite["name"], host.process == 0
    if how == "no device" and not leads:
        connection.send({"kind": "error", "code": 5, "text": "--device: no gpu device (got cpu). Use --device cpu."})
        return
    if how == "no way":
        os.abort()  # as JAX does
    if how == "no device":
        connection.recv()  # as where it waits for the others
        return
    cells = [{"problem": "a", "optimizer": "sgd", "batch_size": size, "schedule": "constant", "device": "cpu",
              "status": "pending", "note": ""} for size in suite["batch_sizes"]]
    connection.send({"kind": "plan", "cells": cells, "environment": {}, "total": 1.0, "device": "cpu",
                     "problems": {"a": {"examples": 9}}, "lines": []})
    for group in [*(group_name("a", "sgd", size) for size in suite["batch_sizes"]), "a.timing"]:
        if group in finished:
            continue
        connection.send({"kind": "progress", "done": 0.0, "total": 1.0, "text": group, "group": group})
        if group == group_name("a", "sgd", ODD) and _goes_wrong(how, leads, connection, group):
            continue
        if leads:
            store.write_group(Path(str(payload["folder"])), group, {"lanes": SmallTable(group=[group])})
        connection.send({"kind": "group", "group": group})
    connection.send({"kind": "done"})


def _goes_wrong(how: str, leads: bool, connection: Connection, group: str) -> bool:
    """Whether the group has failed, and the run goes on."""
    if how == "all fail" or (how == "one fails" and not leads):
        connection.send({"kind": "failed", "group": group, "note": "ValueError: on purpose", "shared": True})
        assert connection.recv()["kind"] == "on"
        return True
    if how == "one dies" and not leads:
        os.kill(os.getpid(), signal.SIGKILL)
    if how in ("one fails", "one dies", "waits"):  # as at a call that the others do not come to
        while leads and not connection.poll(0.05):
            pass
        if leads and connection.recv()["kind"] == "stop":
            sys.exit()
        time.sleep(60)
    return False


if __name__ == "__main__":  # the parent, which alone needs these
    from bench.executors import run_suite
    from bench.follow import follow
    from bench.suite import suite_from

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell starts us with it ignored
    of, folder, meeting = suite_from(json.loads(sys.argv[1])), Path(sys.argv[2]), Meeting(**json.loads(sys.argv[3]))
    if meeting.process:
        sys.exit(follow(of, "cpu", meeting, worker="tests.bench.fake_hosts"))
    sys.exit(run_suite(of, folder, "cpu", True, reported=False, meeting=meeting, worker="tests.bench.fake_hosts"))
