"""Convolutions and pooling as slices and products, for losses on a CPU.

XLA's CPU compiler has no fast routine for the convolutions that come of `vmap` over kernels and of gradients, nor for
the gradient of pooling: it writes one loop over all of it. The same sums as products of matrices take 0.15 to 0.3 of
the time (a step of a network of two convolutions and two pools, 1 to 64 of the digits).
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.rewriting import again, anywhere, bind, rewritten

POOLED = jnp.float16, jnp.bfloat16, jnp.float32, jnp.float64, jnp.int32, jnp.int64  # what networks pool
MOST = 64  # places of a window that become a slice each; beyond, compiling takes longer than it can save


def sliced(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function with its convolutions and pooling as slices and products; on a GPU as it is.

    Values are the same but for rounding, gradients too: of several largest numbers in a window the first takes it all.
    Arguments and results are pytrees of arrays. For a function that is not yet differentiated or vmapped.

    Example:
        >>> blur = lambda image: jax.lax.conv(image, jnp.ones((1, 1, 3, 3)), (1, 1), "SAME")
        >>> sliced(blur)(jnp.ones((1, 1, 2, 2))).tolist()
        [[[[4.0, 4.0], [4.0, 4.0]]]]
    """
    def called(*arguments: Any) -> Any:
        return (rewritten(_anew(function), _apply) if jax.default_backend() == "cpu" else function)(*arguments)

    return called


def has_windows(function: Callable[..., Any], *arguments: Any) -> bool:
    """Whether `sliced` makes something else of a function of such arguments, arrays or their shapes."""
    return any(map(_changes, jax.make_jaxpr(_anew(function))(*arguments).jaxpr.eqns))


