"""The list of bad input: rows that other tests do not have, and that each row has a test that is named after it."""

from __future__ import annotations

import gc
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench import cli, environment, opening, store
from bench.doctor import Findings
from bench.executors import run_suite
from bench.size import Room, size_of
from tests.faults import runs

HOSTILE = {
    "huge numbers": "starts = " + "9" * 60_000,
    "huge hexadecimal numbers": "starts = 0x" + "f" * 60_000,
    "deep lists": "a = " + "[" * 50_000,
    "deep tables": "a = " + "{b = " * 10_000,
    "a long dotted key": ".".join(["a"] * 30_000) + " = 1",
    "a name of a million characters": f'name = "{"x" * 10**6}"',
    "a key of a million characters": "x" * 10**6 + " = 1",
    "many keys": "\n".join(f"k{i} = 1" for i in range(6_000)),
    "many tables": "\n".join(f"[problem.p{i}]" for i in range(3_000)),
}


def call(*words: str) -> tuple[int, str]:
    """Exit code and output of the command line."""
    done = CliRunner().invoke(cli.cli, list(words))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def suite_file(folder: Path, text: str = "") -> str:
    path = folder / "suite.toml"
    path.write_text('name = "t"\nproblems = ["a"]\nbatch_sizes = [1]\nschedules = ["constant"]\n' + text)
    return str(path)


@contextmanager
def under_a_second() -> Iterator[None]:
    """Wants what a new process would take: neither neighbours count nor what other tests left to the collector."""
    gc.collect()
    gc.freeze()
    began = time.thread_time()
    try:
        yield
        assert time.thread_time() - began < 1
    finally:
        gc.unfreeze()


def test_every_row_has_a_test_that_is_named_after_it() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in (runs.ROOT / "tests").rglob("test_*.py"))
    named = {int(number) for number in re.findall(r"def test_row_(\d\d)_", text)}
    assert named == set(range(1, 31))


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_row_16_hostile_suites_are_refused_within_a_second(text: str, tmp_path: Path) -> None:
    (tmp_path / "hostile.toml").write_text(text)
    with under_a_second():
        code, said = call("run", str(tmp_path / "hostile.toml"), "--out", str(tmp_path / "run"))
    assert code == 2
    assert said.startswith("error: ") and len(said) < 50_000
    assert not (tmp_path / "run").exists()


def test_row_16_a_suite_that_is_no_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.toml", Path("/dev/zero"), Path("x" * 10**6)):
        with under_a_second():
            assert call("run", str(path))[0] == 2


def test_row_18_lacking_memory_is_announced(tmp_path: Path) -> None:
    """What happens when it runs out: test_workers.py."""
    room = Room(tmp_path, disk_bytes=10**12, memory_bytes=1_000)
    assert "memory: there may be too little (got 1 kB free for about" in str(room.lacks(size_of(runs.suite())))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP], ids=["SIGINT", "SIGHUP"])
def test_row_20_signals_before_the_run_begins(number: signal.Signals) -> None:
    """While python -m bench still imports; during a run: test_killed.py."""
    code = ("import signal, time\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"  # under nohup it is ignored, as it should be
            "from bench.__main__ import end_at_signals\nend_at_signals()\nprint('ready', flush=True)\ntime.sleep(30)\n")
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               cwd=runs.ROOT)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    process.send_signal(number)
    code_found, said = runs.end(process)
    assert (code_found, said) == (130, "")


def test_row_21_folders_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = suite_file(tmp_path)
    for folder in (tmp_path / "suite.toml", tmp_path / "suite.toml" / "below", tmp_path / ("x" * 300), Path("/proc/x"),
                   Path("a\0b")):
        code, said = call("run", suite, "--out", str(folder))
        assert code == 4, said
        assert "error: " in said and "--out" in said
    full = Room(tmp_path, disk_bytes=10, memory_bytes=10**12)
    monkeypatch.setattr(Room, "beside", classmethod(lambda cls, folder: full))
    code, said = call("run", suite, "--out", str(tmp_path / "run"))
    assert code == 4
    assert "the disk has too little room" in said and "--yes" in said
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert runs.run(folder, of=runs.suite(problems=["a"])) == 0
    return folder


FOREIGN = [b"", b"{", b"[]", b'{"schema": 2}', b"\xff", b"null", b'{"schema": 1, "cells": [1]}', b"[" * 10**6]


@pytest.mark.parametrize("content", FOREIGN, ids=range(len(FOREIGN)))
def test_row_22_foreign_and_newer_files(whole: Path, folder: Path, content: bytes) -> None:
    """Cut, emptied and replaced ones: test_damaged.py."""
    shutil.copytree(whole, folder)
    (folder / "parts" / "a.sgd.13" / "part.json").write_bytes(content)
    (folder / "notes.txt").write_text("mine")
    assert call("doctor", str(folder))[0] == 4
    said: list[str] = []
    assert "a.sgd.13" not in store.finished_groups(folder, said.append)
    assert len(said) == 1 and "parts/a.sgd.13: " in said[0]
    (folder / "run.json").write_bytes(content)
    code, shown = call("doctor", str(folder))
    assert code == 4 and "run.json: " in shown
    assert call("report", str(folder))[0] == 4
    assert (folder / "notes.txt").read_text() == "mine"


