"""What XLA's CPU compiler is asked for, by what it compiles."""

from __future__ import annotations

import functools
import os

import jax

Options = dict[str, str | bool]
WIDE: Options = {"xla_cpu_prefer_vector_width": "512"}  # where a CPU has such: 5 to 25 % less time
# With data LLVM's third level unrolls short loops over a batch, whose exponentials then come one by one: the second
# took 0.65 to 0.95 of the time. Without data it is the other way: 1.8 times in a valley.
ROLLED: Options = {"xla_backend_optimization_level": "2"}
# YNNPACK for products alone: it is called for each reduction too, and what that reads must be in memory. Without, full
# batches and scores took 0.75 to 0.9 of the time.
PRODUCTS: Options = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"}
# Random numbers are long chains of shifts and sums: of the first level they took as long, and to compile 0.1 to 0.7.
CHAINS: Options = {"xla_backend_optimization_level": "1"}


def options_for_losses(of_examples: bool) -> Options | None:
    """Where a loss is compiled, of examples or without data."""
    asked = WIDE | ROLLED if of_examples else WIDE
    return _left_open(asked | PRODUCTS if of_examples and _known(*PRODUCTS.items()) else asked)


def options_for_draws() -> Options | None:
    """Where random numbers are drawn."""
    return _left_open(CHAINS)


def _left_open(asked: Options) -> Options | None:
    """The options that the user's own XLA_FLAGS do not name; None where another compiler compiles."""
    if jax.default_backend() != "cpu":
        return None
    flags = os.environ.get("XLA_FLAGS", "")
    return {name: value for name, value in asked.items() if f"--{name}=" not in flags}


@functools.cache
def _known(*options: tuple[str, str | bool]) -> bool:
    """Whether this XLA has the options: what is experimental comes and goes."""
    try:
        jax.jit(lambda: 0).lower().compile(dict(options))
    except jax.errors.JaxRuntimeError:
        return False
    return True