def _anew(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same as another object: what JAX keeps of a trace, by the function, is wrong where x64 has changed since."""
    return lambda *arguments: function(*arguments)


def _apply(equation: Any, values: list[Any]) -> Sequence[Any]:
    form = _form(equation)
    if form is not None:
        return [form(equation, *values)]
    if _changes(equation):
        equation = equation.replace(params=again(equation.params, _apply))
    return bind(equation, values)


def _form(equation: Any) -> Callable[..., jax.Array] | None:
    """How an equation is written with slices, None where it stays."""
    name, params = equation.primitive.name, equation.params
    if name == "conv_general_dilated":
        kernel = equation.invars[1].aval.shape
        places = math.prod(kernel[axis] for axis in params["dimension_numbers"].rhs_spec[2:])
        return _convolution if places <= MOST and params["batch_group_count"] == 1 else None
    pools = {"reduce_window_max": _largest, "reduce_window_sum": _sum}
    if name not in pools or math.prod(params["window_dimensions"]) > MOST:
        return None
    return pools[name] if equation.invars[0].aval.dtype in POOLED else None


def _changes(equation: Any) -> bool:
    """Whether an equation, or one of its own programs, is written with slices; what has rules of its own stays."""
    return anywhere(equation, lambda each: _form(each) is not None, lambda each: each.startswith("custom_"))


class _Window(NamedTuple):
    """How a window moves over an array; a number for each axis."""

    size: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]  # what is filled in before and after an axis
    spread: tuple[int, ...]  # distance between neighbours of the array; what comes between is filled in
    apart: tuple[int, ...]  # distance between neighbours of the window


def _slices(array: jax.Array, window: _Window, fill: float) -> Iterator[jax.Array]:
    """For each place of a window, row-major, the numbers that are there as the window moves."""
    padded = _padded(array, window.padding, window.spread, fill)
    reach = [(size - 1) * step for size, step in zip(window.size, window.apart, strict=True)]
    counts = [max(0, (size - far - 1) // stride + 1)
              for size, far, stride in zip(padded.shape, reach, window.strides, strict=True)]
    for place in itertools.product(*map(range, window.size)):
        first = [at * step for at, step in zip(place, window.apart, strict=True)]
        last = [start + max(0, (count - 1) * stride + 1)
                for start, count, stride in zip(first, counts, window.strides, strict=True)]
        yield jax.lax.slice(padded, first, [max(pair) for pair in zip(first, last, strict=True)], window.strides)


def _padded(
    array: jax.Array, padding: Sequence[tuple[int, int]], spread: Sequence[int], fill: float
) -> jax.Array:
    return jax.lax.pad(array, jnp.asarray(fill, array.dtype), [
        (before, after, step - 1) for (before, after), step in zip(padding, spread, strict=True)])


def _convolution(equation: Any, left: jax.Array, kernel: jax.Array) -> jax.Array:
    """Patches of the input side by side, times the kernel as a matrix; a product for each group of features."""
    params = equation.params
    of_left, of_kernel, of_result = params["dimension_numbers"]
    images, channels, *axes = of_left
    left = jnp.transpose(left, (images, *axes, channels))
    outputs, inputs, *axes = of_kernel
    kernel = jnp.transpose(kernel, (*axes, inputs, outputs))
    *size, inputs, outputs = kernel.shape
    window = _Window((1, *size, 1), (1, *params["window_strides"], 1), ((0, 0), *params["padding"], (0, 0)),
                     (1, *params["lhs_dilation"], 1), (1, *params["rhs_dilation"], 1))
    places, groups = list(_slices(left, window, 0)), params["feature_group_count"]
    exact = {"precision": params["precision"], "preferred_element_type": params["preferred_element_type"]}
    if groups == 1:
        patches = jnp.concatenate(places, -1)
        result = jax.lax.dot_general(patches, kernel.reshape(-1, outputs), (((patches.ndim - 1,), (0,)), ((), ())),
                                     **exact)
    else:
        patches = jnp.stack([each.reshape(*each.shape[:-1], groups, inputs) for each in places], -2)
        patches = patches.reshape(*patches.shape[:-2], -1)  # (images, …, groups, places · inputs)
        kernel = kernel.reshape(-1, groups, outputs // groups)
        result = jax.lax.dot_general(patches, kernel, (((patches.ndim - 1,), (0,)), ((patches.ndim - 2,), (1,))),
                                     **exact)
        result = jnp.moveaxis(result, 0, -2).reshape(*result.shape[1:-1], outputs)
    back = [0] * result.ndim
    for axis, place in zip((0, result.ndim - 1, *range(1, result.ndim - 1)), of_result, strict=True):
        back[place] = axis
    return jnp.transpose(result, back)


def _largest(equation: Any, array: jax.Array) -> jax.Array:
    """Of equal numbers the first, as in XLA's gradient; NaN where there is one."""
    window = _window(equation)
    least = -jnp.inf if jnp.issubdtype(array.dtype, jnp.floating) else jnp.iinfo(array.dtype).min
    if _side_by_side(window):
        return _largest_of_blocks(_blocks(array, window, equation.outvars[0].aval.shape, least))
    return _first_of_largest(_slices(array, window, least))[0]


def _sum(equation: Any, array: jax.Array) -> jax.Array:
    window = _window(equation)
    if _side_by_side(window):
        places: Iterable[jax.Array] = _places(_blocks(array, window, equation.outvars[0].aval.shape, 0))
    else:
        places = _slices(array, window, 0)
    return functools.reduce(jnp.add, places)


@jax.custom_jvp
def _largest_of_blocks(blocks: jax.Array) -> jax.Array:
    """The largest number of each block, see `_blocks`.

    With a derivative of its own: which number it is, once for a block. That of the comparisons would write each place's
    share of the gradient into an array of its own, 2 to 10 times the time.
    """
    return _first_of_largest(_places(blocks))[0]


@_largest_of_blocks.defjvp
def _(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    (blocks,), (slopes,) = primals, tangents
    value, which = _first_of_largest(_places(blocks))
    within = tuple(range(1, blocks.ndim, 2))
    place = functools.reduce(lambda place, axis: place * blocks.shape[axis] + jax.lax.broadcasted_iota(
        jnp.int32, blocks.shape, axis), within, jnp.int32(0))
    return value, jnp.sum(jnp.where(place == jnp.expand_dims(which, within), slopes, 0), within)


def _first_of_largest(places: Iterable[jax.Array]) -> tuple[jax.Array, jax.Array]:
    """Of arrays of equal shape the largest number at each place, and the number of the first array that has it."""
    first, *others = places
    which = jnp.zeros(first.shape, jnp.int32)
    for number, each in enumerate(others, 1):
        larger = (each > first) | (each != each)
        first, which = jnp.where(larger, each, first), jnp.where(larger, number, which)
    return first, which


def _window(equation: Any) -> _Window:
    """The window of a pool."""
    return _Window(*(equation.params[name] for name in (
        "window_dimensions", "window_strides", "padding", "base_dilation", "window_dilation")))


def _side_by_side(window: _Window) -> bool:
    """Whether no number is in two windows."""
    return window.strides == window.size and set(window.apart) == {1}


def _blocks(array: jax.Array, window: _Window, counts: tuple[int, ...], fill: float) -> jax.Array:
    """Windows that lie side by side, so many along each axis; each axis cut in two, which window and where in it."""
    rest = [count * size - before - (length - 1) * step - 1 for count, size, (before, _), length, step in zip(
        counts, window.size, window.padding, array.shape, window.spread, strict=True)]  # what the last window lacks
    padding = [(before, after) for (before, _), after in zip(window.padding, rest, strict=True)]
    whole = _padded(array, padding, window.spread, fill)
    return whole.reshape([length for pair in zip(counts, window.size, strict=True) for length in pair])


def _places(blocks: jax.Array) -> list[jax.Array]:
    """What blocks hold at each of their places, row-major."""
    places = itertools.product(*map(range, blocks.shape[1::2]))
    return [blocks[tuple(index for at in place for index in (slice(None), at))] for place in places]
