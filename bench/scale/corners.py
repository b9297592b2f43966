"""The corners of a scaling run, lane count × batch size: which there are, what a row of the table holds, what fits."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from bench.scale.room import bytes_words

if TYPE_CHECKING:
    import pandas as pd

MOST_LANES = 1 << 20
FACTOR = 4  # between two lane counts
BATCH_SIZES = (1, 8, 32, 128)  # and all
NARROWEST = 16  # lanes of a program that stands beside others
SAFE = 0.9  # of the free memory that a program may plan to take
FINISHED, OOM, SKIPPED, FAILED = "finished", "oom", "skipped", "failed"
COLUMNS = [
    "device", "problem", "examples", "batch_size", "lanes", "width", "pieces", "status", "note", "samples", "voided",
    "step_s", "step_s_low", "step_s_high", "lane_steps_per_s", "lane_steps_per_s_low", "lane_steps_per_s_high",
    "begin_s", "memory_bytes", "bytes_per_lane", "trace_s", "compile_s", "first_run_s", "flops_per_lane_step",
    "bytes_per_lane_step", "matmul_share", "copy_share", "share", "final_losses",
]
LISTS = ("final_losses",)  # of the starts of `bench.scale.losses`, in one row of a batch size
TEXTS = ("device", "problem", "status", "note")
COUNTS = ("examples", "batch_size", "lanes", "width", "pieces", "samples", "voided", "memory_bytes")


def lane_counts(most: int) -> list[int]:
    """1, 4, 16, … up to the most asked for.

    >>> lane_counts(100)
    [1, 4, 16, 64]
    """
    return [FACTOR**power for power in range(math.floor(math.log2(most) / math.log2(FACTOR)) + 1)]


def batch_sizes(examples: int) -> list[int]:
    """1, 8, 32, 128 as far as there are so many examples, and all of them.

    >>> batch_sizes(100)
    [1, 8, 32, 100]
    """
    return [*(size for size in BATCH_SIZES if size < examples), examples]


def pieces_of(lanes: int, cores: int) -> tuple[int, int]:
    """How many programs of how many lanes run side by side: one a core, of at least 16 lanes.

    The loop of one program keeps one core of a CPU busy, so the library runs pieces of a job on all of them. Below 16
    lanes a step costs about the same however few there are, and cutting them up would cost more than it brings.

    >>> pieces_of(64, 2), pieces_of(64, 12), pieces_of(4, 12)
    ((2, 32), (4, 16), (1, 4))
    """
    width = max(-(-lanes // cores), min(lanes, NARROWEST))
    return -(-lanes // width), width


def rows_of(planned: Iterable[tuple[int, int]], told: Mapping[tuple[int, int], Mapping[str, object]], why: str,
            facts: Mapping[str, object]) -> list[dict[str, object]]:
    """The rows of all corners: those told of, and the others as skipped.

    Args:
        planned: (batch size, lanes) of all corners.
        told: the rows of those that were tried.
        why: the note of corners that come after what was tried, where no smaller one says why.
        facts: device, problem, examples; the same in all rows.
    """
    rows, ends = [], dict[int, str]()
    for size, lanes in sorted(planned):
        row = told.get((size, lanes))
        if row is None:
            row = {"batch_size": size, "lanes": lanes, "status": SKIPPED, "note": ends.get(size, why)}
        elif row["status"] != FINISHED:
            ends[size] = f"{row['status']} at {lanes:,} lanes"
        rows.append({**facts, **row})
    return rows


def table(rows: Sequence[Mapping[str, object]]) -> pd.DataFrame:
    """Rows as a frame with all columns: numbers that are not known are NaN, counts NA."""
    import pandas as pd

    frame = pd.DataFrame([dict(row) for row in rows], columns=COLUMNS)
    kinds = {name: "str" if name in TEXTS else "Int64" if name in COUNTS else "float64" for name in COLUMNS
             if name not in LISTS}
    return frame.astype(kinds)


def too_large(need: int, free: int) -> str | None:
    """Why a program that plans to take so many bytes is not started, or None."""
    if need <= SAFE * free:
        return None
    return f"needs {bytes_words(need)} of memory, {bytes_words(free)} are free"
