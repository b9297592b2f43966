"""Eigenvalues and eigenvectors of symmetric matrices, of many lanes too."""

from __future__ import annotations

import jax
import jax.numpy as jnp

Pair = tuple[jax.Array, jax.Array]


@jax.custom_batching.custom_vmap
def eigh(matrix: jax.Array) -> Pair:
    """Eigenvalues, ascending, (n,), and eigenvectors, the columns of (n, n), of a symmetric (n, n) matrix.

    Of many matrices, one after another on a CPU: jaxlib hands LAPACK's batches to the threads that run programs, and
    waits there for them. Two programs at once, as a call with many lanes has, then wait for each other for ever.

    Example:
        >>> import jax.numpy as jnp
        >>> from gdjax.eigen import eigh
        >>> eigh(jnp.diag(jnp.array([3.0, 1.0])))[0].tolist()
        [1.0, 3.0]
    """
    values, vectors = jnp.linalg.eigh(matrix)
    return values, vectors


@eigh.def_vmap
def _many(size: int, batched: list[bool], matrices: jax.Array) -> tuple[Pair, tuple[bool, bool]]:
    """The rule for one more axis in front."""
    found = jax.lax.map(eigh, matrices) if jax.default_backend() == "cpu" else tuple(jnp.linalg.eigh(matrices))
    return found, (True, True)
