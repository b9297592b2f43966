"""A function of one lane whose small products become sums, for lanes that have their batches to themselves.

Under `vmap` a product of one lane becomes one product for each lane, and XLA's CPU compiler calls a general routine for
each: some 30 to 60 ns a call, as much as a few hundred multiplications take side by side.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from gdjax.rewriting import bind, evaluate, rewritten

VECTOR = 16  # float32 numbers in one instruction
LONGEST = 2 * VECTOR  # numbers along an axis: from 64 on routines were faster however few there are
MOST = 512  # multiplications of a product that becomes sums; half as many where its sums are longer than a vector


def summed(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, its small products as sums of products; arguments and results are pytrees of arrays."""
    return rewritten(function, _apply)


def _apply(equation: Any, values: list[Any]) -> Sequence[Any]:
    name, params = equation.primitive.name, equation.params
    if name in ("jit", "pjit"):
        return evaluate(params["jaxpr"].jaxpr, params["jaxpr"].consts, values, _apply)
    if name == "dot_general" and _is_small(equation):
        left, right = values
        return [_sum_of_products(left, right, params["dimension_numbers"][0])]
    return bind(equation, values)


def _is_small(equation: Any) -> bool:
    """Whether a product of float32 numbers over one axis is small, and no batch of products."""
    left, right = (variable.aval for variable in equation.invars)
    (inner, _), (batch, _) = equation.params["dimension_numbers"]
    if batch or len(inner) != 1 or {left.dtype, right.dtype} != {jnp.dtype(jnp.float32)}:
        return False
    terms = left.shape[inner[0]]
    most = MOST if terms <= VECTOR else MOST // 2
    return math.prod(equation.outvars[0].aval.shape) * terms <= most and max(*left.shape, *right.shape) <= LONGEST


def _sum_of_products(left: jax.Array, right: jax.Array, inner: tuple[tuple[int], tuple[int]]) -> jax.Array:
    """Σₖ left[…, k, …] right[…, k, …], the axes of `left` before those of `right`."""
    (of_left,), (of_right,) = inner
    first = (of_left == 0 and left.ndim > 1) or (of_right == 0 and right.ndim > 1)
    axis = 0 if first else -1
    left, right = jnp.moveaxis(left, of_left, axis), jnp.moveaxis(right, of_right, axis)
    before, after = left.ndim - 1, right.ndim - 1  # axes of the result
    if first:
        return jnp.sum(left.reshape(*left.shape, *[1] * after) * right.reshape(-1, *[1] * before, *right.shape[1:]), 0)
    terms = left.reshape(*left.shape[:-1], *[1] * after, -1) * right
    short = -terms.shape[-1] % VECTOR
    if terms.shape[-1] > VECTOR:  # whole vectors first, then the numbers of one
        terms = jnp.pad(terms, [(0, 0)] * (terms.ndim - 1) + [(0, short)])
        terms = jnp.sum(terms.reshape(*terms.shape[:-1], -1, VECTOR), -2)
    return jnp.sum(terms, -1)
