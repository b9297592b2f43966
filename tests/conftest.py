"""Fixtures that all tests share, and how they compile."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.quick import compile_quickly, programs_as_shipped

compile_quickly()


@pytest.fixture
def x64() -> Iterator[None]:
    """JAX's x64 mode, on for one test."""
    import jax

    with jax.enable_x64(True):
        yield


@pytest.fixture
def as_shipped(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Programs are compiled as users get them, in processes that the test starts too."""
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    with programs_as_shipped():
        yield
