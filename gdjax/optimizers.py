"""The optimizers by name: functions rate -> optax.GradientTransformation, built inside the trace from a traced rate.

An optimizer here is anything optax calls by one learning rate: `optax.sgd` itself, or
`lambda rate: optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))`. Because the rate of the step is an array
when the transformation is built, a new rate or schedule compiles nothing (optax issue 577).
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import optax

from gdjax.names import closest

Optimizer = Callable[[jax.Array], optax.GradientTransformation]

OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": optax.sgd,
    "momentum": functools.partial(optax.sgd, momentum=0.9),
    "nesterov": functools.partial(optax.sgd, momentum=0.9, nesterov=True),
    "adam": optax.adam,
    "adamw": optax.adamw,
    "rmsprop": optax.rmsprop,
    "adagrad": optax.adagrad,
    "adadelta": optax.adadelta,
    "lion": optax.lion,
}


def names() -> list[str]:
    """Names of the optimizers that suites and the front doors know.

    >>> gdjax.optimizers.names()[:2]
    ['sgd', 'momentum']
    """
    return list(OPTIMIZERS)


def get(optimizer: Optimizer | str) -> Optimizer:
    """An optimizer by name, or the function itself; unknown names raise ValueError with the closest one.

    >>> gdjax.optimizers.get("adam") is optax.adam
    True
    """
    if callable(optimizer):
        return optimizer
    if not isinstance(optimizer, str):
        raise TypeError(f"optimizer: must be a name or a function rate -> optax transformation (got {optimizer!r}). "
                        "Pass optax.sgd, not optax.sgd(0.1): the rate comes from `rates`.")
    if optimizer not in OPTIMIZERS:
        raise ValueError(closest("optimizer", optimizer, OPTIMIZERS))
    return OPTIMIZERS[optimizer]


def name_of(optimizer: Optimizer) -> str:
    """What tables call an optimizer: its registered name, or the function's own.

    >>> gdjax.optimizers.name_of(functools.partial(optax.sgd, momentum=0.5))
    'sgd(momentum=0.5)'
    """
    for name, known in OPTIMIZERS.items():
        if known is optimizer:
            return name
    if isinstance(optimizer, functools.partial):
        given = [f"{name}={value}" for name, value in optimizer.keywords.items()
                 if isinstance(value, int | float | str)]
        return f"{name_of(optimizer.func)}({', '.join(given)})"
    return getattr(optimizer, "__name__", type(optimizer).__name__)
