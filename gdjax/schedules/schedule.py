"""A schedule as a value: formula, numbers, horizon, warm-up; and its time and factor as the engine computes them.

Time t runs from 0 to 1 over the horizon (a share of the budget; 1 = all of it) and stays at 1 after it, so that the
rate keeps its last value. With `.in_epochs()` t counts epochs instead, and does not stop. Everything but the formula,
and whether there is a warm-up, is lane data: a new number compiles nothing.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.scalars import is_real

Formula = Callable[[jax.Array, jax.Array], jax.Array]
LARGEST = 1e30  # so that products of a few numbers stay within float32
SHAPE_SIZE = 4  # numbers a formula may take: wide enough for every kind, and lanes of all kinds share one array
UNITS = ("budget", "epochs")


@dataclass(frozen=True)
class Schedule:
    """A schedule: rate(step) = rate · warm-up · formula(t, shape).

    t = (step − warm-up) / (horizon − warm-up), clipped to [0, 1] in unit "budget" and to [0, ∞) in unit "epochs".

    Args:
        name: the kind, "inverse_time".
        formula: `formula(t, shape) -> factor`, t a scalar and shape (4,), written with jax.numpy.
        shape: the numbers the formula takes.
        horizon: where t is 1: a share of the budget in (0, 1], or epochs.
        unit: "budget" or "epochs".
        warmup: share of the horizon over which the rate climbs linearly from 0 first.
        detail: the arguments as text, for the label.

    Raises:
        ValueError: horizon, unit, warm-up or shape out of range.
    """

    name: str
    formula: Formula
    shape: tuple[float, ...] = ()
    horizon: float = 1.0
    unit: str = "budget"
    warmup: float = 0.0
    detail: str = ""

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise ValueError(f"schedule {self.name}: unit: must be one of {UNITS} (got {self.unit!r}). "
                             "in_epochs() sets the second.")
        longest = 1.0 if self.unit == "budget" else math.inf
        if not (is_real(self.horizon) and 0 < self.horizon <= longest and math.isfinite(self.horizon)):
            raise ValueError(f"schedule {self.name}: horizon: must be in (0, {longest}] for unit {self.unit!r} "
                             f"(got {self.horizon!r}). It is where the decay is complete.")
        if not (is_real(self.warmup) and 0 <= self.warmup < 1):
            raise ValueError(f"schedule {self.name}: warmup: must be in [0, 1), a share of the horizon "
                             f"(got {self.warmup!r}). 0.1 climbs over its first tenth.")
        if len(self.shape) > SHAPE_SIZE:
            raise ValueError(f"schedule {self.name}: shape: at most {SHAPE_SIZE} numbers (got {len(self.shape)}). "
                             "Write the others into the formula.")
        if not all(is_real(number) and abs(number) <= LARGEST for number in (self.horizon, *self.shape)):
            raise ValueError(f"schedule {self.name}: its numbers must be at most {LARGEST:g}, or float32 overflows "
                             f"(got {(self.horizon, *self.shape)}). Have the formula multiply them.")

    @property
    def label(self) -> str:
        """The schedule in words: its name, its arguments where they are not the defaults, horizon, unit and warm-up."""
        parts = [self.detail] if self.detail else []
        parts += [f"horizon={self.horizon:g}"] if (self.horizon, self.unit) != (1.0, "budget") else []
        parts += ["unit=epochs"] if self.unit == "epochs" else []
        parts += [f"warmup={self.warmup:g}"] if self.warmup else []
        return f"{self.name}({', '.join(parts)})" if parts else self.name

    def over(self, horizon: float) -> Schedule:
        """The same schedule, complete after `horizon` (a share of the budget, or epochs)."""
        return replace(self, horizon=horizon)

    def in_epochs(self, horizon: float = 1.0) -> Schedule:
        """The same schedule with t counted in units of `horizon` epochs, whatever the budget."""
        return replace(self, unit="epochs", horizon=horizon)

    def horizon_steps(self, max_steps: int, steps_per_epoch: float) -> float:
        """The horizon in steps: of the budget, or of so many epochs."""
        return self.horizon * (max_steps if self.unit == "budget" else steps_per_epoch)


def time(step: jax.Array, horizon: jax.Array, last: jax.Array, warmup_steps: jax.Array) -> jax.Array:
    """Time t of a schedule at a step: (step − warm-up)/(horizon − warm-up) in [0, last]; in steps, `last` 1 or ∞."""
    return jnp.clip((step - warmup_steps) / (horizon - warmup_steps), 0.0, last)


def factor(formulas: tuple[Formula, ...], kind: jax.Array, t: jax.Array, shape: jax.Array) -> jax.Array:
    """Factor of the lane's kind.

    Every formula of the program is evaluated and one is selected (no branches under vmap).
    """
    factors = [jnp.asarray(formula(t, shape), t.dtype) for formula in formulas]
    chosen = factors[0]
    for index, value in enumerate(factors[1:], start=1):
        chosen = jnp.where(kind == index, value, chosen)
    return chosen


def evaluate(schedule: Schedule, steps: np.ndarray, max_steps: int, steps_per_epoch: float) -> np.ndarray:
    """Factors at the given steps, (steps,), as the engine computes them.

    >>> gdjax.schedules.evaluate(gdjax.schedules.linear(), np.array([0, 5, 10]), 10, 1.0).tolist()
    [1.0, 0.5, 0.0]
    """
    horizon = schedule.horizon_steps(max_steps, steps_per_epoch)
    last = 1.0 if schedule.unit == "budget" else math.inf
    numbers = np.array([horizon, last, schedule.warmup * horizon, *pad_shape(schedule)], np.float32)
    return np.asarray(_factors(schedule.formula, np.asarray(steps, np.float32), numbers))


def rise_factor(step: jax.Array, warmup_steps: jax.Array) -> jax.Array:
    """Warm-up factor of a step: (step + 1)/warm-up steps, at most 1; 1 without a warm-up."""
    return jnp.minimum((step + 1) / jnp.maximum(warmup_steps, 1e-9), 1.0)


def periods_done(place: jax.Array) -> jax.Array:
    """Whole periods gone by at a place counted in periods, for stairs and cycles: ⌊place⌋ but for float32's roundings.

    The step that begins a period may come out a few roundings early, step 25 of 100 in periods of a quarter as
    0.99999994; the nudge is above them and, up to 100,000 steps, below a step.
    """
    return jnp.floor(place * (1 + 1e-6) + 1e-6)


def pad_shape(schedule: Schedule) -> np.ndarray:
    """The schedule's numbers padded to the common length, (4,)."""
    return np.array([*schedule.shape, *[0.0] * (SHAPE_SIZE - len(schedule.shape))])


@functools.partial(jax.jit, static_argnums=0)
def _factors(formula: Formula, steps: jax.Array, numbers: jax.Array) -> jax.Array:
    horizon, last, rise, *shape = numbers
    t = time(steps, horizon, last, rise)
    factors = jax.vmap(lambda one: jnp.asarray(formula(one, jnp.stack(shape)), jnp.float32))(t)
    return factors * rise_factor(steps, rise)
