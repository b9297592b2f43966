"""Full-data loss and gradient norm of many parameters: starts before a run, ends after it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from gdjax import blocks
from gdjax.engine import placement, sharding
from gdjax.engine import step as one
from gdjax.problem import Problem, PyTree

Lane = Callable[[Problem, PyTree, PyTree], tuple[jax.Array, ...]]
"""Numbers, () each, of a problem's parameters on a batch."""

SCORES = 1 << 16  # examples × lanes scored together, about what a second-level cache holds of their outputs
ROW = 16  # lanes scored together where there are data: 128 took 1.1 times as long on digits-softmax, 2.2 on digits-mlp


def measure(problem: Problem, params: PyTree, mesh: Mesh | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Losses and gradient norms over all data, (lanes,) each; params (lanes, …) leaves.

    In blocks whose size depends on the problem only, so that a lane's numbers do not depend on how many there are;
    each device that shares the lanes takes blocks of its own.
    """
    loss, norm = _in_blocks(problem, loss_and_norm, params, mesh)
    return loss, norm


def measure_ends(
    problem: Problem, params: PyTree, mesh: Mesh | None = None
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """`measure` of final parameters, and their held-out loss and accuracy where the problem has them, (lanes,) each.

    The accuracy is that of the held-out examples, or of the data where none are held out.
    """
    if problem.held_out is None and problem.accuracy is not None:
        loss, norm, accuracy = _in_blocks(problem, _loss_norm_accuracy, params, mesh)
        return loss, norm, {"accuracy": accuracy}
    return *measure(problem, params, mesh), held_out_scores(problem, params, mesh)


def held_out_scores(problem: Problem, params: PyTree, mesh: Mesh | None = None) -> dict[str, np.ndarray]:
    """Loss and accuracy of the held-out examples by name, (lanes,) each; none where none are held out."""
    if problem.held_out is None:
        return {}
    found = _in_blocks(problem, _held_out_loss_accuracy, params, mesh, "held_out")
    return dict(zip(("held_out_loss", "accuracy"), found, strict=False))


def loss_alone(problem: Problem, params: PyTree, batch: PyTree) -> tuple[jax.Array, ...]:
    """Loss of one lane."""
    return (problem.objective(params, batch),)


def loss_and_norm(problem: Problem, params: PyTree, batch: PyTree) -> tuple[jax.Array, ...]:
    """Loss and gradient norm of one lane."""
    loss, gradient = jax.value_and_grad(problem.objective)(params, batch)
    return loss, one.norm(gradient)


def _loss_norm_accuracy(problem: Problem, params: PyTree, batch: PyTree) -> tuple[jax.Array, ...]:
    """In one program, which computes the outputs of the examples once."""
    return *loss_and_norm(problem, params, batch), *_accuracy(problem, params, batch)


def _held_out_loss_accuracy(problem: Problem, params: PyTree, batch: PyTree) -> tuple[jax.Array, ...]:
    return problem.objective(params, batch), *_accuracy(problem, params, batch)


def _accuracy(problem: Problem, params: PyTree, batch: PyTree) -> tuple[jax.Array, ...]:
    return () if problem.accuracy is None else (problem.accuracy(params, batch),)


def in_rows(problem: Problem, lane: Lane, params: PyTree, batch: PyTree) -> tuple[jax.Array, ...]:
    """Numbers of many lanes, (lanes,) each, from their parameters, (lanes, …) leaves.

    Where there are data, in rows of lanes whose outputs for all examples stay in the cache, if the lanes make up whole
    rows.
    """
    many = jax.vmap(functools.partial(lane, problem), (0, None))
    lanes = jax.tree.leaves(params)[0].shape[0]
    if problem.data is None or lanes % ROW:
        return many(params, batch)
    rows = jax.tree.map(lambda leaf: jnp.reshape(leaf, (lanes // ROW, ROW, *leaf.shape[1:])), params)
    return jax.tree.map(jnp.ravel, jax.lax.map(lambda row: many(row, batch), rows))


def block_of(leaf: np.ndarray, first: int, block: int) -> np.ndarray:
    """So many rows from the first on, the last block filled up with copies of its own first row."""
    part = leaf[first : first + block]
    short = block - part.shape[0]
    return part if short == 0 else np.concatenate([part, np.repeat(part[:1], short, axis=0)])


def _in_blocks(
    problem: Problem, lane: Lane, params: PyTree, mesh: Mesh | None, field: str = "data"
) -> tuple[np.ndarray, ...]:
    leaves, tree = jax.tree.flatten(params)
    lanes = leaves[0].shape[0]
    block = int(np.clip(1 << (SCORES // problem.examples).bit_length(), ROW, 4096)) * placement.pools(mesh)
    shapes = tuple(jax.ShapeDtypeStruct((block, *leaf.shape[1:]), leaf.dtype) for leaf in leaves)
    scorer = _scorer(problem, lane, field, shapes, tree, mesh, placement.context())
    batch = placement.data_on(problem, mesh, field)

    def scores(first: int) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        part = jax.tree.map(functools.partial(block_of, first=first, block=block), params)
        found = placement.on_host(scorer(batch, placement.placed(part, mesh, placement.LANES)))
        return blocks.places(first, block, lanes), cast("tuple[np.ndarray, ...]", found)

    return blocks.in_places(placement.mapped(scores, range(0, lanes, block), mesh), lanes)


@functools.lru_cache(maxsize=64)
def _scorer(
    problem: Problem, lane: Lane, field: str, shapes: tuple[jax.ShapeDtypeStruct, ...], tree: jax.tree_util.PyTreeDef,
    mesh: Mesh | None, context: tuple[object, ...],
) -> Callable[[PyTree, PyTree], tuple[jax.Array, ...]]:
    """The executable for a block of lanes, with data in rows that stay in the cache.

    Compiled before its threads start, which have no share in the caller's `context`: x64, precision, backend.
    """

    def scorer(batch: PyTree, params: PyTree) -> tuple[jax.Array, ...]:
        if problem.data is not None:
            batch = sharding.unpadded(batch, len(jax.tree.leaves(getattr(problem, field))[0]))
        return in_rows(problem, lane, params, batch)

    program = placement.jitted(scorer, mesh, (placement.EXAMPLES, placement.LANES))
    lowered = program.lower(placement.data_on(problem, mesh, field), jax.tree.unflatten(tree, shapes))
    return lowered.compile(placement.compiler_options(problem))
