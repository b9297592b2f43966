"""How large the arrays of a loss become, and how much it computes: what widths and tiles are chosen by."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
from jax.extend.core import Jaxpr

from gdjax.lapack import AXES
from gdjax.rewriting import programs

LANES, EXAMPLES = 4099, 4111  # primes: an axis as long as one of them is that of the lanes, or of the examples


class Sizes(NamedTuple):
    """Of a loss and its gradient."""

    lane_bytes: int  # of the largest array of one lane that has no axis of examples
    lane_example_bytes: int  # of the largest that has one, for each example
    example_bytes: int  # the same with arrays that all lanes share
    operations: int  # of one lane, whatever the batch
    example_operations: int  # and for each example of it


def of(
    function: Callable[[Any, Any], jax.Array], params: Any, batch: Any, examples: int = EXAMPLES
) -> Sizes:
    """Sizes of a loss, from one trace of many lanes on many examples.

    What has an axis of lanes or examples, or one that they are merged into, has a multiple of their number of numbers.

    Operations are, about: 2 a multiplication and addition of a product, n a number where matrices of n × n are
    decomposed or solved, 1 a number of any other result. A loop of unknown length counts once.

    Args:
        function: (params, batch) -> (), the loss of one lane.
        params: shapes of the parameters of one lane.
        batch: shapes of one example, None without data.
        examples: how many to trace it on, where not every number will do.

    Example:
        >>> matrix, row = jax.ShapeDtypeStruct((9, 7), "float32"), jax.ShapeDtypeStruct((7,), "float32")
        >>> found = of(lambda w, x: jnp.sum(w @ x.T), matrix, row)
        >>> found.lane_example_bytes, found.example_operations >= 4 * 9 * 7  # the product, and that of its gradient
        (36, True)
    """
    many = jax.vmap(jax.value_and_grad(function), (0, None))
    jaxpr = jax.make_jaxpr(many)(_long(params, LANES), _long(batch, examples)).jaxpr
    lane, lane_example, shared = [0], [0], [0]
    for array in _arrays(jaxpr):
        numbers = math.prod(array.shape)
        size = numbers * array.dtype.itemsize
        if numbers % LANES == 0:
            kind, size = (lane_example, size // examples) if numbers % examples == 0 else (lane, size)
            kind.append(size // LANES)
        elif numbers % examples == 0:
            shared.append(size // examples)
    fixed, each = _operations(jaxpr, examples)
    return Sizes(max(lane), max(lane_example), max(lane_example + shared), fixed, each)


def _long(tree: Any, length: int) -> Any:
    """Shapes of so many pytrees of arrays."""
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((length, *leaf.shape), leaf.dtype), tree)


def _arrays(jaxpr: Jaxpr) -> Iterator[Any]:
    """What a program makes, and what those of its loops and branches do."""
    for equation in jaxpr.eqns:
        yield from (each.aval for each in equation.outvars if hasattr(each.aval, "shape"))
        for inner in programs(equation):
            yield from _arrays(inner)


def _operations(jaxpr: Jaxpr, examples: int) -> tuple[int, int]:
    """Of one lane: whatever the batch, and for each example."""
    fixed = each = 0
    for equation in jaxpr.eqns:
        inner = [_operations(program, examples) for program in programs(equation)]
        if inner:
            times = equation.params.get("length", 1)
            fixed += times * sum(one for one, _ in inner)
            each += times * sum(one for _, one in inner)
            continue
        count = _operations_of(equation)
        count = count // LANES if count % LANES == 0 else count
        if count % examples == 0:
            each += count // examples
        else:
            fixed += count
    return fixed, each


def _operations_of(equation: Any) -> int:
    """Of an equation that runs no program itself."""
    numbers = sum(math.prod(getattr(each.aval, "shape", ())) for each in equation.outvars)
    name, first = equation.primitive.name, equation.invars[0].aval.shape if equation.invars else ()
    if name == "dot_general":
        return 2 * numbers * math.prod(first[axis] for axis in equation.params["dimension_numbers"][0][0])
    if name == "conv_general_dilated":
        kernel = equation.invars[1].aval.shape
        return 2 * numbers * math.prod(kernel) // kernel[equation.params["dimension_numbers"].rhs_spec[0]]
    return numbers * first[-1] if name in AXES and first else numbers
