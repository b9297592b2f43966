"""Descent as a tutorial writes it: one lane, one step at a time, a Python loop over optax, no engine of gdjax."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax

import gdjax
from tests.quick import SHIPPED


def descend(problem, transformation: optax.GradientTransformation, params, steps: int,
            batches: Sequence[np.ndarray] = (), compiled: bool = False):
    """Parameters after `steps` updates and the full-data losses after 0, 1, … of them, (steps + 1,).

    `batches` are the example indices of each step; none of them means all examples in every step. `compiled` pays
    where an update holds a loop of its own.
    """
    data = None if problem.data is None else jax.tree.map(lambda leaf: problem.cast(jnp.asarray(leaf)), problem.data)
    transformation = optax.with_extra_args_support(transformation)
    loss_and_gradient = of_objective(problem)
    inside = jax.value_and_grad(problem.objective) if compiled else loss_and_gradient

    def update(params, state, batch):
        loss, gradient = inside(params, batch)
        changes, state = transformation.update(gradient, state, params, value=loss, grad=gradient,
                                               value_fn=lambda params: problem.objective(params, batch))
        return optax.apply_updates(params, changes), state

    update = jax.jit(update, compiler_options=SHIPPED) if compiled else update
    params = jax.tree.map(jnp.asarray, params)
    state, losses = transformation.init(params), [float(loss_and_gradient(params, data)[0])]
    for step in range(steps):
        batch = data
        if len(batches):
            index = np.asarray(batches[step])
            batch = jax.tree.map(lambda leaf, index=index: leaf[index], data)
        params, state = update(params, state, batch)
        losses.append(float(loss_and_gradient(params, data)[0]))
    return params, np.array(losses)


@functools.lru_cache
def of_objective(problem):
    """(parameters, batch) -> loss and gradient."""
    return jax.jit(jax.value_and_grad(problem.objective), compiler_options=SHIPPED)


def batches_of(examples: int, batch_size: int, seed: np.ndarray, steps: int) -> list[np.ndarray]:
    """Example indices of the first `steps` shuffled batches of a stream, walked with gdjax.sampling."""
    return list(np.asarray(_walk(examples, batch_size, steps, seed)))


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _walk(examples: int, batch_size: int, steps: int, seed: jax.Array) -> jax.Array:
    def next_batch(place, _):
        index = gdjax.sampling.batch("shuffle", examples, batch_size, seed, *place)
        return gdjax.sampling.advance(examples, batch_size, *place), index

    return jax.lax.scan(next_batch, (jnp.int32(0), jnp.int32(0)), length=steps)[1]
