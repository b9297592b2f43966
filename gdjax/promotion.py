"""JAX's rules of promotion where gdjax and optax compute, whatever the caller has set for code of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import jax


@contextmanager
def usual_promotion() -> Iterator[None]:
    """Ranks and dtypes promote as they do by default: optax's Adam raises a number to the power of a count, say.

    A loss is looked at under the caller's rules before (`preflight`), and then computed under these, which give what
    those give where they do not refuse: inside a program the two cannot be told apart, since `vmap` traces a loss and
    a step together.

    >>> import jax.numpy as jnp
    >>> with jax.numpy_rank_promotion("raise"), usual_promotion():
    ...     (jnp.ones((2, 3)) + jnp.ones(3)).shape
    (2, 3)
    """
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield
