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
from gdjax.engine import placement
from gdjax.engine import step as one
from gdjax.problem import Problem, PyTree

Scorer = Callable[[PyTree, PyTree], tuple[jax.Array, ...]]
SCORES = 1 << 16  # examples × lanes scored together, about what a second-level cache holds of their outputs


def measure(problem: Problem, params: PyTree, mesh: Mesh | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Losses and gradient norms over all data, (lanes,) each; params (lanes, …) leaves.

    In blocks whose size depends on the problem only, so that a lane's numbers do not depend on how many there are;
    each device of a mesh takes blocks of its own.
    """
    loss, norm = _in_blocks(problem, _scorer(problem, mesh), placement.data_on(problem, mesh), params, mesh)
    return loss, norm


def held_out_scores(
    problem: Problem, params: PyTree, diverged: np.ndarray, mesh: Mesh | None = None
) -> dict[str, np.ndarray]:
    """Held-out loss and accuracy of the final parameters where the problem has them, (lanes,) each.

    The accuracy is that of the held-out examples, or of the data where none are held out; a diverged lane has a loss of
    +inf and no accuracy.
    """
    kept = None if problem.held_out is None else placement.data_on(problem, mesh, "held_out")
    found = {}
    if kept is not None:
        loss = _in_blocks(problem, _held_out_scorer(problem, mesh), kept, params, mesh)[0]
        found["held_out_loss"] = np.where(diverged, np.inf, loss)
    if problem.accuracy is not None:
        batch = placement.data_on(problem, mesh) if kept is None else kept
        accuracy = _in_blocks(problem, _accuracy_scorer(problem, mesh), batch, params, mesh)[0]
        found["accuracy"] = np.where(diverged, np.nan, accuracy)
    return found


def _block_of(leaf: np.ndarray, first: int, block: int) -> np.ndarray:
    part = leaf[first : first + block]
    short = block - part.shape[0]
    return part if short == 0 else np.concatenate([part, np.repeat(part[:1], short, axis=0)])


def _in_blocks(
    problem: Problem, scorer: Scorer, batch: PyTree, params: PyTree, mesh: Mesh | None
) -> tuple[np.ndarray, ...]:
    lanes = jax.tree.leaves(params)[0].shape[0]
    block = int(np.clip(1 << (SCORES // problem.examples).bit_length(), 16, 4096)) * (1 if mesh is None else mesh.size)

    def scores(first: int) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        part = jax.tree.map(functools.partial(_block_of, first=first, block=block), params)
        found = placement.on_host(scorer(batch, placement.placed(part, mesh, placement.LANES)))
        return blocks.places(first, block, lanes), cast("tuple[np.ndarray, ...]", found)

    return blocks.in_places(map(scores, range(0, lanes, block)), lanes)


@functools.lru_cache(maxsize=64)
def _scorer(problem: Problem, mesh: Mesh | None) -> Scorer:
    def lane(data: PyTree, params: PyTree) -> tuple[jax.Array, ...]:
        loss, gradient = jax.value_and_grad(problem.objective)(params, data)
        return loss, one.norm(gradient)

    return _over_lanes(lane, problem.data is None, mesh)


@functools.lru_cache(maxsize=64)
def _held_out_scorer(problem: Problem, mesh: Mesh | None) -> Scorer:
    return _over_lanes(lambda kept, params: (problem.objective(params, kept),), False, mesh)


@functools.lru_cache(maxsize=64)
def _accuracy_scorer(problem: Problem, mesh: Mesh | None) -> Scorer:
    accuracy = problem.accuracy
    assert accuracy is not None  # asked for only where there is one
    return _over_lanes(lambda batch, params: (accuracy(params, batch),), False, mesh)


def _over_lanes(
    lane: Callable[[PyTree, PyTree], tuple[jax.Array, ...]], at_once: bool, mesh: Mesh | None
) -> Scorer:
    """A function of one lane's parameters for a block of them, in rows of 16 that stay in the cache."""

    def scorer(data: PyTree, params: PyTree) -> tuple[jax.Array, ...]:
        lanes = jax.tree.leaves(params)[0].shape[0]
        many = jax.vmap(lane, (None, 0))
        if at_once:
            return many(data, params)
        rows = jax.tree.map(lambda leaf: jnp.reshape(leaf, (lanes // 16, 16, *leaf.shape[1:])), params)
        return jax.tree.map(jnp.ravel, jax.lax.map(lambda row: many(data, row), rows))

    return placement.jitted(scorer, mesh, (placement.WHOLE, placement.LANES))
