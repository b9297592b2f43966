"""Commands that draw a picture, from the parent's side: --out before the work, dead workers, signals, no device."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
from click.testing import CliRunner

from bench import basins, child, growth, picture_session, stream
from bench.cli import cli

ROOT = Path(__file__).resolve().parents[2]
FAKE = "tests.bench.fake_pictures"
COMMANDS = {"basins": [], "growth": ["--most", "100000"], "stream": ["--gigabytes", "0"]}
PARENT = f"""
import sys
from pathlib import Path
from bench import growth, picture_session
growth.WORKER = "{FAKE}"
picture_session.run(lambda: growth.check("waits", "cpu", 1000, 0.1, 0.0, 1, 1, Path(sys.argv[1])), growth.run)
"""
END_S = 30.0  # seconds that a killed parent's worker may take to go


@pytest.fixture
def _fake(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (basins, growth):
        monkeypatch.setattr(module, "WORKER", FAKE)
    monkeypatch.setattr(stream, "ARMS_WORKER", FAKE)
    monkeypatch.setattr(stream, "FILE_WORKER", FAKE)


def call(command: str, *arguments: str) -> tuple[int, str]:
    """Exit code, and stdout and stderr together in one line."""
    done = CliRunner().invoke(cli, [command, *arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, " ".join(done.output.split())


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.usefixtures("_fake")
def test_a_place_that_can_not_be_written_is_exit_4_before_the_work(command: str, tmp_path: Path) -> None:
    """The worker `waits` would be at work for ten minutes."""
    (tmp_path / "file").write_text("mine")
    out = tmp_path / "file" / "x.png"
    code, said = call(command, "waits", *COMMANDS[command], "--out", str(out))
    assert code == 4
    assert "error: --out: can't be written (got [Errno " in said and "Give a file in a folder that can." in said
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_as_the_picture_is_refused_before_the_work(command: str, tmp_path: Path,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_session, "Child", None)
    (tmp_path / "x.png").mkdir()
    code, said = call(command, "bowl", *COMMANDS[command], "--out", str(tmp_path / "x.png"))
    assert code == 2 and "error: --out: is a folder (got " in said
    code, said = call(command, "bowl", *COMMANDS[command], "--out", str(tmp_path / ("x" * 300 + ".png")))
    assert code == 4 and "File name too long" in said
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]


@pytest.mark.parametrize(("command", "kept"), [("growth", 2), ("stream", 1)])
@pytest.mark.usefixtures("_fake")
def test_row_20_a_worker_that_hears_nothing_is_ended_and_what_was_measured_is_kept(
        command: str, kept: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "STOP_S", 0.1)
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        code, said = call(command, "interrupted", *COMMANDS[command], "--out", str(tmp_path / "x.png"))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert code == 130 and "stopping; a second signal stops at once." in said
    assert len(pd.read_csv(tmp_path / "x.csv")) == kept
    assert not multiprocessing.active_children()


def test_no_worker_outlives_a_killed_parent(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path / "x.png")], cwd=ROOT,
                              stdout=subprocess.DEVNULL, env={**os.environ, "TMPDIR": str(tmp_path)})
    deadline = time.monotonic() + 60
    while not (tmp_path / "x.pid").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    children = psutil.Process(parent.pid).children(recursive=True)
    parent.kill()
    parent.wait()
    assert children
    _, alive = psutil.wait_procs(children, timeout=END_S)
    assert not [each for each in alive if each.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.usefixtures("_fake")
def test_a_dead_worker_is_exit_3_and_keeps_what_was_measured(tmp_path: Path) -> None:
    code, said = call("growth", "killed", "--most", "100000", "--out", str(tmp_path / "x.png"))
    assert code == 3
    assert "error: 100,000 lanes: ended before its time (got worker killed by SIGKILL" in said
    assert "If memory ran out, try a smaller --most." in said and "10,000 starts" in said
    assert pd.read_csv(tmp_path / "x.csv").lanes.tolist() == [1_000, 10_000]
    assert (tmp_path / "x.png").exists()
    code, said = call("stream", "killed", "--gigabytes", "0", "--out", str(tmp_path / "y.png"))
    assert code == 3 and "error: arms: ended before its time" in said
    assert len(pd.read_csv(tmp_path / "y.csv")) == 1
    assert not (tmp_path / "y.png").exists()


def test_a_device_that_is_not_there_is_exit_5(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of any command: `bench.picture_worker.serve` opens it for all."""
    monkeypatch.setenv("JAX_PLATFORMS", "nowhere")
    code, said = call("basins", "himmelblau", "--out", str(tmp_path / "new" / "x.png"))
    assert code == 5
    assert "error: --device: no auto device (got none: " in said
    assert not (tmp_path / "new").exists()
