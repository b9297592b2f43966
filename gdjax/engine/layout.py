"""How the slots hold parameters: as the problem has them, or each number as an array of its own over the lanes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from gdjax.engine.products import summed
from gdjax.engine.scalarise import scalarise
from gdjax.engine.step import SMALL
from gdjax.optimizers import Optimizer
from gdjax.problem import Problem, PyTree

PAIRED = jnp.float32, jnp.float64  # what a complex number is made of
Numbers = tuple[jax.Array, ...]


def apart(problem: Problem, optimizer: Optimizer) -> PyTree | None:
    """Shapes of the parameters' leaves where the slots hold their numbers apart; None where they do not.

    XLA's CPU compiler then steps several lanes in one instruction, in half the time in two dimensions. In ten
    dimensions it is slower, and where the optimizer has a state nothing is gained (all measured).
    """
    if problem.data is not None or optimizer is not optax.sgd:
        return None
    leaves = jax.tree.leaves(problem.shapes)
    few = all(0 < math.prod(leaf.shape) <= SMALL and leaf.dtype in PAIRED for leaf in leaves)
    return problem.shapes if few else None


def split(shapes: PyTree | None, params: PyTree) -> PyTree:
    """Parameters -> their numbers, whatever axes of lanes go before; `shapes` from `apart`."""
    if shapes is None:
        return params

    def numbers(like: jax.ShapeDtypeStruct, leaf: jax.Array) -> Numbers:
        lanes = leaf.shape[: leaf.ndim - len(like.shape)]
        return tuple(jnp.unstack(leaf.reshape(*lanes, -1), axis=-1))

    return jax.tree.map(numbers, shapes, params)


def join(shapes: PyTree | None, held: PyTree) -> PyTree:
    """Parameters as the problem has them, from what the slots hold or its numbers alone."""
    if shapes is None:
        return held

    def leaf(like: jax.ShapeDtypeStruct, numbers: Numbers) -> jax.Array:
        return jnp.stack(numbers, axis=-1).reshape(*numbers[0].shape, *like.shape)

    return jax.tree.map(leaf, shapes, unpair(shapes, held))


def pair(shapes: PyTree | None, params: PyTree) -> PyTree:
    """Numbers alone -> as the slots hold them, two by two as the parts of a complex number.

    XLA's CPU compiler writes one output a kernel, and each kernel computes the gradient anew. One for two numbers took
    0.8 of a step's time in two dimensions.
    """
    if shapes is None:
        return params

    def pairs(_: jax.ShapeDtypeStruct, numbers: Numbers) -> Numbers:
        last = numbers[len(numbers) // 2 * 2 :]
        return *map(jax.lax.complex, numbers[:-1:2], numbers[1::2]), *last

    return jax.tree.map(pairs, shapes, params)


def unpair(shapes: PyTree | None, held: PyTree) -> PyTree:
    """What the slots hold -> numbers alone."""
    if shapes is None:
        return held

    def numbers(_: jax.ShapeDtypeStruct, pairs: Numbers) -> Numbers:
        parts = [(each.real, each.imag) if jnp.iscomplexobj(each) else (each,) for each in pairs]
        return tuple(itertools.chain.from_iterable(parts))

    return jax.tree.map(numbers, shapes, held)


def value_and_grad(
    shapes: PyTree | None, loss_of: Callable[[PyTree], jax.Array], params: PyTree, own: bool
) -> tuple[jax.Array, PyTree]:
    """Loss and gradient at parameters as the problem has them, or at their numbers alone.

    `own` says whether a lane has its batch to itself: small products become sums, see `products`.
    """
    both = jax.value_and_grad(loss_of)
    if own:
        return summed(both)(params)
    return both(params) if shapes is None else scalarise(both)(params)
