"""A function evaluated operation by operation, some of them written otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

Apply = Callable[[Any, list[Any]], Sequence[Any]]
"""An equation of a jaxpr and the values it is applied to -> its results."""


def rewritten(
    function: Callable[..., Any], apply: Apply, finish: Callable[[Any], Any] = lambda value: value
) -> Callable[..., Any]:
    """A function whose every operation is done by `apply`; arguments and results are pytrees of arrays.

    Args:
        finish: what makes an array of a result, if `apply` holds values in another form.
    """
    def evaluated(*arguments: Any) -> Any:
        closed, shape = jax.make_jaxpr(function, return_shape=True)(*arguments)
        found = evaluate(closed.jaxpr, closed.consts, jax.tree.leaves(arguments), apply)
        return jax.tree.unflatten(jax.tree.structure(shape), map(finish, found))

    return evaluated


def evaluate(jaxpr: Jaxpr, consts: Sequence[Any], arguments: Sequence[Any], apply: Apply) -> list[Any]:
    """Results of a jaxpr."""
    known: dict[Any, Any] = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *arguments], strict=True))

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, Literal) else known[atom]

    for equation in jaxpr.eqns:
        found = apply(equation, [read(atom) for atom in equation.invars])
        known.update(zip(equation.outvars, found, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def bind(equation: Any, values: Sequence[jax.Array]) -> list[jax.Array]:
    """The operation as it is, with the settings of JAX that were on where it was traced."""
    with equation.ctx.manager:
        found = equation.primitive.bind(*values, **equation.primitive.get_bind_params(equation.params))
    return list(found) if equation.primitive.multiple_results else [found]


def programs(equation: Any) -> Iterator[Jaxpr]:
    """What an equation runs itself: the programs of a loop, a branch, a call."""
    for param in jax.tree.leaves(list(equation.params.values())):
        if isinstance(param, ClosedJaxpr):
            yield param.jaxpr
        elif isinstance(param, Jaxpr):
            yield param


def anywhere(
    equation: Any, holds: Callable[[Any], bool], closed: Callable[[str], bool] = lambda name: False
) -> bool:
    """Whether something holds for an equation, or for one of the programs that it runs itself.

    Args:
        closed: names of operations into whose programs nobody looks.
    """
    if holds(equation):
        return True
    return not closed(equation.primitive.name) and any(
        anywhere(each, holds, closed) for inner in programs(equation) for each in inner.eqns)


def again(params: dict[str, Any], apply: Apply) -> dict[str, Any]:
    """Parameters of an equation with every operation of its own programs done by `apply`."""
    return jax.tree.map(lambda param: _program_again(param, apply), params)


def _program_again(param: Any, apply: Apply) -> Any:
    if not isinstance(param, ClosedJaxpr | Jaxpr):
        return param
    closed = param if isinstance(param, ClosedJaxpr) else ClosedJaxpr(param, ())
    like = [jax.ShapeDtypeStruct(each.shape, each.dtype, weak_type=each.weak_type) for each in closed.in_avals]
    traced = jax.make_jaxpr(lambda *values: evaluate(closed.jaxpr, closed.consts, values, apply))(*like)
    assert closed is param or not traced.consts, "what operations are written as makes no arrays of its own"
    return traced if closed is param else traced.jaxpr
