"""How large a suite is, before it runs: cells, lanes, and rough lower bounds of time, memory and disk."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psutil

from bench.store import FolderError
from bench.suite import Settings, Suite

CELL_LIMIT = 5_000
LANE_LIMIT = 20_000_000
SECONDS_LIMIT = 7 * 86_400
LANE_STEP_S = 1e-6  # seconds per lane-step of a small problem on two cores
COPIES = 2  # of every row on disk: in its part, and in the table at the top
COMPILE_S = 3.0  # seconds to trace and compile one program
ROW_BYTES = 40  # of one row on disk, compressed
ROW_MEMORY_BYTES = 200  # of one row as a table in memory


@dataclass(frozen=True)
class Size:
    """Counts of a suite; `rows` of all tables together, seconds, bytes."""

    cells: int
    lanes: int
    rows: int
    seconds: float
    disk_bytes: int
    memory_bytes: int

    @property
    def too_large(self) -> bool:
        """Whether this is more than anyone means to run without saying so."""
        return self.cells > CELL_LIMIT or self.lanes > LANE_LIMIT or self.seconds > SECONDS_LIMIT

    def share(self, parts: int) -> Size:
        """The size of one of so many parts, rounded up."""
        return Size(-(-self.cells // parts), -(-self.lanes // parts), -(-self.rows // parts), self.seconds / parts,
                    -(-self.disk_bytes // parts), -(-self.memory_bytes // parts))

    def __str__(self) -> str:
        return (f"{self.cells:,} cells, up to {self.lanes:,} lanes, at least {time_text(self.seconds)}, "
                f"about {_bytes(self.memory_bytes)} of memory, {_bytes(self.disk_bytes)} of disk")


@dataclass(frozen=True)
class Room:
    """What there is for a run: free bytes where its folder is or will be, and of memory."""

    folder: Path
    disk_bytes: int
    memory_bytes: int

    @classmethod
    def beside(cls, folder: Path) -> Room:
        """Room at a folder that need not exist yet; raises FolderError where the path can't be looked at."""
        try:
            here = folder.absolute()
            while not here.exists():
                here = here.parent
            return cls(folder, shutil.disk_usage(here).free, psutil.virtual_memory().available)
        except (OSError, ValueError) as error:  # ValueError: a null character in the path
            why = getattr(error, "strerror", None) or error
            raise FolderError(f"{str(folder)[:200]!r}: cannot be used (got {why}). Use another --out.") from None

    def lacks(self, size: Size) -> str | None:
        """What is too little for a suite of this size and what to do, without the full stop; None where it fits."""
        if size.disk_bytes > self.disk_bytes:
            return (f"{self.folder}: the disk has too little room (got {_bytes(self.disk_bytes)} free for about "
                    f"{_bytes(size.disk_bytes)}). Make room, use --out on another disk")
        if size.memory_bytes > self.memory_bytes:
            return (f"memory: there may be too little (got {_bytes(self.memory_bytes)} free for about "
                    f"{_bytes(size.memory_bytes)} of tables). Split the suite")
        return None

    def __str__(self) -> str:
        return f"{_bytes(self.disk_bytes)} of disk free, {_bytes(self.memory_bytes)} of memory"


class CellLanes(NamedTuple):
    """Lanes of a cell: tuned on the first grid, by which widening may add to them, and at most reported."""

    tuned: int
    widened: int
    reported: int


def lanes_of(suite: Suite, own: Settings) -> CellLanes:
    """Lanes of a cell of the problem that has these settings."""
    first, more = suite.setting_count, 2 * suite.widenings * suite.settings_added  # at both ends each time
    return CellLanes(first * suite.tuning_starts, more * suite.tuning_starts,
                     min(own.target_count, first + more) * suite.starts)


def size_of(suite: Suite) -> Size:
    """Size of a suite: every lane of the tuning grid, however often widened, and of the settings chosen per target.

    Seconds are those of the first grid, at the least budget.

    >>> from bench.suite import suite_from
    >>> size_of(suite_from({"name": "x", "problems": ["bowl"], "batch_sizes": [1, 2], "schedules": ["constant"]})).cells
    2
    """
    cells = lanes = rows = 0
    seconds = 0.0
    for problem in suite.problems:
        own = suite.settings_for(problem)
        each = lanes_of(suite, own)
        groups = len(suite.optimizers) * len(own.batch_sizes)
        here = groups * len(suite.schedules)
        cells += here
        lanes += here * sum(each)
        rows += here * (sum(each) * (1 + own.target_count) + each.reported * suite.marks)
        seconds += groups * COMPILE_S + here * (each.tuned + each.reported) * own.min_steps * LANE_STEP_S
    return Size(cells, lanes, rows, seconds, rows * ROW_BYTES * COPIES, rows * ROW_MEMORY_BYTES)


def too_long(seconds: float) -> str | None:
    """What is wrong with a run of so many seconds, known from the steps of every group; None within the limit.

    >>> too_long(3600.0) is None
    True
    """
    if seconds <= SECONDS_LIMIT:
        return None
    return (f"epochs: the run is very long (got at least {time_text(seconds)}). Lower epochs or min_steps, leave out "
            "small batch sizes, or add --yes.")


def time_text(seconds: float) -> str:
    """Seconds in the largest unit of which there are two.

    >>> time_text(7_200.0)
    '2 hours'
    """
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def _bytes(count: int) -> str:
    for unit, length in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6)):
        if count >= length:
            return f"{count / length:.0f} {unit}"
    return f"{count / 1000:.0f} kB"
