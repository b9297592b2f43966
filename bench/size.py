"""How large a suite is, before it runs: cells, lanes, and about how much time, memory and disk it takes."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psutil

from bench.noise import REPEATS
from bench.samples import FEW, sampling_s
from bench.store import FolderError
from bench.suite import Settings, Suite

CELL_LIMIT = 5_000
LANE_LIMIT = 20_000_000
SECONDS_LIMIT = 7 * 86_400
EXAMPLES = 1_000  # that a problem is taken to have: data are not read for an estimate
# seconds on two cores, as in the reference runs: of a lane-step, of each example of its batch beside, of compiling the
# programs of a group with its range test and its tables, of a process until JAX is ready, of the report
LANE_STEP_S, EXAMPLE_S, GROUP_S, START_S, REPORT_S = 1e-7, 3e-8, 3.0, 5.0, 10.0
WIDENED = 0.1  # of what widening may add at most: few grids are widened
COPIES = 2  # of every row on disk: in its part, and in the table at the top
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
        return (f"{self.cells:,} cells, up to {self.lanes:,} lanes, about {time_text(self.seconds)}, "
                f"{_bytes(self.memory_bytes)} of memory, {_bytes(self.disk_bytes)} of disk")


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

    Seconds are rough: within a factor of 1.5 for shipped problems on two cores, else as far off as a problem has more
    or fewer examples than 1,000, or costs more or less than a small one.

    >>> from bench.suite import suite_from
    >>> size_of(suite_from({"name": "x", "problems": ["bowl"], "batch_sizes": [1, 2], "schedules": ["constant"]})).cells
    2
    """
    cells = lanes = rows = all_groups = 0
    seconds = START_S + REPORT_S
    for problem in suite.problems:
        own = suite.settings_for(problem)
        each = lanes_of(suite, own)
        groups = len(suite.optimizers) * len(own.batch_sizes)
        here = groups * len(suite.schedules)
        cells += here
        lanes += here * sum(each)
        rows += here * (sum(each) * (1 + own.target_count) + each.reported * suite.marks)
        all_groups += groups
        seconds += groups * (GROUP_S + timing_s(suite)) + here * _running_s(own, each)
    seconds += _noise_s(suite, all_groups)
    return Size(cells, lanes, rows, seconds, rows * ROW_BYTES * COPIES, rows * ROW_MEMORY_BYTES)


def timing_s(suite: Suite) -> float:
    """Seconds of the step times of a group: a one-lane program, one of full width, scoring."""
    return (2 * sampling_s(suite.min_sample_s, suite.repeats)
            + sampling_s(suite.min_sample_s, min(suite.repeats, FEW)))


def _running_s(own: Settings, lanes: CellLanes) -> float:
    """Seconds of the lanes of a cell of a problem, the mean over its batch sizes."""
    sizes = [EXAMPLES if size == "all" else int(size) for size in own.batch_sizes]
    steps_s = sum(own.budget(EXAMPLES, size) * (LANE_STEP_S + EXAMPLE_S * size) for size in sizes) / len(sizes)
    return (lanes.tuned + WIDENED * lanes.widened + lanes.reported) * steps_s


def _noise_s(suite: Suite, groups: int) -> float:
    """Seconds of the fresh processes in which a sample of so many groups is timed again."""
    again = min(suite.noise_groups, groups)
    each = GROUP_S + 2 * sampling_s(suite.min_sample_s, min(suite.repeats, REPEATS))
    return suite.noise_processes * (START_S + again * each) if again else 0.0


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
