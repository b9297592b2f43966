"""How the slots hold parameters: as the problem has them, or each number as an array of its own over the lanes."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from gdjax.engine.scalarise import scalarise
from gdjax.engine.step import SMALL
from gdjax.optimizers import Optimizer
from gdjax.problem import Problem, PyTree


def apart(problem: Problem, optimizer: Optimizer) -> PyTree | None:
    """Shapes of the parameters' leaves where the slots hold their numbers apart; None where they do not.

    XLA's CPU compiler then steps several lanes in one instruction, in half the time in two dimensions. In ten
    dimensions it is slower, and where the optimizer has a state nothing is gained (all measured).
    """
    if problem.data is not None or optimizer is not optax.sgd:
        return None
    few = all(0 < math.prod(leaf.shape) <= SMALL for leaf in jax.tree.leaves(problem.shapes))
    return problem.shapes if few else None


def split(shapes: PyTree | None, params: PyTree) -> PyTree:
    """Parameters as the slots hold them, whatever axes of lanes go before; `shapes` from `apart`."""
    if shapes is None:
        return params

    def numbers(like: jax.ShapeDtypeStruct, leaf: jax.Array) -> tuple[jax.Array, ...]:
        lanes = leaf.shape[: leaf.ndim - len(like.shape)]
        return tuple(jnp.unstack(leaf.reshape(*lanes, -1), axis=-1))

    return jax.tree.map(numbers, shapes, params)


def join(shapes: PyTree | None, held: PyTree) -> PyTree:
    """Parameters as the problem has them, from what the slots hold."""
    if shapes is None:
        return held

    def leaf(like: jax.ShapeDtypeStruct, numbers: tuple[jax.Array, ...]) -> jax.Array:
        return jnp.stack(numbers, axis=-1).reshape(*numbers[0].shape, *like.shape)

    return jax.tree.map(leaf, shapes, held)


def value_and_grad(
    shapes: PyTree | None, loss_of: Callable[[PyTree], jax.Array], held: PyTree
) -> tuple[jax.Array, PyTree]:
    """Loss and gradient at parameters as the slots hold them."""
    both = jax.value_and_grad(loss_of)
    return both(held) if shapes is None else scalarise(both)(held)
