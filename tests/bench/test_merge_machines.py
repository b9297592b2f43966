"""Seconds of different machines are told apart wherever they meet in a merged run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import bench
from bench import machines, store
from bench.compare.differences import differences
from bench.report.content import facts
from tests.bench import tiny
from tests.bench.merging import Folders, edit, into
from tests.bench.test_shards import go, groups


def other_processor(run: store.Run) -> None:
    run["environment"] |= {"cpu_model": "Other", "affinity": [0], "ram_bytes": 8 * 10**9}


def test_seconds_of_different_machines_are_said_wherever_they_meet(
        tmp_path: Path, shards: Folders, capfd: pytest.CaptureFixture[str]) -> None:
    edit(shards[1], other_processor)
    out = tmp_path / "merged"
    assert into(shards, out) == 0
    assert "warning: seconds come from 2 machines (1: " in capfd.readouterr().out
    run = store.read_run(out)
    assert len(run["environments"]) == 2
    for folder, place in zip(shards, (0, 1), strict=True):
        assert {run["made_on"][part.name] for part in store.parts_of(folder)} == {place}
    (warning,) = run["warnings"]
    assert "2: Other, 1 core)" in warning and "can't be compared, steps and examples can" in warning
    said = dict(facts(run))["machines"]
    assert said.endswith("2: Other, 1 core (6 cells)")
    remark = machines.machines_remark(run, "a")
    assert remark is not None and "what is sooner in seconds may be the machine" in remark
    assert f"A's {warning}" in differences(run, store.read_run(shards[0]))


def test_one_machine_is_one_whatever_its_load_or_which_cores(tmp_path: Path, shards: Folders) -> None:
    edit(shards[1], lambda run: run["environment"].update(
        load_before=[9.0, 9.0, 9.0], utc="2030-01-01T00:00:00+00:00",
        affinity=[core + 8 for core in run["environment"]["affinity"]]))  # type: ignore[attr-defined]
    assert into(shards, tmp_path / "merged") == 0
    run = store.read_run(tmp_path / "merged")
    assert (len(run["environments"]), run["warnings"]) == (1, [])
    assert "machines" not in dict(facts(run))


def test_a_resume_on_another_machine_than_the_first_is_one_more_machine(
        tmp_path: Path, shards: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(shards[0], other_processor)
    out = tmp_path / "merged"
    assert into(shards[:1], out) == 3
    assert go(out, None, resume=True) == 4  # as for any run: the processor changed
    shutil.rmtree(out)
    monkeypatch.setenv("FAKE_MACHINE", json.dumps({"device_count": 7}))
    assert into(shards[1:], out) == 3
    assert go(out, None, resume=True) == 0
    run = store.read_run(out)
    assert len(run["environments"]) == 2
    assert {run["made_on"][group] for group in groups(shards[0])} == {1}
    assert run["warnings"][-1].startswith("seconds come from 2 machines")


def test_targets_that_machines_round_differently_are_one_target(tmp_path: Path) -> None:
    table = tiny.cell(10, "constant", [5.0])
    run = {**tiny.RUN, "environments": [{}], "made_on": {}, "config": {}, "config_hash": "", "started": "",
           "problems": {"p": {"examples": 100, "targets": [{"target": tiny.TARGET * (1 + 1e-7), "gap": tiny.GAP}]}}}
    (tmp_path / "run.json").write_text(json.dumps(run))
    (tmp_path / "parts").mkdir()
    store.write_group(tmp_path, "p.sgd.10", {name: table[name] for name in ("hits", "chosen")})
    tables = bench.load(tmp_path)
    assert set(tables.hits.target) == set(tables.chosen.target) == {tiny.TARGET * (1 + 1e-7)}
