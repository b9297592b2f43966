"""How large the arrays of a loss become, and how much it computes: what widths and pieces are chosen by."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import Jaxpr

from gdjax.lapack import AXES
from gdjax.rewriting import programs

AXIS = 4099  # a prime: an axis as long as this is that of the lanes, or of the examples


def long(tree: Any) -> Any:
    """Shapes of many pytrees of arrays, (AXIS, …) leaves."""
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((AXIS, *leaf.shape), leaf.dtype), tree)


def bytes_of_one(function: Callable[..., Any], *arguments: Any) -> int:
    """Bytes, for one of AXIS lanes or examples, of the largest array with such an axis that a function makes.

    >>> bytes_of_one(lambda x: (x[:, :, None] * x[:, None]).sum(), long(jax.ShapeDtypeStruct((10,), "float32")))
    400
    """
    return _largest(jax.make_jaxpr(function)(*arguments).jaxpr)


def _largest(jaxpr: Jaxpr) -> int:
    found = [0]
    for equation in jaxpr.eqns:
        made: list[Any] = [each.aval for each in equation.outvars]
        found += [math.prod(each.shape) // AXIS * each.dtype.itemsize for each in made
                  if AXIS in getattr(each, "shape", ())]
        found += map(_largest, programs(equation))
    return max(found)


def operations(function: Callable[..., Any], *arguments: Any) -> int:
    """Operations of a function, about: 2 a multiplication and addition of a product, n a number where matrices of
    n × n are decomposed or solved, 1 a number of any other result. A loop of unknown length counts once.

    >>> operations(lambda x: x @ x + 1, jax.ShapeDtypeStruct((10, 10), "float32"))
    2100
    """
    return _operations(jax.make_jaxpr(function)(*arguments).jaxpr)


def _operations(jaxpr: Jaxpr) -> int:
    return sum(map(_operations_of, jaxpr.eqns))


def _operations_of(equation: Any) -> int:
    inner = sum(map(_operations, programs(equation)))
    if inner:
        return inner * equation.params.get("length", 1)
    numbers = sum(math.prod(getattr(each.aval, "shape", ())) for each in equation.outvars)
    name, first = equation.primitive.name, equation.invars[0].aval.shape if equation.invars else ()
    if name == "dot_general":
        return 2 * numbers * math.prod(first[axis] for axis in equation.params["dimension_numbers"][0][0])
    if name == "conv_general_dilated":
        kernel = equation.invars[1].aval.shape
        return 2 * numbers * math.prod(kernel) // kernel[equation.params["dimension_numbers"].rhs_spec[0]]
    return numbers * first[-1] if name in AXES and first else numbers
