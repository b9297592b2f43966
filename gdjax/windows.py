"""Convolutions and pooling as slices and products, for losses on a CPU.

XLA's CPU compiler has no fast routine for the convolutions that come of `vmap` over kernels and of gradients, nor for
the gradient of pooling: it writes one loop over all of it. The same sums as products of matrices take 0.15 to 0.3 of
the time (a step of a network of two convolutions and two pools, 1 to 64 of the digits).
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from gdjax.rewriting import again, bind, evaluate, programs, rewritten

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
    every = rewritten(function, _apply)

    def called(*arguments: Any) -> Any:
        if jax.default_backend() != "cpu" or not any(map(_changes, jax.make_jaxpr(function)(*arguments).jaxpr.eqns)):
            return function(*arguments)
        return every(*arguments)

    return called


def _apply(equation: Any, values: list[Any]) -> Sequence[Any]:
    form = _form(equation)
    if form is not None:
        return [form(equation, *values)]
    if _changes(equation):
        if equation.primitive.name in ("jit", "pjit"):
            inner = equation.params["jaxpr"]
            return evaluate(inner.jaxpr, inner.consts, values, _apply)
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
    return pools.get(name) if math.prod(params.get("window_dimensions", ())) <= MOST else None


def _changes(equation: Any) -> bool:
    """Whether an equation, or one of its own programs, is written with slices; what has rules of its own stays."""
    if _form(equation) is not None:
        return True
    if equation.primitive.name.startswith("custom_"):
        return False
    return any(_changes(each) for inner in programs(equation) for each in inner.eqns)


def _slices(
    array: jax.Array, window: Sequence[int], strides: Sequence[int], padding: Sequence[tuple[int, int]],
    spread: Sequence[int], apart: Sequence[int], fill: float,
) -> Iterator[jax.Array]:
    """For each place of a window, row-major, the numbers that are there as the window moves.

    Args:
        padding: numbers `fill` before and after each axis.
        spread: distance between neighbours of the array; what comes between is `fill`.
        apart: distance between neighbours of the window.
    """
    padded = _padded(array, padding, spread, fill)
    reach = [(size - 1) * step for size, step in zip(window, apart, strict=True)]
    counts = [max(0, (size - far - 1) // stride + 1)
              for size, far, stride in zip(padded.shape, reach, strides, strict=True)]
    for place in itertools.product(*map(range, window)):
        first = [at * step for at, step in zip(place, apart, strict=True)]
        last = [start + max(0, (count - 1) * stride + 1)
                for start, count, stride in zip(first, counts, strides, strict=True)]
        yield jax.lax.slice(padded, first, [max(pair) for pair in zip(first, last, strict=True)], strides)


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
    *window, inputs, outputs = kernel.shape
    groups, ones = params["feature_group_count"], (1,)
    places = list(_slices(
        left, (1, *window, 1), (1, *params["window_strides"], 1), ((0, 0), *params["padding"], (0, 0)),
        ones + params["lhs_dilation"] + ones, ones + params["rhs_dilation"] + ones, 0))
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
    least = -jnp.inf if jnp.issubdtype(array.dtype, jnp.floating) else jnp.iinfo(array.dtype).min
    found, *others = _pooled(equation, array, least)
    for each in others:
        found = jnp.where((each > found) | (each != each), each, found)
    return found


def _sum(equation: Any, array: jax.Array) -> jax.Array:
    return functools.reduce(jnp.add, _pooled(equation, array, 0))


def _pooled(equation: Any, array: jax.Array, fill: float) -> Iterator[jax.Array]:
    """What the windows of a pool hold at each of their places.

    Where they lie side by side, each axis is cut in two, which window and where in it: a half to all of the time.
    """
    params, counts = equation.params, equation.outvars[0].aval.shape
    window, strides = params["window_dimensions"], params["window_strides"]
    padding, spread, apart = params["padding"], params["base_dilation"], params["window_dilation"]
    if strides != window or set(apart) != {1}:
        yield from _slices(array, window, strides, padding, spread, apart, fill)
        return
    rest = [count * size - before - (length - 1) * step - 1 for count, size, (before, _), length, step in zip(
        counts, window, padding, array.shape, spread, strict=True)]  # what the last window lacks, or what is left over
    whole = _padded(array, [(before, after) for (before, _), after in zip(padding, rest, strict=True)], spread, fill)
    cut = whole.reshape([length for pair in zip(counts, window, strict=True) for length in pair])
    for place in itertools.product(*map(range, window)):
        yield cut[tuple(index for at in place for index in (slice(None), at))]
