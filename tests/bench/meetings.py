"""Hosts of a run on this machine: ports, parents as processes, what they say and how they end."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from bench.suite import Suite, suite_from

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    """A port of this machine that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def a_suite(name: str, **changes: object) -> Suite:
    """Three groups for `tests.bench.fake_hosts`, which goes wrong as the name asks for."""
    return suite_from({"name": name, "problems": ["a"], "batch_sizes": [1, 13, 99], "schedules": ["constant"],
                       "noise_groups": 0, **changes})


def start(*command: str, **settings: str) -> subprocess.Popen[str]:
    """A parent as a process: `python -m` with these words."""
    return subprocess.Popen([sys.executable, "-m", *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True, cwd=ROOT, env=os.environ | {"JAX_PLATFORMS": "cpu"} | settings)


def start_fakes(of: Suite, folder: Path, processes: int = 2, wait_s: float = 20.0) -> list[subprocess.Popen[str]]:
    """The parents of all processes of a run of fake workers."""
    port = free_port()
    return [start("tests.bench.fake_hosts", json.dumps(of.config()), str(folder), json.dumps(
        {"name": "127.0.0.1", "port": port, "processes": processes, "process": process, "wait_s": wait_s}))
        for process in range(processes)]


def ended(process: subprocess.Popen[str], within_s: float = 300.0) -> tuple[int, str]:
    """Exit code and output of a parent."""
    said, _ = process.communicate(timeout=within_s)
    return process.returncode, said


def worker_of(process: subprocess.Popen[str]) -> psutil.Process:
    """The worker of a parent that has one."""
    return next(child for child in psutil.Process(process.pid).children() if "spawn_main" in " ".join(child.cmdline()))


def gone(process: psutil.Process) -> bool:
    """Whether a process has ended, though nobody may have asked how."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def until(what: Callable[[], object], within_s: float = 300.0) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)