def test_row_23_a_changed_experiment(whole: Path, folder: Path, monkeypatch: pytest.MonkeyPatch,
                                     capfd: pytest.CaptureFixture[str]) -> None:
    suite = runs.suite(problems=["a"])
    shutil.copytree(whole, folder)
    assert runs.run(folder, of=runs.suite(problems=["a"], timeout_s=99.0)) == 0  # no part of the experiment
    before = runs.whole_parts(folder)
    changed = runs.suite(problems=["a"], epochs=3.0)
    assert runs.run(folder, of=changed) == 4
    assert "epochs: 20.0 -> 3.0" in capfd.readouterr().err
    assert run_suite(suite, folder, "gpu", True, worker=runs.FAST, report=runs.REPORT) == 4
    assert "device: cpu -> gpu" in capfd.readouterr().err
    for what, now in (("versions.jax", {"versions": {"jax": "0"}}), ("cpu_model", {"cpu_model": "another"}),
                      ("code", {"code_sha256": "0"})):
        with monkeypatch.context() as patch:
            real = environment.describe()
            patch.setattr(opening.environment, "describe", lambda real=real, now=now: real | now)
            assert runs.run(folder, of=suite) == 4
            assert f"{what}: " in capfd.readouterr().err
    beside = opening.place_for(changed, folder, "cpu", resume=True)  # --resume --force-new
    assert beside == folder.with_name("run-2")
    assert opening.place_for(suite, folder, "cpu", resume=True) == folder
    assert opening.place_for(suite, folder, "cpu", resume=False) == beside  # --force-new alone never goes on
    assert runs.run(beside, of=changed) == 0
    assert opening.place_for(suite, folder, "cpu", resume=False) == folder.with_name("run-3")
    runs.nothing_lost(before, folder)


def test_row_28_a_missing_extra_is_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['pyarrow'] = None\n")
    done = subprocess.run([sys.executable, "-m", "bench", "run", "smoke"], capture_output=True, text=True, check=False,
                          cwd=runs.ROOT, env=os.environ | {"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 2
    assert "packages are missing (got no pyarrow)" in done.stderr and "pip install" in done.stderr


def test_doctor_of_a_folder_names_what_is_extra_missing_and_damaged(whole: Path, folder: Path) -> None:
    shutil.copytree(whole, folder)
    assert call("doctor", str(folder))[0] == 0
    (folder / "thesis.tex").write_text("")
    (folder / "parts" / "b.sgd.1").mkdir()
    (folder / ".0123.tmp").write_text("")
    (folder / "parts" / "a.timing" / "timing.parquet").unlink()
    lanes = folder / "lanes.parquet"
    lanes.write_bytes((folder / "hits.parquet").read_bytes()[:-1])
    (folder / "parts" / "a.sgd.1").rename(folder / "away")
    code, said = call("doctor", str(folder))
    assert code == 4
    for line in ("missing  parts/a.sgd.1", "damaged  parts/a.timing: timing.parquet is missing",
                 "damaged  parts/b.sgd.1: part.json is missing", "damaged  lanes.parquet: cannot be read",
                 "extra    thesis.tex: not of this run", "extra    away: not of this run",
                 "extra    parts/b.sgd.1: its cells are not in run.json", "extra    .0123.tmp: unfinished"):
        assert line in said
    assert "--resume" in said
    runs.run(folder, of=runs.suite(problems=["a"]))
    code, said = call("doctor", str(folder))
    assert code == 0
    assert "quarantined" in said and "everything is there." in said
    assert (folder / "thesis.tex").exists()


def test_doctor_of_the_machine_measures_it_and_gives_a_remedy_for_each_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    from bench import doctor
    from bench.probe import Rates

    rates = Rates([("cpu", "cpu")], 5e10, 1e10, [1.0, 2.0] * 5)
    monkeypatch.setattr(doctor, "measure_machine", lambda: (rates, ""))
    monkeypatch.setattr(doctor.environment, "load", lambda: [99.0, 0.0, 0.0])
    monkeypatch.setattr(doctor, "LOW_DISK_BYTES", 10**18)
    monkeypatch.setattr(doctor, "LOW_MEMORY_BYTES", 10**18)
    found: Findings = doctor.check_machine()
    text = "\n".join(found.lines)
    assert "matmul   50 GFLOP/s in float32" in text and "copy     10.0 GB/s" in text
    assert "noise    35.1 % standard deviation over 10 runs" in text  # of 1, 2, ...: √(10·0.25/9)/1.5
    for remedy in ("set repeats = 30", "stop other programs", "Make room", "set a smaller width", "pip install"):
        assert remedy in text
    assert found.code == 0
