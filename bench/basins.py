"""Basins of attraction of a problem in two parameters: what is asked for, what was found, and that in words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench import picture_session
from bench.bad_input import field_error
from bench.picture_session import Session
from bench.report.files import write_whole

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

WORKER = "bench.basins_worker"
MOST_STARTS, MOST_STEPS = 2048 * 2048, 1_000_000


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the picture is asked to show, checked."""

    problem: str
    optimizer: str
    side: int  # starts along each axis
    rate: float | None  # None: by a range test
    steps: int
    out: Path


@dataclass(frozen=True, kw_only=True)
class Basins:
    """What the picture shows: columns of `box` and `names` are the two parameters, x then y."""

    problem: str
    optimizer: str
    rate: float
    searched: bool  # the rate is a range test's
    steps: int
    side: int
    names: tuple[str, str]
    box: np.ndarray  # (2, 2) low and high of each parameter
    loss: np.ndarray  # (side, side) of the starts, row = y
    label: np.ndarray  # (side, side) minimum that each start ends at, as gdjax.minima.find numbers them
    table: pd.DataFrame  # one row per minimum
    points: np.ndarray  # (minima, 2)
    paths: np.ndarray  # (paths, points, 2)


def check(problem: str, optimizer: str, starts: int, rate: float | None, steps: int, out: Path | None) -> Request:
    """The request, or a ValueError that says what is wrong with it; its names are checked by the worker."""
    for field, value, most in (("--starts", starts, MOST_STARTS), ("--steps", steps, MOST_STEPS)):
        if not 1 <= value <= most:
            raise ValueError(field_error(field, f"must be from 1 to {most:,}", value, "Change it to a value in range."))
    if rate is not None and not 0 < rate < math.inf:
        raise ValueError(field_error("--rate", "must be above 0 and finite", rate,
                                     "Leave it out to have it found by a range test."))
    return Request(problem=problem, optimizer=optimizer, side=math.isqrt(starts - 1) + 1, rate=rate, steps=steps,
                   out=picture_session.picture_path(out, f"basins-{problem}"))


def run(session: Session, request: Request) -> None:
    """Find the basins, say what they are, draw them."""
    for row in session.rows(WORKER, {"request": request}, "basins", "If memory ran out, try fewer --starts."):
        from bench import basins_picture  # only now: a picture may never come to be drawn

        found = Basins(**row)  # type: ignore[arg-type]
        for text in words(found):
            session.display.line(text)
        with session.writing():
            write_whole(request.out, basins_picture.draw(found))
        session.display.line(f"picture: {request.out}")


def words(basins: Basins) -> list[str]:
    """What the picture shows, a line for each minimum, at most ten of them."""
    lines = []
    for row in basins.table.to_dict("records"):
        name = f"{row['kind']} {row['minimum']}" if row["minimum"] > 0 else row["kind"]
        share, low, high = (f"{100 * row[each]:.4g} %" for each in ("share", "share_low", "share_high"))
        lines.append(f"{name}: loss {row['loss']:.4g}, {row['lanes']:,} starts, {share} [{low}, {high}]")
    found = int((basins.table.minimum > 0).sum())
    if found > 10:
        lines[10:found] = [f"and {found - 10:,} more minima"]
    if (basins.table.share[basins.table.minimum == 0] > 0.05).any():
        lines.append("many starts are not at rest: more --steps, another --rate, or --optimizer adam")
    return lines
