"""A disk that is full at any write: nothing earlier lost, exit 4, the path named, and --resume completes the run."""

from __future__ import annotations

import itertools
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import files, store
from bench.suite import Suite
from tests.faults import runs
from tests.faults.conftest import LONG, Tally

SHOWN = "nothing earlier lost, exit 4, the path named, --resume completes it"
LARGE = runs.suite(problems=["a"], batch_sizes=list(range(1, 13)))  # more than the 64 KiB that are probed for


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs.small(tmp_path_factory)


def test_no_file_may_grow_beyond_a_limit(whole: Path, tmp_path: Path, tally: Tally) -> None:
    """RLIMIT_FSIZE just below the size of every file of a whole run: each file is the first that fails in one trial."""
    sizes = sorted({path.stat().st_size for path in whole.rglob("*") if path.is_file() and path.stat().st_size})
    assert len(sizes) >= 5
    for size in sizes if LONG else sizes[1::8]:
        said = _stopped(tmp_path / str(size), FAULT_FSIZE=str(size - 1))
        assert said is not None
        with tally("files that may not grow beyond a limit (RLIMIT_FSIZE), below the size of each", SHOWN):
            _completes(tmp_path / str(size), whole, said)


@pytest.mark.parametrize(("where", "some"), [("PARENT", [4, 14]), ("WORKER", [5])])
def test_every_write_of_a_run(where: str, some: list[int], whole: Path, tmp_path: Path, tally: Tally) -> None:
    """The first, second, ... sync of the parent or the worker finds the disk full, and so do all after it."""
    count = 0
    for number in itertools.count() if LONG else some:
        said = _stopped(tmp_path / str(number), **{f"FAULT_{where}_WRITE": str(number)})
        if said is None:
            break
        count += 1
        with tally(f"disk full at the n-th write of the {where.lower()}, every n", SHOWN):
            _completes(tmp_path / str(number), whole, said)
    assert count >= (12 if LONG else len(some))


@pytest.mark.skipif(not LONG, reason="mounts a tmpfs: in make faults only")
def test_a_full_tmpfs(tmp_path: Path, tally: Tally) -> None:
    """A small file system that runs full of what the run itself writes."""
    whole, disk, count = tmp_path / "whole", tmp_path / "disk", 0
    assert runs.run(whole, of=LARGE) == 0
    disk.mkdir()
    for kilobytes in range(68, 1_000, 8):
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(disk)],
                                 capture_output=True, text=True, check=False)
        if mounted.returncode:
            pytest.skip(f"a tmpfs can't be mounted here: {mounted.stderr.strip()}")
        try:
            said = _stopped(disk / "run", LARGE)
            if said is None:
                break
            count += 1
            with tally("a tmpfs that runs full, sizes in steps of 8 KiB", SHOWN):
                _completes(disk / "run", whole, said, LARGE, lambda: subprocess.run(
                    ["mount", "-o", "remount,size=10m", str(disk)], check=True))
        finally:
            subprocess.run(["umount", str(disk)], check=True)
    assert count >= 5


def _stopped(folder: Path, of: Suite = runs.SMALL, **settings: str) -> str | None:
    """What a run into the fault said, ending with exit code 4; None where it was through before."""
    code, said = runs.end(runs.start(folder, of=of, **settings))
    assert code in (0, 4), said
    return said if code else None


def _completes(folder: Path, whole: Path, said: str, of: Suite = runs.SMALL,
               make_room: Callable[[], object] = lambda: None) -> None:
    assert "Traceback" not in said
    assert re.search(rf"error: .*{re.escape(str(folder))}", said), said
    before = runs.whole_parts(folder)
    if not store.is_unused(folder):
        store.read_run(folder)  # whole, or not there
    make_room()
    assert runs.run(folder, of=of) == 0
    runs.nothing_lost(before, folder)
    runs.same_tables(folder, whole)
    assert list(files.leftovers(folder)) == []
