"""What every example in a docstring may use without importing it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

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


@pytest.fixture(autouse=True)
def _openml_of_examples(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """OpenML for the examples that load from it: a stand-in on loopback, and a cache that is thrown away."""
    if type(request.node).__name__ != "DoctestItem" or "openml" not in request.node.name:
        yield
        return
    from tests import openml_stand_in

    folder: Path = request.getfixturevalue("tmp_path")
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(folder))
    with openml_stand_in.openml(openml_stand_in.iris()):
        yield
