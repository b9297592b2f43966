"""Data that memory can't hold: rows of a memory-mapped file pass through a buffer, read ahead in shuffled blocks."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from gdjax import sampling
from gdjax.scalars import is_whole
from gdjax.spare import Spare
from gdjax.threads import as_here

PyTree = object
Found = TypeVar("Found")
BUFFER_BYTES = 256 << 20  # the same on every machine, because results depend on it
BLOCK_BYTES = 1 << 20  # read at once: long enough for a disk's full rate
FEWEST_BLOCKS = 16  # in a buffer, where both are left open
CHECKED_BYTES = 64 << 20


@dataclass(frozen=True)
class Stream:
    """The sampling rule for data that memory can't hold: two levels of shuffling, of blocks and of a buffer's examples.

    The file is a row of blocks of neighbouring examples. An epoch reads all blocks in an order drawn anew; as they come
    they fill a buffer, and every batch stream takes the examples of a full buffer in a shuffled order of its own, each
    once, before the next buffer. So every example is read exactly once an epoch (one buffer may hold the end of an
    epoch and the beginning of the next). All lanes share the buffers, so starts are less independent than with
    "shuffle"; with a buffer of all examples read as one block it is "shuffle". What lies together in the file comes
    into batches together: a file in the order of its classes needs a buffer of many small blocks (docs/streaming.md).

    Args:
        buffer: examples that wait in memory, at least twice the batch size, rounded down to a multiple of it; None:
            256 MiB of them. Some three times as many are held: the next ones are read while the lanes run.
        block: neighbouring examples that are read together; None: 1 MiB of them, at most a sixteenth of the buffer.

    Raises:
        TypeError, ValueError: not a whole number of at least 1; a block longer than the buffer.

    Example:
        >>> import gdjax
        >>> runs = gdjax.minibatch(gdjax.problems.get("cancer-logistic"), batch_size=8, rates=0.1, starts=2, key=0,
        ...                        max_epochs=2, sampling=gdjax.Stream(buffer=128, block=16))
        >>> len(runs.frame())
        2

    Source: Xu et al. 2022, "In-database machine learning with CorgiPile: stochastic gradient descent without full data
    shuffle", SIGMOD, arXiv 2206.05830.
    """

    buffer: int | None = None
    block: int | None = None

    def __post_init__(self) -> None:
        for name in ("buffer", "block"):
            value = getattr(self, name)
            if value is None:
                continue
            if not is_whole(value):
                raise TypeError(f"Stream: {name}: must be a whole number of examples (got {value!r}). "
                                "Give an int, or None for the default.")
            if value < 1:
                raise ValueError(f"Stream: {name}: must be at least 1 (got {value}). It is a number of examples.")
        if self.buffer is not None and self.block is not None and self.block > self.buffer:
            raise ValueError(f"Stream: block: must be at most the buffer of {self.buffer} (got {self.block}). "
                             "Many blocks in a buffer mix better.")

    def for_data(self, data: PyTree, batch_size: int) -> tuple[int, int]:
        """Examples in a buffer and in a block, for data and a batch size.

        >>> large = np.broadcast_to(np.float32(0), (50_000_000, 101))  # 404 bytes an example
        >>> Stream().for_data(large, 256), Stream(buffer=1000).for_data(large[:1797], 32)
        ((664320, 2595), (992, 62))

        Raises:
            ValueError: a buffer of less than two batches, or a batch of more than half the examples.
        """
        examples, example_bytes = int(jax.tree.leaves(data)[0].shape[0]), row_bytes(data)
        if 2 * batch_size > examples:
            raise ValueError(f"batch_size: must be at most half of the {examples} examples where they are streamed "
                             f"(got {batch_size}). Use sampling='shuffle' for larger batches.")
        wanted = self.buffer if self.buffer is not None else max(BUFFER_BYTES // example_bytes, 2 * batch_size)
        buffer = min(wanted, examples) // batch_size * batch_size
        if buffer < 2 * batch_size:
            raise ValueError(f"Stream: buffer: must be at least twice the batch size of {batch_size} "
                             f"(got {self.buffer}). A buffer is shuffled and cut into batches.")
        block = self.block if self.block is not None else min(BLOCK_BYTES // example_bytes, buffer // FEWEST_BLOCKS)
        return buffer, max(1, min(block, buffer))


@dataclass(frozen=True)
class Reader:
    """The rows of data, on the device: buffer after buffer of a shuffled flow, or all in the order of the file.

    Args:
        data: pytree of (examples, …) host arrays, memory-mapped or not.
        like: the same with the dtypes that they have on the device.
        buffer, block: in examples.
        words: (2,) uint32, what the order of blocks is drawn from.
        spare: memory that buffers are read into.
    """

    data: PyTree
    like: PyTree
    buffer: int
    block: int
    words: np.ndarray
    spare: Spare = field(default_factory=Spare)

    @property
    def examples(self) -> int:
        """Rows of the data."""
        return int(jax.tree.leaves(self.data)[0].shape[0])

    def buffers(self, count: int) -> Generator[PyTree]:
        """The first buffers, (buffer, …) leaves: rows i·buffer … (i + 1)·buffer of all epochs laid end to end."""
        return _ahead(self.load, range(count))

    def load(self, number: int) -> PyTree:
        """One of these buffers."""
        return self._load(self.pieces(number), self.buffer)

    def in_order(self, rows: int) -> Iterator[tuple[int, PyTree]]:
        """The rows of the file in its order: how many, and (rows, …) leaves, of which the last have fewer in use."""
        def load(first: int) -> tuple[int, PyTree]:
            last = min(first + rows, self.examples)
            return last - first, self._load([slice(first, last)], rows)

        return _ahead(load, range(0, self.examples, rows))

    def pieces(self, number: int) -> Iterator[slice]:
        """Where in the file the rows of a buffer are.

        >>> data = np.arange(10)
        >>> reader = Reader(data, data, buffer=6, block=4, words=np.array([1, 2], np.uint32))
        >>> rows = np.concatenate([data[piece] for number in range(5) for piece in reader.pieces(number)])
        >>> np.bincount(rows).tolist()  # 5 buffers of 6 are 3 epochs of 10
        [3, 3, 3, 3, 3, 3, 3, 3, 3, 3]
        """
        place, end = number * self.buffer, (number + 1) * self.buffer
        while place < end:
            epoch, before = divmod(place, self.examples)
            for first in self.order(epoch) * self.block:
                length = min(self.block, self.examples - first)
                skip = min(before, length)
                take = min(length - skip, end - place)
                if take:
                    yield slice(int(first) + skip, int(first) + skip + take)
                before, place = before - skip, place + take

    def order(self, epoch: int) -> np.ndarray:
        """The blocks of an epoch in the order in which it reads them, (blocks,)."""
        blocks = -(-self.examples // self.block)
        return np.asarray(sampling.batch("shuffle", blocks, blocks, jnp.asarray(self.words), jnp.int32(epoch),
                                         jnp.int32(0))).astype(np.int64)

    def _load(self, pieces: Iterable[slice], rows: int) -> PyTree:
        places = list(pieces)

        def load(leaf: np.ndarray, like: jax.ShapeDtypeStruct) -> jax.Array:
            most = max(rows, self.buffer)  # all of one size, to be used again
            held, at = self.spare.array((most, *leaf.shape[1:]), like.dtype)[:rows], 0
            for piece in places:
                end = at + piece.stop - piece.start
                held[at:end], at = leaf[piece], end
            held[at:] = 0  # what memory held there may be no number of this dtype
            forget(leaf)
            return jax.device_put(held)

        return jax.tree.map(load, self.data, self.like)


def row_bytes(data: PyTree) -> int:
    """Memory that one example takes on the host.

    >>> row_bytes({"x": np.zeros((5, 3), np.float32), "y": np.zeros(5, np.int8)})
    13
    """
    return sum(leaf.itemsize * int(np.prod(leaf.shape[1:])) for leaf in jax.tree.leaves(data))


def blocks_of(array: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """An array in blocks of rows of some 64 MiB, each with its first row; pages of a mapped file are let go after."""
    rows = max(1, CHECKED_BYTES // max(1, row_bytes(array)))
    for first in range(0, len(array), rows):
        yield first, array[first : first + rows]
        forget(array)


def forget(array: np.ndarray) -> None:
    """Let go of the pages of a memory-mapped file that were read: they count as the process's memory until then.

    Nothing is lost: the system reads them again when asked. Other arrays are left as they are.
    """
    base: object = array
    while base is not None and not isinstance(base, np.memmap):
        base = getattr(base, "base", None)
    if base is None or base.mode == "c" or not hasattr(mmap, "MADV_DONTNEED"):  # "c" keeps changes in these pages
        return
    mapped: object = base
    while isinstance(mapped, np.ndarray):
        mapped = mapped.base
    if isinstance(mapped, mmap.mmap):
        mapped.madvise(mmap.MADV_DONTNEED)


def _ahead(load: Callable[[int], Found], numbers: range) -> Generator[Found]:
    """What `load` gives for each number in turn, the next one loaded by a thread while this one is used."""
    load = as_here(load)
    with ThreadPoolExecutor(1) as thread:
        waiting = [thread.submit(load, number) for number in numbers[:1]]
        for after in numbers[1:]:
            found = waiting.pop().result()
            waiting.append(thread.submit(load, after))
            yield found
        for last in waiting:
            yield last.result()
