"""What every example in a docstring may use without importing it, and which are left out where a peer is missing."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

collect_ignore = [] if find_spec("torch") else ["bench/peers/by_hand.py", "bench/peers/digits_torch.py"]


def pytest_report_header() -> list[str]:
    """Say what is left out, and why."""
    return [f"not looked at for examples: {name} imports torch, which is not installed (make peers installs it)"
            for name in collect_ignore]


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
