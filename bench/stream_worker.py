"""One epoch over a file larger than the memory it takes, in a process of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import gdjax
from bench.memory import Meter
from bench.picture_worker import Say, serve
from bench.stream import FileRun

FEATURES, BATCH = 64, 256
RATES, STARTS = (0.03, 0.1, 0.3, 1.0), 4
ROWS = 100_000  # written and read at once


def main(connection: Connection, payload: dict[str, object]) -> None:
    """One epoch over a file of so many gigabytes in a folder."""
    folder, gigabytes = payload["folder"], payload["gigabytes"]
    assert isinstance(folder, Path) and isinstance(gigabytes, float)

    def work(_: None, say: Say) -> Iterator[FileRun]:
        say(f"file of {gigabytes:g} GB in {folder.parent}")
        yield measure(folder, gigabytes)

    serve(connection, "auto", lambda _: None, work)


def measure(folder: Path, gigabytes: float) -> FileRun:
    """Logistic regression on a file of random features, labels by a known direction with noise."""
    examples = max(ROWS, int(gigabytes * 1e9 / (4 * (FEATURES + 1))))
    paths = [folder / "x.npy", folder / "y.npy"]
    _write(paths, examples)
    read_s = _read(paths)
    meter = Meter.begin()
    data = [np.load(path, mmap_mode="r") for path in paths]
    file_bytes = sum(path.stat().st_size for path in paths)
    for path in paths:  # so that the file goes with this process, however that ends
        path.unlink()
    problem = gdjax.Problem(name="large", loss=_loss, init=lambda key: 0.1 * jax.random.normal(key, (FEATURES,)),
                            data=data)
    began = time.perf_counter()
    runs = gdjax.minibatch(problem, batch_size=BATCH, rates=RATES, starts=STARTS, key=0, max_epochs=1,
                           sampling="stream")
    seconds = time.perf_counter() - began
    return FileRun(file_bytes=file_bytes, examples=examples, lanes=len(runs.steps),
                   batch_size=BATCH, seconds=seconds, read_s=read_s, peak_bytes=meter.peak_bytes(),
                   before_bytes=meter.before_bytes, loss_before=float(runs.start_loss.min()),
                   loss_after=float(runs.final_loss.min()))


def _loss(w: jax.Array, example: list[jax.Array]) -> jax.Array:
    score = example[0] @ w
    return jnp.logaddexp(0.0, score) - example[1] * score


def _write(paths: list[Path], examples: int) -> None:
    """Features and labels, a part at a time."""
    features = np.lib.format.open_memmap(paths[0], "w+", np.float32, (examples, FEATURES))
    labels = np.lib.format.open_memmap(paths[1], "w+", np.float32, (examples,))
    direction = np.random.default_rng(0).normal(size=FEATURES).astype(np.float32) / np.sqrt(FEATURES)
    for first in range(0, examples, ROWS):
        rng = np.random.default_rng(first)
        rows = slice(first, min(first + ROWS, examples))
        part = rng.standard_normal((rows.stop - first, FEATURES), np.float32)
        features[rows], labels[rows] = part, part @ direction + rng.logistic(size=len(part)) * 0.3 > 0
    features.flush()
    labels.flush()


def _read(paths: list[Path]) -> float:
    """Seconds of reading all bytes once and doing nothing with them."""
    began = time.perf_counter()
    for path in paths:
        with path.open("rb", buffering=0) as file:
            while file.read(64 << 20):
                pass
    return time.perf_counter() - began
