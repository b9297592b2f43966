"""Learning-rate schedules: time through the budget -> factor on the rate, one function each.

Time t runs from 0 to 1 over the horizon (a share of the budget; 1 = all of it) and stays at 1 after it, so that the
rate keeps its last value. With `.in_epochs()` t counts epochs instead, and does not stop. Everything but the formula
is lane data: a new number compiles nothing.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.names import closest

Formula = Callable[[jax.Array, jax.Array], jax.Array]
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
            raise ValueError(f"schedule {self.name}: unit: must be one of {UNITS} (got {self.unit!r}).")
        longest = 1.0 if self.unit == "budget" else math.inf
        if not 0 < self.horizon <= longest or not math.isfinite(self.horizon):
            raise ValueError(f"schedule {self.name}: horizon: must be in (0, {longest}] for unit {self.unit!r} "
                             f"(got {self.horizon}). It is where the decay is complete.")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"schedule {self.name}: warmup: must be in [0, 1), a share of the horizon "
                             f"(got {self.warmup}).")
        if len(self.shape) > SHAPE_SIZE:
            raise ValueError(f"schedule {self.name}: shape: at most {SHAPE_SIZE} numbers (got {len(self.shape)}).")

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


def constant() -> Schedule:
    """Constant rate: factor 1. Unit: none.

    >>> gdjax.schedules.constant().label
    'constant'
    """
    return Schedule("constant", _constant)


def exponential(decay: float = 5.0) -> Schedule:
    """Exponential decay, smooth: e^(−decay·t), decay ≥ 0 per horizon (η₀e^(−kt), k = decay/T).

    >>> gdjax.schedules.exponential(decay=3.0).label
    'exponential(decay=3)'
    """
    return _make(exponential, _exponential, decay=_at_least(0, decay=decay))


def staircase(factor: float = 0.5, every: float = 0.1) -> Schedule:
    """Exponential decay in stairs: factor^⌊t/every⌋, `every` a share of the horizon (η₀γ^⌊t/s⌋).

    >>> gdjax.schedules.staircase(factor=0.5, every=0.25).label
    'staircase(every=0.25)'
    """
    return _make(staircase, _staircase, factor=_between(factor=factor), every=_between(every=every))


def linear(end: float = 0.0) -> Schedule:
    """Linear decay: 1 − (1 − end)·t, ending at `end` of the rate (η₀ − (t/T)Δη).

    >>> gdjax.schedules.linear(end=0.1).label
    'linear(end=0.1)'
    """
    return _make(linear, _linear, end=_at_least(0, end=end))


def inverse_time(decay: float = 10.0) -> Schedule:
    """Inverse-time decay: 1/(1 + decay·t), decay ≥ 0 per horizon (a/(t + b) with b = T/decay, a = η₀b).

    >>> gdjax.schedules.inverse_time(decay=20.0).label
    'inverse_time(decay=20)'
    """
    return _make(inverse_time, _inverse_time, decay=_at_least(0, decay=decay))


def inverse_sqrt(decay: float = 100.0) -> Schedule:
    """Inverse square root: 1/√(1 + decay·t), decay ≥ 0 per horizon.

    >>> gdjax.schedules.inverse_sqrt().label
    'inverse_sqrt'
    """
    return _make(inverse_sqrt, _inverse_sqrt, decay=_at_least(0, decay=decay))


def polynomial(power: float = 2.0, end: float = 0.0) -> Schedule:
    """Polynomial decay: end + (1 − end)·(1 − t)^power, t at most 1.

    >>> gdjax.schedules.polynomial(power=3.0).label
    'polynomial(power=3)'
    """
    return _make(polynomial, _polynomial, power=_at_least(0, power=power), end=_at_least(0, end=end))


def cosine(end: float = 0.0) -> Schedule:
    """Cosine decay: end + (1 − end)·(1 + cos πt)/2, t at most 1 (Loshchilov & Hutter 2017, arXiv 1608.03983, eq. 5).

    >>> gdjax.schedules.cosine().label
    'cosine'
    """
    return _make(cosine, _cosine, end=_at_least(0, end=end))


def step(factor: float = 0.1, at: float = 0.5) -> Schedule:
    """One step down: 1 before t = at, `factor` from there on.

    >>> gdjax.schedules.step(factor=0.1, at=0.75).label
    'step(at=0.75)'
    """
    return _make(step, _step, factor=_between(factor=factor), at=_between(at=at))


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
        raise TypeError(f"schedule: function: must be callable, t -> factor (got {function!r}).")
    own_name: str = getattr(function, "__name__", "custom")
    return Schedule(name or own_name, _Custom(function))


def names() -> list[str]:
    """Names of all shipped schedules."""
    return list(KINDS)


def get(schedule: Schedule | str) -> Schedule:
    """A schedule by name with its default numbers, or the schedule itself.

    Unknown names raise with the closest one.
    """
    if isinstance(schedule, Schedule):
        return schedule
    if not isinstance(schedule, str):
        raise TypeError(f"schedules: must be names or schedules (got {schedule!r}). Names: {', '.join(KINDS)}; "
                        "wrap a function with gdjax.schedules.custom.")
    if schedule not in KINDS:
        raise ValueError(closest("schedules", schedule, KINDS))
    return KINDS[schedule]()


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


@functools.partial(jax.jit, static_argnums=0)
def _factors(formula: Formula, steps: jax.Array, numbers: jax.Array) -> jax.Array:
    horizon, last, rise, *shape = numbers
    t = time(steps, horizon, last, rise)
    factors = jax.vmap(lambda one: jnp.asarray(formula(one, jnp.stack(shape)), jnp.float32))(t)
    return factors * rise_factor(steps, rise)


def rise_factor(step: jax.Array, warmup_steps: jax.Array) -> jax.Array:
    """Warm-up factor of a step: (step + 1)/warm-up steps, at most 1; 1 without a warm-up."""
    return jnp.minimum((step + 1) / jnp.maximum(warmup_steps, 1e-9), 1.0)


def pad_shape(schedule: Schedule) -> np.ndarray:
    """The schedule's numbers padded to the common length, (4,)."""
    return np.array([*schedule.shape, *[0.0] * (SHAPE_SIZE - len(schedule.shape))])


