"""How large a suite is, before it runs: cells, lanes, and rough lower bounds of time, memory and disk."""

from __future__ import annotations

from dataclasses import dataclass

from bench.suite import Suite

CELL_LIMIT = 5_000
LANE_LIMIT = 20_000_000
LANE_STEP_S = 1e-6  # seconds per lane-step of a small problem on two cores
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
        return self.cells > CELL_LIMIT or self.lanes > LANE_LIMIT

    def __str__(self) -> str:
        return (f"{self.cells:,} cells, up to {self.lanes:,} lanes, at least {_time(self.seconds)}, "
                f"about {_bytes(self.memory_bytes)} of memory, {_bytes(self.disk_bytes)} of disk")


def size_of(suite: Suite) -> Size:
    """Size of a suite: every lane of the tuning grid, and of the settings chosen per target.

    >>> from bench.suite import suite_from
    >>> size_of(suite_from({"name": "x", "problems": ["bowl"], "batch_sizes": [1, 2], "schedules": ["constant"]})).cells
    2
    """
    rates = suite.rates if isinstance(suite.rates, int) else len(suite.rates)
    cells = lanes = rows = 0
    seconds = 0.0
    for problem in suite.problems:
        own = suite.settings_for(problem)
        targets = len(own.gaps if own.targets is None else own.targets)
        groups = len(suite.optimizers) * len(own.batch_sizes)
        tuning = rates * len(suite.horizons) * suite.tuning_starts
        reported = min(targets, rates * len(suite.horizons)) * suite.starts
        here = groups * len(suite.schedules)
        cells += here
        lanes += here * (tuning + reported)
        rows += here * ((tuning + reported) * (1 + targets) + reported * suite.marks)
        seconds += groups * COMPILE_S + here * (tuning + reported) * own.min_steps * LANE_STEP_S
    return Size(cells, lanes, rows, seconds, rows * ROW_BYTES, rows * ROW_MEMORY_BYTES)


def _time(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def _bytes(count: int) -> str:
    for unit, length in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6)):
        if count >= length:
            return f"{count / length:.0f} {unit}"
    return f"{count / 1000:.0f} kB"
