"""Full-data loss and gradient norm of many parameters: starts before a run, ends after it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.engine import step as one
from gdjax.lanes import in_order
from gdjax.problem import Problem, PyTree

Scorer = Callable[[PyTree, PyTree], tuple[jax.Array, ...]]
SCORES = 1 << 16  # examples × lanes scored together, about what a second-level cache holds of their outputs


def measure(problem: Problem, params: PyTree) -> tuple[np.ndarray, np.ndarray]:
    """Losses and gradient norms over all data, (lanes,) each; params (lanes, …) leaves.

    In blocks whose size depends on the problem only, so that a lane's numbers do not depend on how many there are.
    """
    loss, norm = _in_blocks(problem, _scorer(problem), problem.device_data(), params)
    return loss, norm


def held_out_scores(problem: Problem, params: PyTree, diverged: np.ndarray) -> dict[str, np.ndarray]:
    """Held-out loss and accuracy of the final parameters where the problem has them, (lanes,) each.

    The accuracy is that of the held-out examples, or of the data where none are held out; a diverged lane has a loss of
    +inf and no accuracy.
    """
    kept = problem.device_held_out()
    found = {}
    if kept is not None:
        loss = _in_blocks(problem, _held_out_scorer(problem), kept, params)[0]
        found["held_out_loss"] = np.where(diverged, np.inf, loss)
    if problem.accuracy is not None:
        batch = problem.device_data() if kept is None else kept
        found["accuracy"] = np.where(diverged, np.nan, _in_blocks(problem, _accuracy_scorer(problem), batch, params)[0])
    return found


def _block_of(leaf: np.ndarray, first: int, block: int) -> np.ndarray:
    part = leaf[first : first + block]
    short = block - part.shape[0]
    return part if short == 0 else np.concatenate([part, np.repeat(part[:1], short, axis=0)])


def _in_blocks(problem: Problem, scorer: Scorer, batch: PyTree, params: PyTree) -> tuple[np.ndarray, ...]:
    lanes = jax.tree.leaves(params)[0].shape[0]
    block = int(np.clip(1 << (SCORES // problem.examples).bit_length(), 16, 4096))
    parts = (scorer(batch, jax.tree.map(functools.partial(_block_of, first=first, block=block), params))
             for first in range(0, lanes, block))
    return cast("tuple[np.ndarray, ...]", in_order(parts, lanes))


@functools.lru_cache(maxsize=64)
def _scorer(problem: Problem) -> Scorer:
    def lane(data: PyTree, params: PyTree) -> tuple[jax.Array, ...]:
        loss, gradient = jax.value_and_grad(problem.objective)(params, data)
        return loss, one.norm(gradient)

    return _over_lanes(lane, problem.data is None)


@functools.lru_cache(maxsize=64)
def _held_out_scorer(problem: Problem) -> Scorer:
    return _over_lanes(lambda kept, params: (problem.objective(params, kept),), False)


@functools.lru_cache(maxsize=64)
def _accuracy_scorer(problem: Problem) -> Scorer:
    accuracy = problem.accuracy
    assert accuracy is not None  # asked for only where there is one
    return _over_lanes(lambda batch, params: (accuracy(params, batch),), False)


def _over_lanes(lane: Callable[[PyTree, PyTree], tuple[jax.Array, ...]], at_once: bool) -> Scorer:
    """A function of one lane's parameters for a block of them, in rows of 16 that stay in the cache."""

    def scorer(data: PyTree, params: PyTree) -> tuple[jax.Array, ...]:
        lanes = jax.tree.leaves(params)[0].shape[0]
        many = jax.vmap(lane, (None, 0))
        if at_once:
            return many(data, params)
        rows = jax.tree.map(lambda leaf: jnp.reshape(leaf, (lanes // 16, 16, *leaf.shape[1:])), params)
        return jax.tree.map(jnp.ravel, jax.lax.map(lambda row: many(data, row), rows))

    return jax.jit(scorer)
