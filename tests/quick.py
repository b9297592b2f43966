"""How tests compile: quickly, in their own process and in those they start; as users get it where that is the matter.

Compiling is most of what the tests take. XLA's older emitters and no optimisation by LLVM make it three to four times
as fast, and what comes out slower. Tests that compare bits of programs of different widths, that follow a closed form,
or that run every problem, the README and the examples, use the fixture `as_shipped`. COMPILED=as-shipped make test
compiles everything so.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

SHIPPED = {"xla_backend_optimization_level": 3, "xla_llvm_disable_expensive_passes": False,
           "xla_cpu_use_fusion_emitters": True}  # what XLA does by itself
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True,
         "xla_cpu_use_fusion_emitters": False}
FLAGS = " ".join(f"--{name}={str(value).lower()}" for name, value in QUICK.items())


def compile_quickly() -> None:
    """For this process, before it has compiled anything, and for those it starts; on a GPU as users get it."""
    flags = os.environ.get("XLA_FLAGS", "")
    wanted = os.environ.get("JAX_PLATFORMS") == "cpu" and os.environ.get("COMPILED") != "as-shipped"
    if wanted and FLAGS not in flags:
        os.environ["XLA_FLAGS"] = f"{FLAGS} {flags}".strip()


@contextmanager
def programs_as_shipped() -> Iterator[None]:
    """Programs of gdjax compile as users get them within, and are kept apart from those that were compiled quickly."""
    from gdjax import xla
    from gdjax.engine import placement

    left_open, context = xla._left_open, placement.context

    def shipped(asked: dict[str, str | bool]) -> dict[str, object] | None:
        return None if left_open(asked) is None else {**SHIPPED, **asked}

    with (mock.patch("gdjax.xla._left_open", shipped),
          mock.patch("gdjax.engine.placement.context", lambda: (*context(), "as shipped"))):
        yield
