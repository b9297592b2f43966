"""How often each fault is injected, and the table of what came of it."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

LONG = os.environ.get("FAULTS") == "long"
REAL = LONG or os.environ.get("FAULTS") == "real"
SHOWN: dict[str, str] = {}  # fault -> what must be seen
TRIED: dict[str, int] = {}
SEEN: dict[str, int] = {}

Tally = Callable[[str, str], AbstractContextManager[None]]


def times(short: int, long: int) -> range:
    """Trials of a fault: `short` in make test, `long` in make faults."""
    return range(long if LONG else short)


@pytest.fixture
def tally() -> Tally:
    """`with tally(fault, what must be seen):` around one trial; it counts as seen if nothing is raised."""

    @contextmanager
    def trial(fault: str, shown: str) -> Iterator[None]:
        SHOWN[fault] = shown
        TRIED[fault] = TRIED.get(fault, 0) + 1
        yield
        SEEN[fault] = SEEN.get(fault, 0) + 1

    return trial


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Random moments, the same for the same test unless FAULTS_SEED says otherwise."""
    return random.Random(f"{os.environ.get('FAULTS_SEED', '0')} {request.node.name}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a run goes."""
    return tmp_path / "run"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table that the README has."""
    if not TRIED:
        return
    terminalreporter.write_line(f"\nfaults injected, {'long' if LONG else 'short'} form:")
    terminalreporter.write_line("| fault | times | to show | seen |\n|---|---|---|---|")
    for fault, count in TRIED.items():
        terminalreporter.write_line(f"| {fault} | {count:,} | {SHOWN[fault]} | {SEEN.get(fault, 0):,} of {count:,} |")
