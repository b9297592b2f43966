"""Softmax regression on the digits in plain JAX: a scan over steps, a loss over the batch, threefry draws."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax

from bench.peers.digits import Job, Params
from bench.peers.workload import RIDGE

Weights = tuple[jax.Array, jax.Array]
Training = Callable[[jax.Array, jax.Array, jax.Array], Weights]


def mapped(job: Job, batches: np.ndarray | None = None) -> Callable[[], Params]:
    """All lanes at once: mapped over the settings inside of the starts, so that a batch is drawn once a start."""
    many = jax.vmap(jax.vmap(_training(job), (None, 0, None)), (0, None, 0))
    W, draws = jnp.asarray(np.swapaxes(job.W, 1, 2)), _draws(job, batches)
    rates = jnp.asarray(job.rates)
    run = jax.jit(many).lower(W, rates, draws).compile()
    return lambda: run(W, rates, draws)


def single(job: Job, batches: np.ndarray | None = None) -> Callable[[], Params]:
    """The first lane alone."""
    W, rates, draws = jnp.asarray(job.W[0].T), jnp.asarray(job.rates[0]), _draws(job, batches)[0]
    run = jax.jit(_training(job)).lower(W, rates, draws).compile()
    return lambda: run(W, rates, draws)


def loss(params: Weights, features: jax.Array, labels: jax.Array) -> jax.Array:
    """Mean over a batch, () from W (features, classes), b (classes,), features (batch, features), labels (batch,)."""
    W, b = params
    scores = features @ W + b
    return optax.softmax_cross_entropy_with_integer_labels(scores, labels).mean() + RIDGE / 2 * jnp.sum(W**2)


def moved(params: Weights, rate: jax.Array, features: jax.Array, labels: jax.Array) -> Weights:
    """Parameters after one step on a batch."""
    return jax.tree.map(lambda leaf, slope: leaf - rate * slope, params, jax.grad(loss)(params, features, labels))


def drawn(key: jax.Array, step: jax.Array, batch: int, examples: int) -> jax.Array:
    """The examples of a step, (batch,), drawn with replacement."""
    return jax.random.randint(jax.random.fold_in(key, step), (batch,), 0, examples)


def _draws(job: Job, batches: np.ndarray | None) -> jax.Array:
    """What the batches of each start come from: a key, or the batches themselves, (starts, steps, batch)."""
    if batches is not None:
        return jnp.asarray(np.swapaxes(batches, 0, 1))
    return jax.random.split(jax.random.key(2), len(job.W))


def _training(job: Job) -> Training:
    X, y = jnp.asarray(job.X), jnp.asarray(job.y)

    def train(W: jax.Array, rates: jax.Array, draws: jax.Array) -> Weights:
        given = jnp.issubdtype(draws.dtype, jnp.integer)

        def step(params: Weights, now: tuple[jax.Array, jax.Array]) -> tuple[Weights, None]:
            at, rate = now
            index = draws[at] if given else drawn(draws, at, job.batch, len(X))
            return moved(params, rate, X[index], y[index]), None

        begun = W, jnp.zeros(W.shape[1])
        return jax.lax.scan(step, begun, (jnp.arange(job.steps), rates))[0]

    return train
