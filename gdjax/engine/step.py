"""One lane, one step: parameters, optimizer state and a batch -> the next parameters and state."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from gdjax import schedules
from gdjax.optimizers import Optimizer, make
from gdjax.precision import at_least_float32
from gdjax.problem import Problem, PyTree

SMALL = 4  # numbers of a leaf that are added one by one
LOOSE = 40  # numbers that are read together where a row has a few less


class Hyper(NamedTuple):
    """What sets one lane apart from another, as arrays: () each, `shape` (4,); with leading axes for many lanes."""

    rate: jax.Array
    kind: jax.Array  # which of the program's formulas, int32
    horizon: jax.Array  # steps at which schedule time is 1
    last: jax.Array  # largest schedule time: 1, or inf when it counts epochs
    warmup: jax.Array  # steps
    shape: jax.Array
    numbers: Mapping[str, jax.Array]  # what the optimizer takes beside the rate, by name
    valid: jax.Array  # False for padding


def rate_at(formulas: tuple[schedules.Formula, ...], warmup: bool, hyper: Hyper, step: jax.Array) -> jax.Array:
    """The lane's learning rate at a step.

    `warmup` says whether any lane has one: dividing by it would be near half of a step in two dimensions.
    """
    rise = hyper.warmup if warmup else jnp.zeros_like(hyper.warmup)
    t = schedules.time(step, hyper.horizon, hyper.last, rise)
    rate = hyper.rate * schedules.factor(formulas, hyper.kind, t, hyper.shape)
    return rate * schedules.rise_factor(step, rise) if warmup else rate


def take(problem: Problem, data: PyTree, index: jax.Array, mode: str = "clip") -> PyTree:
    """The examples of a batch, (batch, …) leaves; of one example without the axis, so that `loss` is used as it is.

    A batch of one costs 3.6 times one example on a CPU (softmax regression on digits). An index beyond the end gives
    the last example, or zeros where `mode` is "fill".
    """
    few = mode == "clip" and index.size <= 8 and jax.default_backend() == "cpu"
    if problem.loss is not None and index.shape[0] == 1:
        index = index[0]

    def rows(leaf: jax.Array) -> jax.Array:
        if few and leaf.ndim == 2 and 17 <= leaf.shape[1] <= 32 and leaf.size < 1 << 20:
            return _loose_rows(leaf, index)
        return jnp.take(leaf, index, axis=0, mode=mode, fill_value=0)

    return jax.tree.map(rows, data)


def _loose_rows(leaf: jax.Array, index: jax.Array) -> jax.Array:
    """Rows of 17 to 32 numbers, each read with what follows it and cut.

    XLA's CPU compiler copies rows of so many one number after another, longer ones in vectors: with 30 features a step
    of one to eight examples takes 0.87 of the time.
    """
    columns = leaf.shape[1]
    flat = jnp.pad(leaf.ravel(), (0, LOOSE - columns))

    def row(index: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice_in_dim(flat, index * columns, LOOSE)[:columns]

    return row(index) if index.ndim == 0 else jax.vmap(row)(index)


def batch_loss(problem: Problem, single: bool, params: PyTree, batch: PyTree | None) -> jax.Array:
    """Mean loss of what `take` gave."""
    if single and problem.loss is not None and batch is not None:
        return problem.example_objective(params, batch)
    return problem.objective(params, batch)


def begin(optimizer: Optimizer, hyper: Hyper, params: PyTree) -> PyTree:
    """The optimizer's state before the first step."""
    return make(optimizer, hyper.rate, hyper.numbers).init(params)


def update(
    optimizer: Optimizer, rate: jax.Array, numbers: Mapping[str, jax.Array], params: PyTree, state: PyTree,
    loss: jax.Array, gradient: PyTree, loss_of: Callable[[PyTree], jax.Array],
) -> tuple[PyTree, PyTree]:
    """Parameters and optimizer state after one step.

    Optimizers that ask for it see the loss and may evaluate it again.
    """
    updates, found = make(optimizer, rate, numbers).update(
        gradient, state, params, value=loss, grad=gradient, value_fn=loss_of)
    # numbers of a lane are float32 arrays, and make states of what optax began in half precision
    return optax.apply_updates(params, updates), jax.tree.map(_as_before, found, state)


def _as_before(new: jax.Array, old: jax.Array) -> jax.Array:
    new = jnp.asarray(new)
    return new if new.dtype == old.dtype else new.astype(old.dtype)


def norm(gradient: PyTree, where: jax.Array | None = None) -> jax.Array:
    """Euclidean norm over all leaves; NaN where `where` is false.

    The few numbers of a small leaf are added one by one: a reduction keeps XLA's CPU compiler from taking several lanes
    in one instruction.
    """
    first, *others = jax.tree.leaves(gradient)
    if where is not None:
        first = jnp.where(where, first, jnp.nan)
    return jnp.sqrt(sum(map(_squares, others), _squares(first)))


def _squares(leaf: jax.Array) -> jax.Array:
    leaf = at_least_float32(leaf)
    if not 0 < leaf.size <= SMALL:
        return jnp.sum(leaf * leaf)
    return functools.reduce(jnp.add, [each * each for each in jnp.unstack(leaf.ravel())])
