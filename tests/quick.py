"""Programs that are compiled in a third of the time or less, for tests whose numbers need not come fast."""

from __future__ import annotations

import functools

import jax

QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
quick_jit = functools.partial(jax.jit, compiler_options=QUICK)
