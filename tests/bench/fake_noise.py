"""An A/A process without jax: writes what a real one would, or fails in the way that NOISE asks for."""

from __future__ import annotations

import os
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path

from bench import store
from bench.cells import noise_group
from tests.bench.small_table import SmallTable


def main(connection: Connection, payload: dict[str, object]) -> None:
    """One part for this process, with the groups that it was to repeat."""
    process, picks, folder = payload["process"], payload["picks"], Path(str(payload["folder"]))
    assert isinstance(process, int) and isinstance(picks, list)
    assert payload["device"] == "cpu"  # the one that the suite ran on, also where any was asked for
    how, group = os.environ.get("NOISE", ""), noise_group(process, payload["shard"])  # type: ignore[arg-type]
    connection.send({"kind": "progress", "done": 0.0, "total": 1.0, "group": group, "text": "A/A"})
    if how == "kill" and process == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "fails":
        connection.send({"kind": "failed", "group": group, "status": "failed", "note": "ValueError: on purpose"})
        connection.send({"kind": "done"})
        return
    elif how == "no-device":
        connection.send({"kind": "error", "code": 5, "text": "--device: no gpu device (got cpu). Mend it."})
        return
    elif how == "disk-full":
        connection.send({"kind": "error", "code": 4, "text": "parts: the disk is full (got ENOSPC). Make room."})
        return
    elif how == "hangs":
        while True:
            signal.pause()
    elif how == "waits":
        Path(os.environ["FAKE_WORKER_ONCE"]).touch()
        while not connection.poll(60):
            time.sleep(0.01)
        return
    table = SmallTable(problem=[problem for problem, _, _ in picks], seconds=[0.5] * len(picks),
                       process=[process] * len(picks))
    store.write_group(folder, group, {"timing": table})
    connection.send({"kind": "group", "group": group})
    connection.send({"kind": "done"})
