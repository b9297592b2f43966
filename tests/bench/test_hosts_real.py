"""Two hosts as one program, each with two devices made of its CPU: the tables of one process that has all four."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench import store
from bench.executors import run_suite
from bench.suite import load_suite, narrowed
from tests.bench.meetings import ended, free_port, start, until, worker_of
from tests.bench.merging import REAL, rows, written
from tests.faults import runs
from tests.once import made_once

DEVICES = 4
SLURM_PORTS = 61_440  # and 4,095 more: JAX takes one by the number of the job


def a_job() -> int:
    """The number of a job whose port nobody uses now."""
    for job in range(os.getpid(), os.getpid() + 4_096):
        with contextlib.suppress(OSError), socket.create_server(("", SLURM_PORTS + job % 4_096)):
            return job % 4_096
    raise AssertionError("all ports are in use")


def a_suite(folder: Path, repeats: int) -> Path:
    """Two groups, one of data and one of a test function, some timed again in a fresh process."""
    small = {**REAL, "batch_sizes": [10], "schedules": ["constant"], "noise_groups": repeats}
    return written(folder / "small.toml", small)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process that has all the devices."""

    def make(folder: Path) -> None:
        suite = narrowed(load_suite(a_suite(tmp_path_factory.mktemp("alone"), repeats=0)), devices=DEVICES)
        assert run_suite(suite, folder, "cpu", reported=False) == 0
        store.collect(folder)

    return made_once(tmp_path_factory, "alone", make)


def hosts(suite: Path, folder: Path) -> list[subprocess.Popen[str]]:
    """Both processes, as they are started by hand."""
    port = free_port()
    return [start("bench", "run", str(suite), "--device", "cpu", "--devices", str(DEVICES), "--coordinator",
                  f"127.0.0.1:{port}", "--processes", "2", "--process-id", str(process), "--out", str(folder),
                  "--no-report") for process in range(2)]


def hosts_of_a_cluster(suite: Path, folder: Path, job: int) -> list[subprocess.Popen[str]]:
    """Both processes, as SLURM starts them to go on."""
    cluster = {"SLURM_JOB_ID": str(job), "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": "2"}
    return [start("bench", "run", str(suite), "--device", "cpu", "--devices", str(DEVICES), "--coordinator", "auto",
                  "--out", str(folder), "--no-report", "--resume", **cluster, SLURM_PROCID=str(process),
                  SLURM_LOCALID=str(process)) for process in range(2)]


def same_tables(folder: Path, alone: Path) -> None:
    """Equal bit for bit on the test function, to 1e-5 on the other problem; all is finished."""
    for name in (*runs.EXACT, "noise_scale"):
        found, wanted = rows(folder, name), rows(alone, name)
        assert list(found.columns) == list(wanted.columns) and len(found) == len(wanted) > 0
        exact = found["problem"] == "himmelblau"
        pd.testing.assert_frame_equal(found[exact], wanted[wanted["problem"] == "himmelblau"], check_exact=True)
        pd.testing.assert_frame_equal(found[~exact], wanted[wanted["problem"] != "himmelblau"], rtol=1e-5, atol=1e-7)
    assert {cell["status"] for cell in store.read_run(folder)["cells"]} == {"finished"}


def same_samples(folder: Path, alone: Path) -> None:
    """As many as of one process, at the same widths; those of a fresh process are as the first."""
    found, wanted = (rows(each, "timing").groupby(["process", "problem", "program", "quantity"])["width"].agg(
        ["size", "first"]).drop(["run", "scored"], level="quantity", errors="ignore") for each in (folder, alone))
    pd.testing.assert_frame_equal(found.loc[[0]], wanted)
    again = found.loc[1]
    assert len(again) > 0
    pd.testing.assert_frame_equal(again, found.loc[0].loc[again.index])
    assert np.isfinite(rows(folder, "timing")["seconds"]).all()


@pytest.mark.slow
def test_row_27_a_host_that_dies_costs_what_was_running_and_two_hosts_of_a_cluster_give_the_tables_of_one_process(
        alone: Path, tmp_path: Path) -> None:
    """They meet by hand at first, then as the cluster says, and then repeat a sample in fresh processes."""
    suite = a_suite(tmp_path, repeats=1)
    both = hosts(suite, tmp_path / "run")
    until(lambda: runs.whole_parts(tmp_path / "run"))
    worker_of(both[1]).kill()
    (first, said), (second, also) = (ended(each, within_s=40) for each in both)
    assert (first, second) == (3, 3), said + also
    assert "error: --coordinator: process 1 (" in said and ") was lost (got worker killed by SIGKILL" in said
    assert "process 0 ended with exit code 3 (some cells failed): --coordinator: process 1 (" in also
    before = runs.whole_parts(tmp_path / "run")
    states = [cell["status"] for cell in store.read_run(tmp_path / "run")["cells"]]
    assert states[0] == "finished" and "pending" in states and len(before) < len(store.parts_of(alone))

    job = a_job()
    (first, said), (second, also) = map(ended, hosts_of_a_cluster(suite, tmp_path / "run", job))
    assert (first, second) == (0, 0), said + also
    assert also.splitlines() == [
        f"process 1 of 2: follows process 0 at localhost:{SLURM_PORTS + job} through small",
        "process 1 of 2: ended with process 0, fine."]
    runs.nothing_lost(before, tmp_path / "run")
    store.collect(tmp_path / "run")
    same_tables(tmp_path / "run", alone)
    same_samples(tmp_path / "run", alone)
    run, wanted = store.read_run(tmp_path / "run"), store.read_run(alone)
    assert run["config_hash"] == wanted["config_hash"]
    assert [[each["environment"][key] for key in ("processes", "devices_per_process", "device_count")]
            for each in (run, wanted)] == [[2, 2, 4], [1, 4, 4]]
    (warning,) = run["warnings"]
    assert "killed by SIGKILL" in warning
    steps = rows(tmp_path / "run", "timing").query("quantity == 'step' and program == 'batched'")
    assert set(zip(steps["process"], steps["width"], strict=True)) == {(0, 16 * DEVICES), (1, 16 * DEVICES)}
