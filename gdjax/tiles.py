"""The mean of a loss over many examples, a tile of them at a time, where all at once would take too much memory."""

from __future__ import annotations

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

# Bytes of the largest array that a loss makes of its examples: up to so many at once, else of a tile.
# On a CPU a tile stays in the second-level cache: scores of a network of two convolutions on 1,797 digits took a third.
CPU = 4 << 20, 1 << 20
GPU = 64 << 20, 64 << 20  # for each of the many lanes of a program
_whole = contextvars.ContextVar("whole", default=False)


@contextlib.contextmanager
def untiled() -> Iterator[None]:
    """What is traced within sees all examples at once: devices that share them can't each cut a tile out of all."""
    token = _whole.set(True)
    try:
        yield
    finally:
        _whole.reset(token)


def mean(
    function: Callable[[Any, Any], jax.Array], params: Any, batch: Any, example_bytes: int
) -> jax.Array:
    """Mean over a batch of what a function says is the mean over its argument; the gradient too tile by tile.

    Args:
        function: (params, batch) -> mean over the batch.
        batch: pytree of (examples, …) leaves.
        example_bytes: of the largest array that the function and its gradient make of one example.

    Example:
        >>> far = lambda params, batch: jnp.mean(batch - params)
        >>> float(mean(far, jnp.float32(1), jnp.arange(10.0), example_bytes=1 << 20))  # tiles of one
        3.5
    """
    examples = jax.tree.leaves(batch)[0].shape[0]
    tile = tile_of(examples, example_bytes)
    if tile == examples or _whole.get():
        return function(params, batch)

    # nothing of a tile is kept for its gradient: it is computed again, a third more operations
    @functools.partial(jax.checkpoint, prevent_cse=False)
    def of_tile(params: Any, batch: Any, first: jax.Array) -> jax.Array:
        return function(params, _rows(batch, first, tile))

    count, rest = divmod(examples, tile)
    like = jax.eval_shape(of_tile, params, batch, 0)
    total, _ = jax.lax.scan(lambda total, first: (total + of_tile(params, batch, first), None),
                            jnp.zeros((), like.dtype), tile * jnp.arange(count))
    if rest:
        total = total + rest / tile * function(params, _rows(batch, tile * count, rest))
    return total * (tile / examples)


def tile_of(examples: int, example_bytes: int) -> int:
    """Examples of a tile: all where they fit, else the most that fit and divide them, or nearly so a power of two.

    >>> tile_of(1797, 40), tile_of(60_000, 1024), tile_of(60_013, 1024)
    (1797, 1000, 1024)
    """
    return _tile_of(examples, example_bytes, *(CPU if jax.default_backend() == "cpu" else GPU))


@functools.lru_cache
def _tile_of(examples: int, example_bytes: int, whole: int, most: int) -> int:
    if examples * example_bytes <= whole:
        return examples
    fits = max(1, most // example_bytes)
    even = (size for size in range(fits, fits // 4, -1) if examples % size == 0)
    return next(even, 1 << (fits.bit_length() - 1))


def _rows(batch: Any, first: Any, count: int) -> Any:
    return jax.tree.map(lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, first, count), batch)
