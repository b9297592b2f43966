"""Runs to hurt: suites, parent processes, what a folder holds, and whether two hold the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest

from bench import files, store
from bench.executors import run_suite
from bench.suite import Suite, suite_from
from tests.once import made_once

ROOT = Path(__file__).resolve().parents[2]
FAST, REAL = "tests.faults.fast_worker", "bench.worker"
REPORT = "tests.bench.fake_report"
EXACT = ("lanes", "hits", "curves", "chosen")  # tables that hold no times
TIMEOUT_S = 120

FAST_SUITE: dict[str, object] = {"name": "fast", "problems": ["a", "b"], "batch_sizes": [1, 13, 99],
                                 "schedules": ["constant", "cosine"]}
REAL_SUITE: dict[str, object] = {
    "name": "real", "problems": ["line-fit"], "batch_sizes": [10, "all"], "schedules": ["constant", "inverse_time"],
    "rates": 2, "horizons": [1.0], "tuning_starts": 2, "starts": 3, "gaps": [0.1], "epochs": 5.0, "min_steps": 20,
    "marks": 6, "width": 16, "repeats": 2, "min_sample_s": 0.001,
    "noise_groups": 0,
}


def suite(of: dict[str, object] = FAST_SUITE, **changes: object) -> Suite:
    """A suite with changes."""
    return suite_from({**of, **changes})


SMALL = suite(problems=["a"], batch_sizes=[1, 13])


def run(folder: Path, worker: str = FAST, of: Suite | None = None, resume: bool = True) -> int:
    """A run in this process."""
    return run_suite(of or suite(), folder, "cpu", resume, worker=worker, report=REPORT)


def small(factory: pytest.TempPathFactory) -> Path:
    """A whole run of `SMALL`, made once for all tests, which only read it."""
    def make(folder: Path) -> None:
        assert run(folder, of=SMALL) == 0

    return made_once(factory, "small", make)


def start(folder: Path, worker: str = FAST, of: Suite | None = None, **settings: str) -> subprocess.Popen[str]:
    """The parent as a process of its own, past the point from which it obeys signals."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"} | settings
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.parent", json.dumps((of or suite()).config()), str(folder), worker],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=ROOT)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code, and stdout and stderr together."""
    out, err = process.communicate(timeout=TIMEOUT_S)
    return process.returncode, out + err


def kill_a_worker(process: subprocess.Popen[str]) -> bool:
    """Kill -9 the worker of a parent; False where it has none now."""
    try:
        for child in psutil.Process(process.pid).children():
            if "spawn_main" in " ".join(child.cmdline()):
                child.kill()
                return True
    except psutil.Error:
        pass
    return False


def whole_parts(folder: Path) -> dict[str, tuple[int, str]]:
    """Finished parts: name -> inode and hash of part.json; what is not whole is no finished cell."""
    return {part.name: ((part / "part.json").stat().st_ino, files.digest(part / "part.json"))
            for part in store.parts_of(folder) if store.check_part(part) is None}


def nothing_lost(before: dict[str, tuple[int, str]], folder: Path) -> None:
    """Parts that were there are there now, the same files."""
    after = whole_parts(folder)
    assert {name: after.get(name) for name in before} == before


def same_tables(folder: Path, reference: Path) -> None:
    """Tables equal bit for bit, apart from times, and the manifest says that all is finished."""
    compared = 0
    for name in EXACT:
        path = reference / f"{name}.parquet"
        assert path.exists() == (folder / f"{name}.parquet").exists()
        if path.exists():
            pd.testing.assert_frame_equal(pd.read_parquet(folder / f"{name}.parquet"), pd.read_parquet(path),
                                          check_exact=True)
            compared += 1
    assert compared >= 2
    manifest, wanted = store.read_run(folder), store.read_run(reference)
    assert [cell["status"] for cell in manifest["cells"]] == ["finished"] * len(wanted["cells"])
    assert manifest["finished"] is not None
    assert list(files.leftovers(folder)) == []


def no_orphans(folder: Path) -> None:
    """No worker on this folder outlives its parent by more than five seconds."""
    deadline = time.monotonic() + 5
    while workers := [each.pid for each in psutil.process_iter() if works_on(each, folder)]:
        if time.monotonic() > deadline:
            pytest.fail(f"processes {workers} still work on {folder}")
        time.sleep(0.1)


def works_on(process: psutil.Process, folder: Path) -> bool:
    """Whether a process writes the log of a run folder."""
    try:
        return Path(f"/proc/{process.pid}/fd/1").resolve() == folder / "log.txt"
    except OSError:  # gone, not ours, or not Linux
        return False
