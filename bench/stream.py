"""What streaming costs: epochs against full shuffling, by buffer and order of the file; memory and speed of a file."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import files, picture_session
from bench.analysis.intervals import Estimate
from bench.bad_input import field_error
from bench.parent import CELLS_FAILED
from bench.picture_session import Session
from bench.report.files import write_whole
from bench.scale.room import bytes_words
from bench.store import FolderError

ARMS_WORKER, FILE_WORKER = "bench.stream_arms", "bench.stream_worker"
ORDERS = {"random": "file in random order", "outcome": "file sorted by outcome"}
GAP = 1e-2  # the target, as a share of the initial gap
EPOCHS = 40
MOST_SEEDS, MOST_GIGABYTES = 10_000, 1_000


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked for, checked."""

    problem: str
    batch_size: int
    seeds: int  # keys: each has an order of blocks of its own
    gigabytes: float
    folder: Path  # where the file lies while it is used
    out: Path


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One buffer and block on one order of the file, against full shuffling."""

    order: str
    buffer: int  # examples
    block: int
    rate: float  # the best of RATES
    epochs: Estimate  # to the target, median over seeds; ∞ where it was missed
    ratio: Estimate  # of these to those of full shuffling; NaN where that missed the target


@dataclass(frozen=True, kw_only=True)
class FileRun:
    """One epoch over a file, from the call to its end: the file is read three times, for the starts, epoch and ends."""

    file_bytes: int
    examples: int
    lanes: int
    batch_size: int
    seconds: float
    read_s: float  # of reading the file once and doing nothing with it
    peak_bytes: int  # of the process
    before_bytes: int  # with everything imported
    loss_before: float
    loss_after: float


def check(problem: str, batch_size: int, seeds: int, gigabytes: float, folder: Path | None, out: Path | None
          ) -> Request:
    """The request, or a ValueError that says what is wrong with it; its problem is checked by the worker."""
    if batch_size < 1:
        raise ValueError(field_error("--batch-size", "must be at least 1", batch_size, "Try --batch-size 16."))
    if not 3 <= seeds <= MOST_SEEDS:
        raise ValueError(field_error("--seeds", f"must be from 3 to {MOST_SEEDS:,}", seeds, "Use a value in range."))
    if not 0 <= gigabytes <= MOST_GIGABYTES:
        raise ValueError(field_error("--gigabytes", f"must be from 0 to {MOST_GIGABYTES:,}", gigabytes,
                                     "Use 0 to leave the file out."))
    folder = folder or Path(tempfile.gettempdir())
    if not folder.is_dir():
        raise ValueError(field_error("--folder", "must be a folder", str(folder), "Make it, or give another one."))
    free = shutil.disk_usage(folder).free
    if gigabytes * 1.1e9 > free:
        raise ValueError(field_error("--folder", f"has {bytes_words(free)} free, too little for the file",
                                     f"{gigabytes:g} GB", "Give another --folder, or fewer --gigabytes."))
    return Request(problem=problem, batch_size=batch_size, seeds=seeds, gigabytes=gigabytes, folder=folder,
                   out=picture_session.picture_path(out, f"stream-{problem}", "Tables and .svg go beside it."))


def run(session: Session, request: Request) -> None:
    """Measure the arms, then the file; write and say what was found; draw it where all arms are there."""
    if request.gigabytes:
        _look_at(request.folder)
    rows = session.rows(ARMS_WORKER, {"request": request}, "arms", "If memory ran out, try a smaller problem.")
    found = [Arm(**row) for row in rows]  # type: ignore[arg-type]
    whole = not session.code
    file = None
    if request.gigabytes and whole:
        with tempfile.TemporaryDirectory(prefix="gdjax-stream-", dir=request.folder) as folder:
            payload = {"folder": Path(folder), "gigabytes": request.gigabytes}
            for row in session.rows(FILE_WORKER, payload, f"--gigabytes {request.gigabytes:g}", "Try fewer."):
                file = FileRun(**row)  # type: ignore[arg-type]
    if not found:
        return
    for text in words(request, found, file) if whole else ():
        session.display.line(text)
    with session.writing():
        write_tables(found, file, request.out.with_suffix(".csv"))
    if math.isinf(found[0].epochs.value):  # nothing to compare with
        session.code = session.code or CELLS_FAILED
    elif whole:
        from bench import stream_picture  # only now: a picture may never come to be drawn

        with session.writing():
            stream_picture.write(request, found)
        session.display.line(f"picture: {request.out}")


def _look_at(folder: Path) -> None:
    try:
        files.probe(folder)
    except OSError as error:
        raise FolderError(f"--folder: can't be written (got {error}). Give another --folder.") from None


def words(request: Request, found: Sequence[Arm], run: FileRun | None) -> list[str]:
    """What was found, in sentences."""
    base, rest = found[0], found[1:]
    lines = [f"{request.problem}, SGD with batches of {request.batch_size}, {request.seeds} seeds: with full "
             f"shuffling the target ({GAP:g} of the initial gap) " +
             (f"takes {base.epochs.value:.2f} epochs." if rest else
              f"is not reached in {EPOCHS} epochs: there is nothing to compare streams with.")]
    for order, text in ORDERS.items() if rest else ():
        mine = [arm for arm in rest if arm.order == order]
        best, worst = (choose(mine, key=lambda arm: arm.ratio.value) for choose in (min, max))
        lines.append(f"{text}: from {_arm(best)} to {_arm(worst)}.")
    if run is not None:
        rate = 3 * run.file_bytes / run.seconds
        lines.append(
            f"{bytes_words(run.file_bytes)} file of {run.examples:,} examples, {run.lanes} lanes, batches of "
            f"{run.batch_size}, one epoch: {run.seconds:.0f} s for three passes, {bytes_words(rate)} a second (reading "
            f"alone: {bytes_words(run.file_bytes / run.read_s)} a second); {bytes_words(run.peak_bytes)} at most, "
            f"{bytes_words(run.before_bytes)} before; best loss {run.loss_before:.3f} -> {run.loss_after:.3f}.")
    return lines


def _arm(arm: Arm) -> str:
    known = math.isfinite(arm.ratio.value)
    ratio = f"{arm.ratio.value:.2f}× [{arm.ratio.low:.2f}, {arm.ratio.high:.2f}] the epochs" if known else "not reached"
    return f"{ratio} (buffer {arm.buffer:,}, block {arm.block:,})"


def write_tables(found: Sequence[Arm], run: FileRun | None, path: Path) -> None:
    """A row for each arm, and beside it one for the file."""
    import pandas as pd

    rows = [{"order": arm.order, "buffer": arm.buffer, "block": arm.block, "rate": arm.rate,
             **{f"{name}{end}": getattr(value, field) for name, value in (("epochs", arm.epochs), ("ratio", arm.ratio))
                for end, field in (("", "value"), ("_low", "low"), ("_high", "high"))}} for arm in found]
    write_whole(path, pd.DataFrame(rows).to_csv(index=False).encode())
    if run is not None:
        table = pd.DataFrame([vars(run)])
        write_whole(path.with_name(f"{path.stem}-file.csv"), table.to_csv(index=False).encode())
