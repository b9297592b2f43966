"""A report is written by a process of its own: whatever its end, it is told and costs no result."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from bench.display import Display
from bench.reporting import write_report
from bench.store import FolderError

ROOT = Path(__file__).resolve().parents[2]
MODULE = "tests.bench.misbehaving_report"
PARENT = """
import sys
from pathlib import Path
from bench.display import Display
from bench.reporting import write_report
write_report(Path(sys.argv[1]), sys.argv[2], Display())
"""
END_S = 10.0  # seconds that an interrupted report may take to go


def a_folder(place: Path, name: str) -> Path:
    folder = place / name
    folder.mkdir(parents=True)
    return folder


def test_what_a_report_returns_is_shown_and_was_made_elsewhere(tmp_path: Path,
                                                               capfd: pytest.CaptureFixture[str]) -> None:
    assert write_report(a_folder(tmp_path, "returns"), MODULE, Display())
    shown = capfd.readouterr().out.split()
    assert int(shown[shown.index("process") + 1]) != os.getpid()


def test_what_markdown_escapes_is_shown_as_it_stands(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    name = "R&D my_set <*a|b*>"
    cell = {"problem": name, "optimizer": "sgd", "batch_size": 5, "schedule": "step", "device": "cpu", "status": "oom",
            "note": ""}
    run = {"schema": 1, "suite": "a & b", "problems": {name: {"examples": 5}}, "device": "cpu", "cells": [cell]}
    (tmp_path / "run.json").write_text(json.dumps(run))
    assert write_report(tmp_path, "bench.report.report", Display())
    first, answer, *_ = capfd.readouterr().out.splitlines()
    assert first == "Suite a & b on cpu: partial: 0 of 1 cells."
    assert answer.startswith(f"- {name} on cpu: every cell failed")
    assert "R&amp;D my_set &lt;\\*a\\|b\\*&gt; on cpu" in (tmp_path / "report.md").read_text()


@pytest.mark.parametrize(("name", "told", "logged"), [
    ("raises", "ValueError: no column of that name", "ValueError: no column of that name"),
    ("killed", "report's process killed by SIGKILL", "")])
def test_a_report_that_fails_says_why_and_where_the_results_are(
        name: str, told: str, logged: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = a_folder(tmp_path / "my runs", name)
    assert not write_report(folder, MODULE, Display())
    said = " ".join(capfd.readouterr().err.split())
    assert f"error: report: could not be written (got {told}" in said
    assert f"The results are kept; see {folder / 'log.txt'}, then python -m bench report '{folder}'." in said
    assert logged in (folder / "log.txt").read_text(encoding="utf-8")


def test_a_full_disk_is_an_error_of_the_folder(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, "full")
    with pytest.raises(FolderError, match=r"report.html: cannot be written \(got No space left on device\).*make room"):
        write_report(folder, MODULE, Display())
    with pytest.raises(FolderError, match=r"absent/log.txt: cannot be written \(got No such file or directory\)"):
        write_report(tmp_path / "absent", MODULE, Display())


def test_an_interrupted_report_leaves_no_process_and_nothing_half_written(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, "slow")
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(folder), MODULE], cwd=ROOT, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not (folder / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    children = psutil.Process(parent.pid).children(recursive=True)
    parent.send_signal(signal.SIGINT)
    parent.communicate(timeout=END_S)
    assert parent.returncode != 0
    assert children
    _, alive = psutil.wait_procs(children, timeout=END_S)
    assert not alive
    assert sorted(path.name for path in folder.iterdir()) == ["log.txt", "started"]
