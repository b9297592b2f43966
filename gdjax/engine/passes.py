"""A pass over all examples in the order of their file: means of what a function of a problem gives, for many lanes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.engine import measure as scores
from gdjax.engine import placement
from gdjax.lapack import one_by_one
from gdjax.precision import at_least_float32
from gdjax.problem import Problem, PyTree
from gdjax.reading import Reader
from gdjax.xla import options_for_losses

Mean = Callable[[Problem, PyTree, PyTree], PyTree]
"""Of a problem's parameters on a batch, what is averaged over all examples: numbers, or arrays such as a gradient."""

FEWEST_ROWS, MOST_ROWS = 64, 4096  # examples scored together
FEWEST_LANES = 16  # and lanes; bit-equal in any order at multiples of it


def means(problem: Problem, reader: Reader, width: int, mean: Mean, params: PyTree) -> Any:
    """Means over all examples in the order of the file, float64, (lanes, …) leaves; summed in tiles of rows.

    Args:
        problem: on a buffer of the reader (`streamed.window`).
        width: most lanes that are looked at together.
        params: (lanes, …) leaves.
    """
    lanes = jax.tree.leaves(params)[0].shape[0]
    block = min(width, -(-lanes // FEWEST_LANES) * FEWEST_LANES)
    tile = min(1 << int(np.log2(np.clip(scores.SCORES // block, FEWEST_ROWS, MOST_ROWS))), reader.examples)
    rows = max(reader.buffer // tile, 1) * tile

    def summer(rows: int, tile: int) -> jax.stages.Compiled:
        return problem.once(("sums", mean, rows, tile, block, placement.context()),
                            lambda: _summer(problem, mean, rows, tile, block))

    of_tiles, rest = summer(rows=rows, tile=tile), reader.examples % tile
    of_rest = summer(rows=rest, tile=rest) if rest else None
    parts = [jax.tree.map(functools.partial(scores.block_of, first=first, block=block), params)
             for first in range(0, lanes, block)]
    total: PyTree = None
    for length, data in reader.in_order(rows):
        total = _added(total, of_tiles, data, length // tile, tile, parts)
        if of_rest and length % tile:
            last = jax.tree.map(functools.partial(_rows_of, first=length - rest, rows=rest), data)
            total = _added(total, of_rest, last, 1, rest, parts)
    return jax.tree.map(lambda leaf: leaf[:lanes] / reader.examples, total)


def loss_and_gradient(problem: Problem, params: PyTree, batch: PyTree) -> PyTree:
    """A `Mean`: the loss, and the gradient as a pytree like the parameters."""
    return jax.value_and_grad(problem.objective)(params, batch)


def joined(trees: Sequence[PyTree]) -> PyTree:
    """Host arrays of pieces of lanes as one."""
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), trees[0], *trees[1:])


def _summer(problem: Problem, mean: Mean, rows: int, tile: int, lanes: int) -> jax.stages.Compiled:
    """The executable (data, tiles, params) -> sum of the means over each of the first tiles of rows, for many lanes."""
    many = jax.vmap(functools.partial(mean, problem), (0, None))

    def of_tile(params: PyTree, batch: PyTree) -> PyTree:
        return jax.tree.map(at_least_float32, many(params, batch))

    def total(data: PyTree, tiles: jax.Array, params: PyTree) -> PyTree:
        def part(number: jax.Array) -> PyTree:
            return jax.tree.map(lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, number * tile, tile), data)

        def add(number: jax.Array, sums: PyTree) -> PyTree:
            return jax.tree.map(jnp.add, sums, of_tile(params, part(number)))

        like = jax.eval_shape(of_tile, params, jax.eval_shape(part, jnp.int32(0)))
        return jax.lax.fori_loop(0, tiles, add, jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), like))

    data = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((rows, *leaf.shape[1:]), leaf.dtype), problem.like())
    params = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((lanes, *leaf.shape), leaf.dtype), problem.shapes)
    lowered = jax.jit(one_by_one(total)).lower(data, jax.ShapeDtypeStruct((), jnp.int32), params)
    return lowered.compile(options_for_losses(problem.data is not None))


def _added(
    total: PyTree | None, summer: Callable[..., PyTree], data: PyTree, tiles: int, tile: int, parts: Sequence[PyTree]
) -> PyTree:
    """The total over examples, float64 on the host, with those of so many tiles added; blocks of lanes side by side."""

    def sums(part: PyTree) -> PyTree:
        return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64) * tile, summer(data, np.int32(tiles), part))

    found = joined(list(placement.mapped(sums, parts, None)))
    return found if total is None else jax.tree.map(np.add, total, found)


def _rows_of(leaf: jax.Array, first: int, rows: int) -> jax.Array:
    return leaf[first : first + rows]
