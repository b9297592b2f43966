"""Fixtures that library tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture
def x64() -> Iterator[None]:
    """JAX's x64 mode, on for one test."""
    import jax

    with jax.enable_x64(True):
        yield
