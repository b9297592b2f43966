"""A function of a few numbers, evaluated number by number: no array of two or three of them is ever made.

Under `vmap` each number is then one array over the lanes. XLA keeps the short axis of a (lanes, 2) array innermost, and
its CPU compiler takes several lanes in one instruction only where there is none.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from gdjax.engine.step import SMALL
from gdjax.rewriting import bind, evaluate, rewritten

Few = tuple[jax.Array, ...]  # the numbers of an array of one axis
Value = jax.Array | Few
ELEMENTWISE = frozenset((
    "abs", "acos", "acosh", "add", "add_any", "and", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "ceil", "clamp",
    "convert_element_type", "copy", "cos", "cosh", "div", "eq", "erf", "exp", "exp2", "expm1", "floor", "ge", "gt",
    "integer_pow", "is_finite", "le", "log", "log1p", "logistic", "lt", "max", "min", "mul", "ne", "neg", "not", "or",
    "pow", "rem", "round", "rsqrt", "select_n", "sign", "sin", "sinh", "sqrt", "square", "stop_gradient", "sub", "tan",
    "tanh", "xor",
))


def scalarise(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function with the same operations in the same order; arguments and results are pytrees of arrays."""
    return rewritten(function, _apply, _whole)


def _apply(equation: Any, values: list[Value]) -> Sequence[Value]:
    name, params = equation.primitive.name, equation.params
    inside = {"jit": "jaxpr", "pjit": "jaxpr", "custom_jvp_call": "call_jaxpr"}.get(name)
    if inside is not None:
        return evaluate(params[inside].jaxpr, params[inside].consts, values, _apply)
    if name == "stack" and _is_few(equation.outvars[0]):
        return [tuple(map(_whole, values))]
    if name == "broadcast_in_dim" and _is_few(equation.outvars[0]) and jnp.ndim(_whole(values[0])) == 0:
        return [(_whole(values[0]),) * equation.outvars[0].aval.shape[0]]
    few = next((value for value in values if isinstance(value, tuple)), None)
    if few is None or any(jnp.ndim(value) for value in values if not isinstance(value, tuple)):
        return _bind(equation, values)
    if name in ELEMENTWISE:
        count = equation.outvars[0].aval.shape[0]  # one number goes with any
        columns = [value * (count // len(value)) if isinstance(value, tuple) else (value,) * count for value in values]
        return [tuple(_whole(_bind(equation, row)[0]) for row in zip(*columns, strict=True))]
    if name == "slice" and params["strides"] in (None, (1,)):
        return [few[params["start_indices"][0] : params["limit_indices"][0]]]
    if name == "squeeze" or name == "unstack":
        return few
    if name == "reduce_sum":
        return [functools.reduce(jnp.add, few)]
    if name == "pad" and (low := params["padding_config"][0])[2] == 0 and min(low) >= 0:
        filling = (_whole(values[1]),)
        return [filling * int(low[0]) + few + filling * int(low[1])]
    return _bind(equation, values)


def _bind(equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    """The operation itself on whole arrays."""
    return bind(equation, [_whole(value) for value in values])


def _whole(value: Value) -> jax.Array:
    return jnp.stack(value) if isinstance(value, tuple) else value


def _is_few(variable: Any) -> bool:
    return variable.aval.ndim == 1 and 0 < variable.aval.shape[0] <= SMALL
