"""Matrices decomposed and solved one after another on a CPU, where `vmap` would hand LAPACK a batch of them.

jaxlib cuts a batch into tasks for the threads that run programs, and waits for the tasks on one of these threads. Where
two programs run side by side, or one decomposes two batches at once, they wait for each other for ever. A call with one
matrix is done at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax

from gdjax.rewriting import again, anywhere, bind, rewritten

# axes of one problem's first operand; those in front of it are the batch
AXES = dict.fromkeys((
    "cholesky", "eig", "eigh", "geqp3", "geqrf", "hessenberg", "householder_product", "lu", "ormqr", "qr", "schur",
    "svd", "triangular_solve", "tridiagonal"), 2) | {"tridiagonal_solve": 1}


def one_by_one(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function, vmapped as it may be, that gives LAPACK one matrix at a time; with the same results.

    For the outermost function of a program, or of what `jax.shard_map` runs. Arguments and results are pytrees of
    arrays. On a GPU batches stay.

    Example:
        >>> import jax.numpy as jnp
        >>> from gdjax.lapack import one_by_one
        >>> many = one_by_one(jax.vmap(jnp.linalg.cholesky))
        >>> many(4 * jnp.ones((2, 1, 1))).ravel().tolist()
        [2.0, 2.0]
    """
    every = rewritten(function, _apply)

    def called(*arguments: Any) -> Any:
        return (every if jax.default_backend() == "cpu" else function)(*arguments)

    called.__name__ = getattr(getattr(function, "func", function), "__name__", "called")  # XLA's name for the program
    return called


def _apply(equation: Any, values: list[Any]) -> Sequence[Any]:
    if _batch(equation):
        return _each(equation, values)
    if anywhere(equation, lambda each: bool(_batch(each))):
        equation = equation.replace(params=again(equation.params, _apply))
    return bind(equation, values)


def _batch(equation: Any) -> tuple[int, ...]:
    """Shape of the batch that an equation hands LAPACK, () where it is one matrix or something else."""
    axes = AXES.get(equation.primitive.name)
    return () if axes is None else equation.invars[0].aval.shape[:-axes]


def _each(equation: Any, values: list[jax.Array]) -> list[jax.Array]:
    """Results of a batch by a loop over its problems."""
    batch = _batch(equation)
    found = jax.lax.map(lambda one: tuple(bind(equation, one)),
                        tuple(value.reshape(-1, *value.shape[len(batch):]) for value in values))
    return [value.reshape(*batch, *value.shape[1:]) for value in found]