@dataclass(frozen=True)
class _Custom:
    """A user's t -> factor as a formula; two schedules with the same function are the same kind."""

    function: Callable[[jax.Array], jax.Array]

    def __call__(self, t: jax.Array, shape: jax.Array) -> jax.Array:
        return self.function(t)


def _constant(t: jax.Array, shape: jax.Array) -> jax.Array:
    return jnp.ones_like(t)


def _exponential(t: jax.Array, shape: jax.Array) -> jax.Array:
    return jnp.exp(-shape[0] * t)


def _staircase(t: jax.Array, shape: jax.Array) -> jax.Array:
    # float32 cannot hold t/every exactly: the nudge keeps step 25 of 100 with every=0.25 on the stair it starts
    return shape[0] ** jnp.floor(t / shape[1] + 1e-5)


def _linear(t: jax.Array, shape: jax.Array) -> jax.Array:
    return 1 - (1 - shape[0]) * jnp.minimum(t, 1)


def _inverse_time(t: jax.Array, shape: jax.Array) -> jax.Array:
    return 1 / (1 + shape[0] * t)


def _inverse_sqrt(t: jax.Array, shape: jax.Array) -> jax.Array:
    return jax.lax.rsqrt(1 + shape[0] * t)


def _polynomial(t: jax.Array, shape: jax.Array) -> jax.Array:
    return shape[1] + (1 - shape[1]) * (1 - jnp.minimum(t, 1)) ** shape[0]


def _cosine(t: jax.Array, shape: jax.Array) -> jax.Array:
    return shape[0] + (1 - shape[0]) * 0.5 * (1 + jnp.cos(jnp.pi * jnp.minimum(t, 1)))


def _step(t: jax.Array, shape: jax.Array) -> jax.Array:
    return jnp.where(t < shape[1] - 1e-6, 1.0, shape[0])


KINDS: dict[str, Callable[[], Schedule]] = {
    maker.__name__: maker
    for maker in (constant, exponential, staircase, linear, inverse_time, inverse_sqrt, polynomial, cosine, step)
}


def _make(maker: Callable[..., Schedule], formula: Formula, **numbers: float) -> Schedule:
    defaults = {name: parameter.default for name, parameter in inspect.signature(maker).parameters.items()}
    detail = ", ".join(f"{name}={value:g}" for name, value in numbers.items() if value != defaults[name])
    return Schedule(maker.__name__, formula, tuple(float(value) for value in numbers.values()), detail=detail)


def _at_least(low: float, **named: float) -> float:
    (name, value), = named.items()
    if not (isinstance(value, int | float) and math.isfinite(value) and value >= low):
        raise ValueError(f"schedules: {name}: must be a finite number of at least {low} (got {value!r}).")
    return value


def _between(**named: float) -> float:
    (name, value), = named.items()
    if not (isinstance(value, int | float) and 0 < value <= 1):
        raise ValueError(f"schedules: {name}: must be a number in (0, 1] (got {value!r}).")
    return value
