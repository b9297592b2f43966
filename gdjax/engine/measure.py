"""Full-data loss and gradient norm of many parameters: starts before a run, ends after it."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.engine import step as one
from gdjax.problem import Problem, PyTree

SCORES = 1 << 16  # examples × lanes scored together, about what a second-level cache holds of their outputs


def measure(problem: Problem, params: PyTree) -> tuple[np.ndarray, np.ndarray]:
    """Losses and gradient norms over all data, (lanes,) each; params (lanes, …) leaves.

    In blocks whose size depends on the problem only, so that a lane's numbers do not depend on how many there are.
    """
    lanes = jax.tree.leaves(params)[0].shape[0]
    block = int(np.clip(1 << (SCORES // problem.examples).bit_length(), 16, 4096))
    scorer = _scorer(problem)
    losses, norms = [], []
    for first in range(0, lanes, block):
        part = jax.tree.map(functools.partial(_block_of, first=first, block=block), params)
        loss, norm = scorer(problem.device_data(), part)
        losses.append(np.asarray(loss))
        norms.append(np.asarray(norm))
    return np.concatenate(losses)[:lanes], np.concatenate(norms)[:lanes]


def _block_of(leaf: np.ndarray, first: int, block: int) -> np.ndarray:
    part = leaf[first : first + block]
    short = block - part.shape[0]
    return part if short == 0 else np.concatenate([part, np.repeat(part[:1], short, axis=0)])


@functools.lru_cache(maxsize=64)
def _scorer(problem: Problem) -> Callable[[PyTree, PyTree], tuple[jax.Array, jax.Array]]:
    def lane(data: PyTree, params: PyTree) -> tuple[jax.Array, jax.Array]:
        loss, gradient = jax.value_and_grad(problem.objective)(params, data)
        return loss, one.norm(gradient)

    def scorer(data: PyTree, params: PyTree) -> tuple[jax.Array, jax.Array]:
        lanes = jax.tree.leaves(params)[0].shape[0]
        many = jax.vmap(lane, (None, 0))
        if problem.data is None:
            return many(data, params)
        rows = jax.tree.map(lambda leaf: jnp.reshape(leaf, (lanes // 16, 16, *leaf.shape[1:])), params)
        loss, norm = jax.lax.map(lambda row: many(data, row), rows)
        return jnp.ravel(loss), jnp.ravel(norm)

    return jax.jit(scorer)
