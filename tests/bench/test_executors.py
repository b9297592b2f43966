"""Whatever the worker or the user does, finished cells stay, the exit code tells it, and a resume completes it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas
import pytest

from bench import environment, executors, store
from bench.executors import run_suite
from bench.suite import Suite, suite_from

MACHINE = {"device_kind": "H100", "device_count": 1, "settings": {}}
FAKES = {"worker": "tests.bench.fake_worker", "report": "tests.bench.fake_report"}
ROOT = Path(__file__).resolve().parents[2]


def a_suite(name: str) -> Suite:
    return suite_from({"name": name, "problems": ["a"], "batch_sizes": [1, 13, 99], "epochs": 20.0,
                       "schedules": ["constant", "cosine"]})


def go(suite: Suite, folder: Path, resume: bool = False, device: str = "auto") -> int:
    return run_suite(suite, folder, device, resume, **FAKES)


def statuses(folder: Path) -> dict[int, str]:
    """Batch size -> status; both schedules of a group must agree."""
    found: dict[int, set[str]] = {}
    for cell in store.read_run(folder)["cells"]:
        found.setdefault(cell["batch_size"], set()).add(cell["status"])
    assert all(len(each) == 1 for each in found.values())
    return {size: each.pop() for size, each in found.items()}


def test_a_run_in_order(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert go(a_suite("fine"), tmp_path / "run") == 0
    run = store.read_run(tmp_path / "run")
    assert statuses(tmp_path / "run") == {1: "finished", 13: "finished", 99: "finished"}
    assert run["device"] == "cpu"
    assert run["environment"]["backend"] == "cpu"
    assert run["finished"] is not None
    assert len(pandas.read_parquet(tmp_path / "run/lanes.parquet")) == 3
    shown = capfd.readouterr().out
    assert "Batch size 8 is soonest." in shown
    assert "not the answer" not in shown
    assert str(tmp_path / "run" / "report.md") in shown


def test_a_busy_machine_is_a_warning(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(environment, "load", lambda: [1e3, 0.0, 0.0])
    assert go(a_suite("fine"), tmp_path / "run") == 0
    assert "warning: the load, 1000.0, is above half the cores" in capfd.readouterr().out


def test_row_19_a_killed_worker_costs_one_group_after_a_second_try(tmp_path: Path) -> None:
    assert go(a_suite("kill"), tmp_path / "run") == 3
    assert statuses(tmp_path / "run") == {1: "finished", 13: "failed", 99: "finished"}
    note = next(cell["note"] for cell in store.read_run(tmp_path / "run")["cells"] if cell["batch_size"] == 13)
    assert "worker killed by SIGKILL" in note
    assert "about to die" in note
    assert sorted(pandas.read_parquet(tmp_path / "run/lanes.parquet")["batch_size"]) == [1, 99]


def test_a_worker_killed_once_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_WORKER_ONCE", str(tmp_path / "once"))
    assert go(a_suite("kill-once"), tmp_path / "run") == 0
    assert statuses(tmp_path / "run") == {1: "finished", 13: "finished", 99: "finished"}
    assert any("SIGKILL" in text for text in store.read_run(tmp_path / "run")["warnings"])


def test_a_failed_group_is_exit_3_and_the_rest_goes_on(tmp_path: Path) -> None:
    assert go(a_suite("refuses"), tmp_path / "run") == 3
    assert statuses(tmp_path / "run") == {1: "finished", 13: "failed", 99: "finished"}


@pytest.mark.parametrize("how", ["no-gradients", "no-gradients-kill"])
def test_a_noise_scale_that_cannot_be_measured_is_a_warning(tmp_path: Path, how: str) -> None:
    assert go(a_suite(how), tmp_path / "run") == 0
    assert set(statuses(tmp_path / "run").values()) == {"finished"}
    said = store.read_run(tmp_path / "run")["warnings"]
    assert said[-1].startswith("a.gradients: failed: ") and "the run is whole without it" in said[-1]


def test_a_worker_that_dies_before_its_plan(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert go(a_suite("no-plan"), tmp_path / "run") == 3
    said = capfd.readouterr().err
    assert "worker ended with exit code 1" in said
    assert "broken before the plan" in said
    assert "broken before the plan" in (tmp_path / "run/log.txt").read_text()


def test_a_missing_device_is_exit_5_and_leaves_no_folder(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert go(a_suite("no-device"), tmp_path / "run", device="gpu") == 5
    assert "error: --device: no GPU (got cpu)." in capfd.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_full_disk_is_exit_4_and_keeps_what_is_finished(tmp_path: Path) -> None:
    assert go(a_suite("disk-full"), tmp_path / "run") == 4
    assert statuses(tmp_path / "run") == {1: "finished", 13: "pending", 99: "pending"}
    assert store.read_run(tmp_path / "run")["finished"] is None


def test_a_manifest_that_cannot_be_written_ends_the_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = store.write_run

    def full(folder: Path, run: store.Run) -> None:
        if any(cell["status"] == "finished" for cell in run["cells"]):
            raise store.FolderError("run.json: cannot be written (got No space left on device). Make room.")
        written(folder, run)

    monkeypatch.setattr(executors.store, "write_run", full)
    assert go(a_suite("fine"), tmp_path / "run") == 4
    monkeypatch.undo()
    assert go(a_suite("fine"), tmp_path / "run", resume=True) == 0


def test_a_full_folder_needs_resume(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert go(a_suite("fine"), tmp_path / "run", resume=True) == 0  # nothing there: resume starts it
    before = (tmp_path / "run/run.json").read_bytes()
    assert go(a_suite("fine"), tmp_path / "run") == 4
    assert "is not empty" in capfd.readouterr().err
    assert (tmp_path / "run/run.json").read_bytes() == before


def test_a_resume_runs_only_what_is_missing_or_damaged(tmp_path: Path) -> None:
    assert go(a_suite("fine"), tmp_path / "run") == 0
    kept = (tmp_path / "run/parts/a.sgd.1/part.json").stat().st_mtime_ns
    table = tmp_path / "run/parts/a.sgd.99/lanes.parquet"
    table.write_bytes(table.read_bytes()[:50])
    assert go(a_suite("fine"), tmp_path / "run", resume=True) == 0
    assert (tmp_path / "run/parts/a.sgd.1/part.json").stat().st_mtime_ns == kept
    assert len(pandas.read_parquet(tmp_path / "run/lanes.parquet")) == 3
    assert any("a.sgd.99" in text for text in store.read_run(tmp_path / "run")["warnings"])


def test_a_failing_report_costs_no_result(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_suite(a_suite("fine"), tmp_path / "run", worker=FAKES["worker"], report="tests.bench.absent") == 1
    assert "python -m bench report" in capfd.readouterr().err
    assert len(pandas.read_parquet(tmp_path / "run/lanes.parquet")) == 3


SCRIPT = """
import json, pathlib, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell starts us with it ignored
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from bench.executors import run_suite
from bench.suite import suite_from
if __name__ == "__main__":
    suite, folder, fakes = json.loads(sys.argv[1]), pathlib.Path(sys.argv[2]), json.loads(sys.argv[3])
    code = run_suite(suite_from(suite), folder, "auto", True, **fakes)
    print("jax" in sys.modules, "gdjax" in sys.modules, file=sys.stderr)
    sys.exit(code)
