"""What streaming costs: epochs against full shuffling, by buffer and order of the file; memory and speed of a file."""

from __future__ import annotations

import dataclasses
import math
import multiprocessing
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

import gdjax
from bench.analysis.intervals import Estimate, median_interval, ratio_of_medians
from bench.bad_input import field_error
from bench.report.files import write_whole
from bench.scale.room import bytes_words

ORDERS = {"random": "file in random order", "outcome": "file sorted by outcome"}
SHARES = (0.05, 0.2)  # of the examples, in the buffer
PARTS = (0, 16, 4, 1)  # blocks in a buffer; 0: one example a block
RATES = tuple(10 ** (power / 2) for power in range(-5, 1))  # the best of them is found for each arm
STARTS, TUNING_STARTS = 4, 8
GAP = 1e-2  # the target, as a share of the initial gap
EPOCHS = 40
TUNING_KEY = 1 << 20  # beyond every seed that is reported
MOST_GIGABYTES = 1_000


class FileRunError(RuntimeError):
    """The process that descends on the file died."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked for, checked."""

    problem: gdjax.Problem
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
    ratio: Estimate  # of these to those of full shuffling


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
    """The request, or a ValueError that says what is wrong with it, before anything runs."""
    found = gdjax.problems.get(problem)
    outcomes = None if found.data is None else jax.tree.leaves(found.data)[-1]
    if outcomes is None or found.optimum is None or np.ndim(outcomes) != 1:
        raise ValueError(field_error("PROBLEM", "must have data with outcomes to sort by, and a known optimum", problem,
                                     "Try digits-softmax."))
    for field, value, low, high in (("--batch-size", batch_size, 1, int(found.examples * SHARES[0]) // 2),
                                    ("--seeds", seeds, 3, 10_000)):
        if not low <= value <= high:
            raise ValueError(field_error(field, f"must be from {low:,} to {high:,}", value, "Use a value in range."))
    if not 0 <= gigabytes <= MOST_GIGABYTES:
        raise ValueError(field_error("--gigabytes", f"must be from 0 to {MOST_GIGABYTES:,}", gigabytes,
                                     "Use 0 to leave the file out."))
    path = Path("results") / f"stream-{problem}.png" if out is None else out
    if path.suffix != ".png":
        raise ValueError(field_error("--out", "must end in .png", str(path), "Tables and .svg go beside it."))
    folder = folder or Path(tempfile.gettempdir())
    if not folder.is_dir():
        raise ValueError(field_error("--folder", "must be a folder", str(folder), "Make it, or give another one."))
    free = shutil.disk_usage(folder).free
    if gigabytes * 1.1e9 > free:
        raise ValueError(field_error("--folder", f"has {bytes_words(free)} free, too little for the file",
                                     f"{gigabytes:g} GB", "Give another --folder, or fewer --gigabytes."))
    return Request(problem=found, batch_size=batch_size, seeds=seeds, gigabytes=gigabytes, folder=folder, out=path)


def arms(request: Request, say: Callable[[str], None]) -> Iterator[Arm]:
    """Full shuffling first (buffer and block of all examples), then every buffer and block on both orders."""
    problem, size = request.problem, request.batch_size
    say("full shuffling")
    rate, base = _epochs(problem, size, "shuffle", request.seeds)
    yield Arm(order="random", buffer=problem.examples, block=problem.examples, rate=rate, epochs=median_interval(base),
              ratio=Estimate(1.0, 1.0, 1.0))
    for order in ORDERS:
        sorted_problem = in_order(problem, order)
        for share in SHARES:
            buffer = int(problem.examples * share) // size * size
            for block in dict.fromkeys(1 if parts == 0 else max(1, buffer // parts) for parts in PARTS):
                say(f"{ORDERS[order]}, buffer {buffer:,}, block {block:,}")
                rate, found = _epochs(sorted_problem, size, gdjax.Stream(buffer=buffer, block=block), request.seeds)
                yield Arm(order=order, buffer=buffer, block=block, rate=rate, epochs=median_interval(found),
                          ratio=ratio_of_medians(found, base, paired=True))


def in_order(problem: gdjax.Problem, order: str) -> gdjax.Problem:
    """The problem with its examples at random, or in the order of their outcomes (its data's last leaf)."""
    outcomes = np.asarray(jax.tree.leaves(problem.data)[-1])
    place = np.random.default_rng(0).permutation(len(outcomes))
    if order == "outcome":
        place = place[np.argsort(outcomes[place], kind="stable")]
    return dataclasses.replace(problem, data=jax.tree.map(lambda leaf: np.asarray(leaf)[place], problem.data))


def _epochs(problem: gdjax.Problem, size: int, sampling: str | gdjax.Stream, seeds: int) -> tuple[float, np.ndarray]:
    """The best rate, and with it the epochs to the target for each seed, (seeds,): the median of its starts.

    Starts of one seed share their blocks, so what is resampled is seeds.
    """
    goal = gdjax.targets(problem, [GAP])

    def found(rates: Sequence[float], starts: int, key: int) -> np.ndarray:
        """Epochs, (starts, rates)."""
        runs = gdjax.minibatch(problem, batch_size=size, rates=rates, starts=starts, key=key, max_epochs=EPOCHS,
                               targets=goal, stop_at_target=True, marks=64, sampling=sampling, width=64)
        return runs.hits()["examples"].fillna(math.inf).to_numpy().reshape(starts, -1) / problem.examples

    tuned = np.median(found(RATES, TUNING_STARTS, TUNING_KEY), axis=0)
    rate = RATES[int(np.argmin(tuned))]
    return rate, np.array([np.median(found([rate], STARTS, key)) for key in range(seeds)])


def file_run(request: Request) -> FileRun:
    """One epoch over a file of the size asked for, in a fresh process; the file is removed.

    Raises:
        FileRunError: the process died, for want of memory for example.
    """
    from bench.stream_worker import measure

    spawn = multiprocessing.get_context("spawn")
    with (tempfile.TemporaryDirectory(prefix="gdjax-stream-", dir=request.folder) as folder,
          ProcessPoolExecutor(1, mp_context=spawn) as process):
        try:
            return process.submit(measure, Path(folder), request.gigabytes).result()
        except BrokenProcessPool:
            raise FileRunError(f"--gigabytes {request.gigabytes:g}: the process died (got no result). "
                               "Try fewer.") from None


def words(request: Request, found: Sequence[Arm], run: FileRun | None) -> list[str]:
    """What was found, in sentences."""
    base, rest = found[0], found[1:]
    lines = [f"{request.problem.name}, SGD with batches of {request.batch_size}, {request.seeds} seeds: with full "
             f"shuffling the target ({GAP:g} of the initial gap) takes {base.epochs.value:.2f} epochs."]
    for order, text in ORDERS.items():
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
