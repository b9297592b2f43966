"""How time and memory grow with the number of lanes: BGD from 1,000 starts, ten times as many, … each in a process."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench import picture_session
from bench.bad_input import field_error
from bench.picture_session import Session
from bench.report.files import write_whole
from bench.scale.room import bytes_words

WORKER = "bench.growth_worker"
FEWEST, MOST = 1_000, 100_000_000
BASE = 10_000  # lanes whose peak memory is the measure of a larger one


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked for, checked."""

    problem: str
    device: str
    most: int  # lanes
    rate: float
    tolerance: float  # on the gradient norm
    steps: int
    repeats: int
    out: Path

    @property
    def counts(self) -> list[int]:
        """Powers of ten from 1,000 to the most.

        >>> Request(problem="bowl", device="cpu", most=20_000, rate=0.1, tolerance=0, steps=1, repeats=1,
        ...         out=Path("x.png")).counts
        [1000, 10000]
        """
        return [10**power for power in range(3, int(math.log10(self.most) + 1e-9) + 1)]


@dataclass(frozen=True, kw_only=True)
class Point:
    """One number of lanes; seconds from the call to the finished frame."""

    lanes: int
    seconds: Sequence[float]
    compile_s: float
    peak_bytes: int  # of the process, over the first call
    device_peak_bytes: int | None  # of a GPU's own memory
    table_bytes: int  # of arrays and frame that the user keeps
    needed: int  # lane-steps that counted
    ran: int  # and those that were computed
    converged: int  # lanes
    platform: str

    @property
    def median_s(self) -> float:
        """Median of the samples."""
        return float(np.median(self.seconds))

    @property
    def beside_bytes(self) -> int:
        """Peak memory but for the table."""
        return self.peak_bytes - self.table_bytes


def check(problem: str, device: str, most: int, rate: float, tolerance: float, steps: int, repeats: int,
          out: Path | None) -> Request:
    """The request, or a ValueError that says what is wrong with it; its problem is checked by the worker."""
    for field, value, low, high in (("--most", most, FEWEST, MOST), ("--steps", steps, 1, 10_000_000),
                                    ("--repeats", repeats, 1, 1_000)):
        if not low <= value <= high:
            raise ValueError(field_error(field, f"must be from {low:,} to {high:,}", value,
                                         "Change it to a value in range."))
    if not 0 < rate < math.inf:
        raise ValueError(field_error("--rate", "must be above 0 and finite", rate, "Try --rate 0.003."))
    if not 0 <= tolerance < math.inf:
        raise ValueError(field_error("--tolerance", "must be at least 0 and finite", tolerance, "Try 1e-3."))
    return Request(problem=problem, device=device, most=most, rate=rate, tolerance=tolerance, steps=steps,
                   repeats=repeats,
                   out=picture_session.picture_path(out, f"growth-{problem}", "Table and .svg go beside it."))


def run(session: Session, request: Request) -> None:
    """Measure one number of lanes after the other; write, say and draw what was measured, also when one fails.

    Each is measured in a fresh process, so that no peak holds what an earlier one left.
    """
    found: list[Point] = []
    for lanes in request.counts:
        rows = session.rows(WORKER, {"request": request, "lanes": lanes}, f"{lanes:,} lanes",
                            "If memory ran out, try a smaller --most.")
        found += [Point(**row) for row in rows]  # type: ignore[arg-type]
        if session.code:
            break
    if not found:
        return
    from bench import growth_picture  # only now: a picture may never come to be drawn

    for text in words(request, found):
        session.display.line(text)
    with session.writing():
        write_table(found, request.out.with_suffix(".csv"))
        growth_picture.write(request, found)
    session.display.line(f"picture: {request.out}")


def exponent(found: Sequence[Point]) -> float:
    """Slope of log seconds on log lanes by least squares: 1 where time is proportional to the number of lanes.

    >>> point = dict(compile_s=0.0, peak_bytes=0, device_peak_bytes=None, table_bytes=0, needed=0, ran=0, converged=0,
    ...              platform="cpu")
    >>> round(exponent([Point(lanes=n, seconds=[n**1.5], **point) for n in (10, 100, 1000)]), 6)
    1.5
    """
    if len(found) < 2:
        return math.nan
    lanes, seconds = [point.lanes for point in found], [point.median_s for point in found]
    return float(np.polyfit(np.log(lanes), np.log(seconds), 1)[0])


def memory_ratio(found: Sequence[Point]) -> float:
    """Peak memory beside the table of the most lanes over that of 10,000; NaN where there are no more than that."""
    base = [point for point in found if point.lanes == BASE]
    return found[-1].beside_bytes / base[0].beside_bytes if base and found[-1].lanes > BASE else math.nan


def words(request: Request, found: Sequence[Point]) -> list[str]:
    """What was found, in sentences."""
    last = found[-1]
    lines = [f"{last.lanes:,} starts of {request.problem} (BGD, rate {request.rate:g}, until the gradient norm is "
             f"{request.tolerance:g} or {request.steps:,} steps): {last.median_s:.2f} s to a finished frame after "
             f"{last.compile_s:.1f} s of compiling, {bytes_words(last.peak_bytes)} at most, "
             f"{bytes_words(last.table_bytes)} of it the table; {last.converged / last.lanes:.1%} converged."]
    if len(found) > 1:
        lines.append(f"From {found[0].lanes:,} lanes on time grows as lanes^{exponent(found):.2f}"
                     f" (lanes^{exponent(found[-2:]):.2f} over the last factor of ten).")
    if math.isfinite(memory_ratio(found)):
        lines.append(f"Peak memory beside the table is {memory_ratio(found):.2f}× that of {BASE:,} lanes.")
    return lines


def write_table(found: Sequence[Point], path: Path) -> None:
    """One row for each number of lanes."""
    import pandas as pd

    rows = [{**vars(point), "seconds": point.median_s, "seconds_low": min(point.seconds),
             "seconds_high": max(point.seconds), "samples": len(point.seconds)} for point in found]
    write_whole(path, pd.DataFrame(rows).to_csv(index=False).encode())