"""


def start(name: str, tmp_path: Path, **extra: str) -> subprocess.Popen[str]:
    """The parent as a process of its own, past the plan and waiting in batch size 13."""
    (tmp_path / "parent.py").write_text(SCRIPT)
    settings = os.environ | {"PYTHONPATH": str(ROOT), "FAKE_WORKER_ONCE": str(tmp_path / "once")} | extra
    process = subprocess.Popen([sys.executable, str(tmp_path / "parent.py"), json.dumps(a_suite(name).config()),
                                str(tmp_path / "run"), json.dumps(FAKES)],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=settings, cwd=ROOT)
    deadline = time.monotonic() + 60
    waits = name in ("waits", "waits-timing", "deaf")
    while waits and not (tmp_path / "once").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return process


def test_row_20_a_signal_keeps_finished_cells_and_resume_completes_them(tmp_path: Path) -> None:
    """SIGINT and SIGTERM at random moments: faults/test_killed.py."""
    process = start("waits", tmp_path)
    process.send_signal(signal.SIGHUP)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert "False False" in err
    assert "no report: python -m bench report" in out
    assert len(pandas.read_parquet(tmp_path / "run/lanes.parquet")) == 2  # the worker ends what it is doing
    found = statuses(tmp_path / "run")
    assert (found[1], found[99]) == ("finished", "pending")
    assert store.read_run(tmp_path / "run")["finished"] is None
    again = start("waits", tmp_path)
    out, err = again.communicate(timeout=300)
    assert again.returncode == 0, err
    assert statuses(tmp_path / "run") == {1: "finished", 13: "finished", 99: "finished"}


def test_a_run_without_step_times_does_not_pass_for_a_whole_one(tmp_path: Path) -> None:
    process = start("waits-timing", tmp_path)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert "6 of 6 cells finished in" in out and ", 6 of them without step times" in out
    assert store.read_run(tmp_path / "run")["finished"] is None
    out, err = start("waits-timing", tmp_path).communicate(timeout=300)
    assert "6 of 6 cells finished in" in out and "without step times" not in out
    assert store.read_run(tmp_path / "run")["finished"] is not None


def test_row_23_a_resume_on_another_device_or_other_cores_is_refused_with_the_difference(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FAKE_MACHINE", json.dumps(MACHINE))
    assert go(a_suite("refuses"), tmp_path / "run") == 3
    for changed, said in (({"device_kind": "H200"}, "device_kind: 'H100' -> 'H200'"),
                          ({"settings": {"XLA_FLAGS": "--x"}}, "XLA_FLAGS: '' -> '--x'"),
                          ({"device_count": 2}, "device_count: 1 -> 2")):
        monkeypatch.setenv("FAKE_MACHINE", json.dumps({**MACHINE, **changed}))
        assert go(a_suite("refuses"), tmp_path / "run", resume=True) == 4
        assert f"the device changed (got {said})" in capfd.readouterr().err
    monkeypatch.setenv("FAKE_MACHINE", json.dumps(MACHINE))
    monkeypatch.setattr(environment, "affinity", lambda: list(range(77)))
    assert go(a_suite("refuses"), tmp_path / "run", resume=True) == 4
    assert "cores: " in capfd.readouterr().err


def test_a_second_signal_ends_a_deaf_worker_at_once(tmp_path: Path) -> None:
    process = start("deaf", tmp_path)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert statuses(tmp_path / "run") == {1: "finished", 13: "pending", 99: "pending"}


def test_row_30_a_closed_pipe_an_ascii_terminal_and_40_columns(tmp_path: Path) -> None:
    process = start("fine", tmp_path, LANG="C", LC_ALL="C", PYTHONIOENCODING="ascii", COLUMNS="40", NO_COLOR="1")
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(timeout=300) == 0
    assert process.stderr is not None
    said = process.stderr.read()
    process.stderr.close()
    assert "Traceback" not in said
    assert statuses(tmp_path / "run") == {1: "finished", 13: "finished", 99: "finished"}
