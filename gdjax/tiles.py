"""The mean of a loss over many examples, a tile of them at a time, where all at once would take too much memory."""

from __future__ import annotations

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.precision import at_least_float32

# Bytes of the largest array that a loss makes of its examples: up to so many at once, else of a tile.
# On a CPU a tile stays in the second-level cache: scores of a network of two convolutions on 1,797 digits took a third.
CPU = 4 << 20, 1 << 20
GPU = 64 << 20, 64 << 20  # for each of the many lanes of a program
Made = TypeVar("Made")
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
    tile = _tile_for(batch, example_bytes)
    return function(params, batch) if tile is None else _in_tiles(function, tile, params, batch)


def means(function: Callable[[Any], Made], batch: Any, example_bytes: int) -> Made:
    """Means over a batch of what a function says are means over its argument, a pytree; not to be differentiated.

    Args:
        function: batch -> means over it.
        batch: pytree of (examples, …) leaves.
        example_bytes: of the largest array that the function makes of one example.

    Example:
        >>> low, high = means(lambda batch: (jnp.mean(batch), jnp.mean(batch > 3)), jnp.arange(10.0), 1 << 20)
        >>> float(low), round(float(high), 6)
        (4.5, 0.6)
    """
    tile = _tile_for(batch, example_bytes)
    return function(batch) if tile is None else _mean_of_tiles(function, batch, tile)


def _tile_for(batch: Any, example_bytes: int) -> int | None:
    """Examples of a tile, None where a batch is not cut."""
    examples = jax.tree.leaves(batch)[0].shape[0]
    tile = tile_of(examples, example_bytes)
    return None if tile == examples or _whole.get() else tile


def _mean_of_tiles(function: Callable[[Any], Made], batch: Any, tile: int) -> Made:
    examples = jax.tree.leaves(batch)[0].shape[0]
    count, rest = divmod(examples, tile)
    like = jax.eval_shape(function, _rows(batch, 0, tile))

    def add(total: Any, first: jax.Array) -> tuple[Any, None]:
        return jax.tree.map(_added, total, function(_rows(batch, first, tile))), None

    none = jax.tree.map(lambda leaf: at_least_float32(jnp.zeros(leaf.shape, leaf.dtype)), like)
    total, _ = jax.lax.scan(add, none, tile * jnp.arange(count))
    if rest:
        last = function(_rows(batch, tile * count, rest))
        total = jax.tree.map(functools.partial(_added, share=rest / tile), total, last)
    return jax.tree.map(lambda total, leaf: (total / (examples / tile)).astype(leaf.dtype), total, like)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _in_tiles(function: Callable[[Any, Any], jax.Array], tile: int, params: Any, batch: Any) -> jax.Array:
    """The mean, with a derivative of its own: value and gradient of one tile after another.

    JAX's would go over the tiles twice, and keep what the gradient needs of all of them or compute it again: a third
    more operations.
    """
    return _mean_of_tiles(functools.partial(function, params), batch, tile)


@functools.partial(_in_tiles.defjvp, symbolic_zeros=True)
def _(
    function: Callable[[Any, Any], jax.Array], tile: int, primals: tuple[Any, Any], tangents: tuple[Any, Any]
) -> tuple[jax.Array, jax.Array]:
    (params, batch), (slopes, others) = primals, tangents
    if any(map(_moves, jax.tree.leaves(others))):  # nobody descends along the data: all at once will do
        return jax.jvp(function, primals, jax.tree.map(_array, tangents))
    value, gradient = _mean_of_tiles(functools.partial(jax.value_and_grad(function), params), batch, tile)
    pairs = zip(jax.tree.leaves(gradient), jax.tree.leaves(slopes), strict=True)
    rises = (jnp.sum(leaf * slope).astype(value.dtype) for leaf, slope in pairs if _moves(slope))
    return value, sum(rises, jnp.zeros_like(value))


def _moves(slope: Any) -> bool:
    return not isinstance(slope, jax.custom_derivatives.SymbolicZero)


def _array(slope: Any) -> Any:
    return slope if _moves(slope) else np.zeros(slope.shape, slope.dtype)


def _added(total: jax.Array, part: jax.Array, share: float = 1) -> jax.Array:
    return total + share * at_least_float32(part)


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
