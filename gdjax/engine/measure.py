"""Full-data loss and gradient norm of many parameters: starts before a run, ends after it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.typing import ArrayLike

from gdjax import blocks, goals
from gdjax.engine import placement, sharding
from gdjax.engine import step as one
from gdjax.engine.width import FEWEST, alone, lane_bytes, power_within
from gdjax.problem import Problem, PyTree
from gdjax.xla import options_for_losses

Lane = Callable[[Problem, PyTree, PyTree], tuple[jax.Array, ...]]
"""Numbers, () each, of a problem's parameters on a batch."""

SCORES = 1 << 16  # numbers of outputs scored together, about what a second-level cache holds
ROW = 16  # lanes scored together where there are data: 128 took 1.1 times as long on digits-softmax, 2.2 on digits-mlp
BLOCK = 4096  # most lanes of one call


def measure(problem: Problem, params: PyTree, mesh: Mesh | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Losses and gradient norms over all data, (lanes,) each; params (lanes, …) leaves.

    In blocks and rows whose size depends on the problem only, so that a lane's numbers do not depend on how many there
    are; each device that shares the lanes takes blocks of its own, and rows without a lane are left out.
    """
    loss, norm, *_ = _in_blocks(problem, _on_data, params, mesh)
    return loss, norm


def measure_ends(
    problem: Problem, params: PyTree, mesh: Mesh | None = None
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """`measure` of final parameters, and their held-out loss and accuracy where the problem has them, (lanes,) each.

    The accuracy is that of the held-out examples, or of the data where none are held out.
    """
    loss, norm, *accuracy = _in_blocks(problem, _on_data, params, mesh)
    return loss, norm, dict(zip(("accuracy",), accuracy, strict=False)) or held_out_scores(problem, params, mesh)


def held_out_scores(problem: Problem, params: PyTree, mesh: Mesh | None = None) -> dict[str, np.ndarray]:
    """Loss and accuracy of the held-out examples by name, (lanes,) each; none where none are held out."""
    if problem.held_out is None:
        return {}
    found = _in_blocks(problem, _on_held_out, params, mesh, "held_out")
    return dict(zip(("held_out_loss", "accuracy"), found, strict=False))


def loss_alone(problem: Problem, params: PyTree, batch: PyTree) -> tuple[jax.Array, ...]:
    """Loss of one lane."""
    return (problem.objective(params, batch),)


def score_alone(problem: Problem, params: PyTree, batch: PyTree, target_on: str) -> tuple[jax.Array, ...]:
    """What targets are on where it is not the loss, of one lane, in the dtype of the loss."""
    if target_on == goals.HELD_OUT_LOSS:
        return loss_alone(problem, params, batch)
    return ((1 - problem.accuracy_on(params, batch)).astype(problem.loss_like.dtype),)


def loss_and_norm(problem: Problem, params: PyTree, batch: PyTree) -> tuple[jax.Array, ...]:
    """Loss and gradient norm of one lane."""
    loss, gradient = jax.value_and_grad(problem.objective)(params, batch)
    return loss, one.norm(gradient).astype(loss.dtype)


def _on_data(problem: Problem, params: PyTree, batch: PyTree) -> tuple[jax.Array, ...]:
    """Loss and gradient norm, and the accuracy that is told of the data: one program, for starts and for ends."""
    if problem.accuracy is None or problem.held_out is not None:
        return loss_and_norm(problem, params, batch)
    loss, gradient, accuracy = problem.scores_on(params, batch)
    return loss, one.norm(gradient).astype(loss.dtype), accuracy


def _on_held_out(problem: Problem, params: PyTree, batch: PyTree) -> tuple[jax.Array, ...]:
    loss = problem.objective(params, batch)
    return (loss,) if problem.accuracy is None else (loss, problem.accuracy_on(params, batch))


def in_rows(problem: Problem, lane: Lane, params: PyTree, batch: PyTree) -> tuple[jax.Array, ...]:
    """Numbers of many lanes, (lanes,) each, from their parameters, (lanes, …) leaves.

    Where there are data, in rows of lanes whose outputs for all examples stay in the cache, if the lanes make up whole
    rows.
    """
    lanes, row = jax.tree.leaves(params)[0].shape[0], row_of(problem)
    if problem.data is None or lanes % row:
        return jax.vmap(functools.partial(lane, problem), (0, None))(params, batch)
    return _rows(problem, lane, params, batch, row, lanes // row)


def row_of(problem: Problem) -> int:
    """Lanes that are scored together.

    >>> row_of(gdjax.problems.get("digits-softmax"))
    16
    """
    if alone(problem, problem.examples):
        return 1
    return ROW if problem.data is not None else power_within(SCORES * 4 // lane_bytes(problem, 1), FEWEST, BLOCK)


def _rows(
    problem: Problem, lane: Lane, params: PyTree, batch: PyTree, row: int, count: int | jax.Array
) -> tuple[jax.Array, ...]:
    """Numbers of the lanes of the first rows, (lanes,) each; zeros for the others."""
    many = jax.vmap(functools.partial(lane, problem), (0, None))
    lanes = jax.tree.leaves(params)[0].shape[0]
    if lanes == row:
        return many(params, batch)

    def part(place: int | jax.Array) -> PyTree:
        return jax.tree.map(lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, place * row, row), params)

    def score(place: jax.Array, found: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        return tuple(jax.lax.dynamic_update_slice_in_dim(whole, numbers, place * row, 0)
                     for whole, numbers in zip(found, many(part(place), batch), strict=True))

    none = tuple(jnp.zeros(lanes, each.dtype) for each in jax.eval_shape(many, part(0), batch))
    return jax.lax.fori_loop(0, count, score, none)


def block_of(leaf: np.ndarray, first: int, block: int) -> np.ndarray:
    """So many rows from the first on, the last block filled up with copies of its own first row."""
    part = leaf[first : first + block]
    short = block - part.shape[0]
    return part if short == 0 else np.concatenate([part, np.repeat(part[:1], short, axis=0)])


def _in_blocks(
    problem: Problem, lane: Lane, params: PyTree, mesh: Mesh | None, field: str = "data"
) -> tuple[np.ndarray, ...]:
    leaves, tree = jax.tree.flatten(params)
    lanes, devices = leaves[0].shape[0], placement.pools(mesh)
    row = row_of(problem)
    own = BLOCK if problem.data is None else power_within(2 * (SCORES // problem.examples), row, BLOCK)
    own = own if row > 1 else 1
    block = own * devices
    # where all lanes fit into one block, each core takes its share of the rows
    share = block if mesh is not None else min(block, row * -(-lanes // (row * placement.side_by_side())))
    shapes = tuple(jax.ShapeDtypeStruct((block, *leaf.shape[1:]), leaf.dtype) for leaf in leaves)
    of = lane, field, row, shapes, tree, mesh
    scorer = problem.once(("scores", *of, placement.context()), lambda: _scorer(problem, *of))
    batch = placement.data_on(problem, mesh, field)

    def scores(first: int) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        part = jax.tree.map(functools.partial(block_of, first=first, block=block), params)
        end = min(first + share, lanes)
        rows = -(-np.clip(end - first - own * np.arange(devices), 0, own) // row)
        given = placement.placed((part, rows.astype(np.int32)), mesh, placement.LANES)
        return blocks.places(first, block, end), cast(
            "tuple[np.ndarray, ...]", placement.on_host(scorer(batch, *given)))

    return blocks.in_places(placement.mapped(scores, range(0, lanes, share), mesh), lanes)


def _scorer(
    problem: Problem, lane: Lane, field: str, row: int, shapes: tuple[jax.ShapeDtypeStruct, ...],
    tree: jax.tree_util.PyTreeDef, mesh: Mesh | None,
) -> Callable[[PyTree, PyTree, ArrayLike], tuple[jax.Array, ...]]:
    """The executable for a block of lanes and each device's number of rows.

    Compiled before its threads start, which have no share in what the caller has set: x64, precision, backend.
    """

    def scorer(batch: PyTree, params: PyTree, rows: jax.Array) -> tuple[jax.Array, ...]:
        if problem.data is not None:
            examples = problem.examples if field == "data" else problem.held_out_examples
            batch = sharding.unpadded(batch, examples)
        return _rows(problem, lane, params, batch, row, rows[0])

    program = placement.jitted(scorer, mesh, (placement.EXAMPLES, placement.LANES, placement.LANES))
    rows = jax.ShapeDtypeStruct((placement.pools(mesh),), jnp.int32)
    lowered = program.lower(placement.data_on(problem, mesh, field), jax.tree.unflatten(tree, shapes), rows)
    return lowered.compile(options_for_losses(problem.data is not None))
