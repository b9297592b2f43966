"""A/A repeats: what is repeated, that fresh processes do it, that nothing is lost by them, and what they tell."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bench
from bench import environment, store
from bench.analysis.repeats import process_spread
from bench.analysis.timing import Times
from bench.bad_input import SuiteError
from bench.executors import run_suite
from bench.folder_check import check_run
from bench.noise import picked, spread
from bench.suite import Suite, config_hash, load_suite, suite_from
from tests.bench import test_executors, tiny
from tests.bench.test_executors import FAKES, statuses

NOISY = {**FAKES, "noise": "tests.bench.fake_noise"}


def a_suite(name: str = "fine", **changes: object) -> Suite:
    return suite_from({"name": name, "problems": ["a", "b"], "batch_sizes": [1, 99], "schedules": ["constant"],
                       **changes})


def go(folder: Path, suite: Suite | None = None, resume: bool = False) -> int:
    return run_suite(suite or a_suite(), folder, "auto", resume, **NOISY)


def parts(folder: Path) -> set[str]:
    return {part.name for part in store.parts_of(folder) if part.name.startswith("noise")}


def test_three_groups_are_of_three_problems_and_three_batch_sizes() -> None:
    suite = load_suite("quick").model_copy(update={"noise_groups": 3})
    cells = [{"problem": problem, "optimizer": "sgd", "batch_size": size, "schedule": schedule, "device": "cpu",
              "status": "finished", "note": ""}
             for problem in suite.problems for size in (1, 8, 32, 128, 999) for schedule in suite.schedules]
    picks = picked(suite, cells, [f"{problem}.timing" for problem in suite.problems])  # type: ignore[arg-type]
    assert len(picks) == 3
    assert len({problem for problem, _, _ in picks}) == 3
    assert len({size for _, _, size in picks}) == 3
    assert picked(suite, cells, ["digits-mlp.timing"]) == [  # type: ignore[arg-type]
        pick for pick in picks if pick[0] == "digits-mlp"]  # the others can't be compared


@pytest.mark.parametrize("count", range(12))
def test_no_group_is_repeated_twice(count: int) -> None:
    groups = [[(name, "sgd", size) for size in range(sizes)] for name, sizes in (("a", 1), ("b", 5), ("c", 3))]
    found = spread(groups, count)
    assert len(set(found)) == len(found) == min(count, 9)


def test_two_processes_write_a_part_each_and_the_run_stays_what_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert go(folder) == 0
    assert parts(folder) == {"noise.1", "noise.2"}
    timing = pd.read_parquet(folder / "timing.parquet")
    assert timing["process"].fillna(0).astype(int).tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert set(statuses(folder).values()) == {"finished"}
    found = check_run(folder)
    assert found.code == 0
    assert "A/A      2 of 2 processes" in found.lines
    assert not any(line.startswith("extra") for line in found.lines)


def test_no_groups_means_no_processes(tmp_path: Path) -> None:
    assert go(tmp_path / "run", a_suite(noise_groups=0)) == 0
    assert parts(tmp_path / "run") == set()
    assert not any("A/A" in line for line in check_run(tmp_path / "run").lines)


@pytest.mark.parametrize(("how", "said"), [
    ("fails", "noise.1: not repeated: ValueError: on purpose"),
    ("no-device", "A/A: not repeated: --device: no gpu device"),
    ("hangs", "noise.1: not repeated: worker hung"),
])
def test_a_process_that_fails_is_a_warning(
    how: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOISE", how)
    # hung: computes nothing for a sixth of the time-out
    assert go(tmp_path / "run", a_suite(timeout_s=12.0, noise_processes=1)) == 0
    run = store.read_run(tmp_path / "run")
    assert {cell["status"] for cell in run["cells"]} == {"finished"}
    assert any(said in text for text in run["warnings"])
    assert parts(tmp_path / "run") == set()
    assert check_run(tmp_path / "run").code == 0


def test_a_killed_process_does_not_stop_the_next_and_resume_repeats_it_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    monkeypatch.setenv("NOISE", "kill")
    assert go(folder) == 0
    assert any("noise.1: not repeated: worker killed by SIGKILL" in text for text in store.read_run(folder)["warnings"])
    assert parts(folder) == {"noise.2"}
    before = (folder / "parts/noise.2/part.json").stat().st_mtime_ns
    monkeypatch.delenv("NOISE")
    assert go(folder, resume=True) == 0
    assert parts(folder) == {"noise.1", "noise.2"}
    assert (folder / "parts/noise.2/part.json").stat().st_mtime_ns == before


def test_a_full_disk_is_exit_4_there_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOISE", "disk-full")
    assert go(tmp_path / "run", a_suite(noise_processes=1)) == 4
    assert set(statuses(tmp_path / "run").values()) == {"finished"}


def test_ctrl_c_in_a_repeat_is_exit_130_and_costs_no_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_executors, "FAKES", NOISY)
    process = test_executors.start("fine", tmp_path, NOISE="waits")
    while not (tmp_path / "once").exists():  # the repeat has begun
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130, out + err
    assert "no report: python -m bench report" in out
    assert statuses(tmp_path / "run") == {1: "finished", 13: "finished", 99: "finished"}
    assert parts(tmp_path / "run") == set()


def test_more_processes_may_be_asked_for_later(tmp_path: Path) -> None:
    assert go(tmp_path / "run", a_suite(noise_processes=1)) == 0
    assert config_hash(a_suite(noise_processes=1)) == config_hash(a_suite())
    assert go(tmp_path / "run", a_suite(), resume=True) == 0
    assert parts(tmp_path / "run") == {"noise.1", "noise.2"}


@pytest.mark.parametrize("changes", [{"noise_groups": -1}, {"noise_groups": 1.5}, {"noise_groups": True},
                                     {"noise_processes": 0}, {"noise_processes": 101}])
def test_bad_numbers_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(SuiteError, match=f"^error: {next(iter(changes))}: must be"):
        a_suite(**changes)


def test_a_code_hash_covers_what_repeats() -> None:
    assert {"bench/noise.py", "bench/noise_worker.py"} <= set(environment.MEASURING)


def test_a_part_from_before_there_were_repeats_is_of_process_0(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"schema": 1, "cells": []}')
    tiny.timing(10, [1.0], [2.0]).drop(columns="process").to_parquet(tmp_path / "timing.parquet")
    timing = bench.load(tmp_path).timing
    assert set(timing.process) == {0}
    assert str(timing.process.dtype) == "int64"


def test_figures_of_a_run_are_those_of_its_own_process_and_the_spread_tells_of_all() -> None:
    first = tiny.timing(10, [1.0, 1.1, 1.2], [2.0, 2.0, 2.0])
    again = tiny.timing(10, [1.21, 1.21, 9.0], [1.95, 1.95, 1.95]).assign(process=1)
    other = tiny.timing(20, [5.0], [5.0])  # not repeated
    timing = pd.concat([first, again, other])
    times = Times(timing)
    np.testing.assert_array_equal(times.samples(("p", "sgd", 10, "cpu"), "solo"), [1.0, 1.1, 1.2])
    assert times.median(("p", "sgd", 10, "cpu"), "solo", "compile") == 0.7
    found = process_spread(timing)
    assert found is not None
    assert found.value == pytest.approx(1.21 / 1.1 - 1)  # solo; batched: 2/1.95 - 1
    assert (found.processes, found.groups) == (2, 1)
    assert process_spread(first) is None
