"""Programs that are compiled in a third of the time or less, for tests whose numbers need not come fast."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from unittest import mock

import jax

QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
quick_jit = functools.partial(jax.jit, compiler_options=QUICK)
FLAGS = " ".join(f"--{name}={str(value).lower()}" for name, value in QUICK.items())  # the same for a whole process


def programs_quickly() -> AbstractContextManager[object]:
    """Programs of gdjax compile like that within; they are kept with their problems, so only for a test's own ones."""
    return mock.patch("gdjax.xla._left_open", return_value=QUICK)


def compiled_quickly(make: Callable[[Path], None]) -> Callable[[Path], None]:
    """A function whose processes compile like that."""
    return mock.patch.dict(os.environ, {"XLA_FLAGS": FLAGS})(make)
