"""What is slow to make and only read afterwards: made once, whichever process of the tests asks first."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import filelock
import pytest


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The file or folder `name` that `make` makes; a second process waits for the first and then makes nothing."""
    base = factory.getbasetemp()
    place = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with filelock.FileLock(place / f"{name}.lock"):
        if not (place / name).exists():
            making = place / f"making-{name}"  # what breaks off half-way is not taken for the whole
            make(making)
            making.rename(place / name)
    return place / name
