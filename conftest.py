"""What every example in a docstring may use without importing it."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _names_of_examples(request: pytest.FixtureRequest, doctest_namespace: dict[str, object]) -> None:
    if type(request.node).__name__ != "DoctestItem":  # tests import what they need, and some need jax not imported
        return
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax

    import gdjax

    doctest_namespace.update(gdjax=gdjax, jax=jax, jnp=jnp, np=np, optax=optax)
