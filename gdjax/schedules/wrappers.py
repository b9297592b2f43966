"""Schedules made of another schedule, or of a function of your own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import jax

from gdjax.schedules.registry import get
from gdjax.schedules.schedule import Schedule


def warmup(schedule: Schedule | str, share: float = 0.1) -> Schedule:
    """Linear warm-up over `share` of the horizon, then the schedule over the rest.

    The factor of step s is min((s + 1)/(warm-up steps), 1) times the schedule's (Goyal et al. 2017, arXiv 1706.02677,
    2.2).

    >>> gdjax.schedules.warmup("cosine", share=0.1).label
    'cosine(warmup=0.1)'
    """
    return replace(get(schedule), warmup=share)


def custom(function: Callable[[jax.Array], jax.Array], name: str | None = None) -> Schedule:
    """A schedule of your own: `function(t) -> factor` with t in [0, 1], written with jax.numpy.

    >>> gdjax.schedules.custom(lambda t: 1 - t**2, name="dome").label
    'dome'
    """
    if not callable(function):
        raise TypeError(f"schedule: function: must be callable, t -> factor (got {function!r}). "
                        "Give one such as lambda t: 1 - t.")
    own_name: str = getattr(function, "__name__", "custom")
    return Schedule(name or own_name, _Custom(function))


@dataclass(frozen=True)
class _Custom:
    """A user's t -> factor as a formula; two schedules with the same function are the same kind."""

    function: Callable[[jax.Array], jax.Array]

    def __call__(self, t: jax.Array, shape: jax.Array) -> jax.Array:
        return self.function(t)
