"""kill -9 of the parent or the worker at a random moment, then --resume: nothing lost, the same tables."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from bench import store, tables
from bench.suite import Suite
from tests.faults import runs
from tests.faults.conftest import LONG, Tally, times
from tests.once import made_once

KILL = "kill -9 of {} at a random moment, then --resume ({} worker)"
LOST = "no finished cell lost, tables equal the uninterrupted run's"
REAL_SUITE = runs.suite(runs.REAL_SUITE, **({} if LONG else {"batch_sizes": [10]}))  # each group costs its compiling
PACE = {"FAULT_PACE_S": "0.1"}  # seconds for each group of the fast worker, so that moments fall inside


@pytest.fixture(scope="module")
def fast(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """An uninterrupted run of the fast worker, and the seconds it takes from its first word."""
    return _whole(tmp_path_factory, "fast", runs.FAST, runs.suite())


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """The same of the real worker."""
    return _whole(tmp_path_factory, "real", runs.REAL, REAL_SUITE)


@pytest.mark.parametrize("trial", times(1, 25))
@pytest.mark.parametrize("whom", ["parent", "worker"])
def test_fast_worker(whom: str, trial: int, fast: tuple[Path, float], folder: Path, tally: Tally,
                     chance: random.Random) -> None:
    with tally(KILL.format(whom, "fast"), LOST):
        _kill_and_resume(whom, folder, fast, chance, runs.FAST, runs.suite())


@pytest.mark.parametrize("trial", times(1, 5))
@pytest.mark.parametrize("whom", ["parent", "worker"] if LONG else ["parent"])
def test_real_worker(whom: str, trial: int, real: tuple[Path, float], folder: Path, tally: Tally,
                     chance: random.Random) -> None:
    with tally(KILL.format(whom, "real"), LOST):
        _kill_and_resume(whom, folder, real, chance, runs.REAL, REAL_SUITE)


@pytest.mark.parametrize("trial", times(1, 20))
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_signals(number: signal.Signals, trial: int, fast: tuple[Path, float], folder: Path, tally: Tally,
                 chance: random.Random) -> None:
    reference, seconds = fast
    with tally(f"{number.name} at a random moment", "exit 130 within 10 s, folder readable, --resume completes it"):
        process = runs.start(folder, **PACE)
        time.sleep(chance.uniform(0, seconds))
        process.send_signal(number)
        began = time.monotonic()
        code, said = runs.end(process)
        assert time.monotonic() - began < 10
        assert code == 130 or "report: " in said  # it may have been through
        assert "Traceback" not in said
        if not store.is_unused(folder):
            assert tables.load(folder).run["cells"] == store.read_run(folder)["cells"]
        before = runs.whole_parts(folder)
        assert runs.run(folder) == 0
        runs.nothing_lost(before, folder)
        runs.same_tables(folder, reference)


def _whole(factory: pytest.TempPathFactory, name: str, worker: str, suite: Suite) -> tuple[Path, float]:
    def make(place: Path) -> None:
        process = runs.start(place / "run", worker, suite, **PACE)
        began = time.monotonic()
        code, said = runs.end(process)
        assert code == 0, said
        (place / "seconds").write_text(str(time.monotonic() - began))

    place = made_once(factory, f"uninterrupted-{name}", make)
    return place / "run", float((place / "seconds").read_text())


def _kill_and_resume(whom: str, folder: Path, whole: tuple[Path, float], chance: random.Random, worker: str,
                     suite: Suite) -> None:
    reference, seconds = whole
    process = runs.start(folder, worker, suite, **PACE)
    time.sleep(chance.uniform(0, seconds))
    before = runs.whole_parts(folder)
    if whom == "parent":
        process.kill()
    else:
        _kill_when_there(process)
    runs.end(process)
    runs.no_orphans(folder)
    assert runs.run(folder, worker, suite) == 0
    runs.nothing_lost(before, folder)
    runs.same_tables(folder, reference)


def _kill_when_there(process: subprocess.Popen[str]) -> None:
    """Kill the worker, or the next one that there is, unless the run ends first."""
    while not runs.kill_a_worker(process) and process.poll() is None:
        time.sleep(0.01)
