"""JAX's usual rules of promotion where gdjax computes, whatever the caller has set for code of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import jax


@contextmanager
def usual_promotion() -> Iterator[None]:
    """Ranks and dtypes promote as they do by default: optax's Adam raises a number to the power of a count, say.

    The caller's loss is traced under these rules too: inside a program `vmap` traces it together with a step. Where
    stricter ones do not refuse, they give the same.

    >>> import jax.numpy as jnp
    >>> with jax.numpy_rank_promotion("raise"), usual_promotion():
    ...     (jnp.ones((2, 3)) + jnp.ones(3)).shape
    (2, 3)
    """
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield
