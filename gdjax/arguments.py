"""Arguments of the front doors, checked before anything is traced: what was expected, what came, what to do."""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from gdjax import optimizers
from gdjax import schedules as schedule_table
from gdjax.lanes import Setting
from gdjax.names import closest
from gdjax.optimizers import Optimizer
from gdjax.problem import Problem, PyTree
from gdjax.schedules import Schedule

LAST_KEY = 2**32


def positive_int(field: str, value: object, unit: str) -> int:
    """A whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{field}: must be a whole number of {unit} (got {value!r}).")
    if value < 1:
        raise ValueError(f"{field}: must be at least 1 {unit} (got {value}).")
    return int(value)


def batch_size(problem: Problem, value: object) -> int:
    """A batch size between 1 and the number of examples."""
    size = positive_int("batch_size", value, "examples")
    if size > problem.examples:
        raise ValueError(f"batch_size: problem {problem.name!r} has {problem.examples} examples (got {size}). "
                         f"Use at most {problem.examples}, or gdjax.bgd for all of them.")
    return size


def key(value: int | jax.Array) -> jax.Array:
    """A JAX key from a seed in [0, 2³²) or a key."""
    if isinstance(value, jax.Array):
        if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            return value
        if value.dtype == jnp.uint32 and value.shape == (2,):
            return jax.random.wrap_key_data(value)
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"key: must be a whole number or a JAX key (got {value!r}).")
    if not 0 <= value < LAST_KEY:
        raise ValueError(f"key: must be in [0, 2**32) (got {value}). Larger seeds repeat smaller ones without x64.")
    return jax.random.key(np.uint32(value))


def budget(problem: Problem, size: int, max_epochs: object, max_steps: object) -> int:
    """Budget in steps: the smaller of max_steps and max_epochs · n/B, rounded up."""
    if max_epochs is None and max_steps is None:
        raise ValueError("max_epochs, max_steps: at least one is required (got neither). Give the budget of a lane.")
    found = []
    if max_epochs is not None:
        if isinstance(max_epochs, bool) or not isinstance(max_epochs, numbers.Real):
            raise TypeError(f"max_epochs: must be a number of epochs (got {max_epochs!r}).")
        if not (math.isfinite(max_epochs) and max_epochs > 0):
            raise ValueError(f"max_epochs: must be above 0 and finite (got {max_epochs}).")
        found.append(math.ceil(max_epochs * problem.examples / size))
    if max_steps is not None:
        found.append(positive_int("max_steps", max_steps, "steps"))
    if min(found) >= 2**31 - 1:
        raise ValueError(f"max_steps: must be below 2**31 - 1 (got {min(found)}). Steps are counted in 32 bits.")
    return min(found)


def settings(schedules: object, rates: object, given: Sequence[Setting] | None) -> tuple[Setting, ...]:
    """Settings = schedules × rates, schedule-major, or the given ones; duplicates dropped with a warning."""
    if given is not None:
        if rates is not None:
            raise ValueError("settings: give either settings or rates and schedules, not both (got both).")
        found = list(given)
        for setting in found:
            if not isinstance(setting, Setting):
                raise TypeError(f"settings: must be gdjax.Setting(schedule, rate) each (got {setting!r}).")
        found = [Setting(schedule_table.get(setting.schedule), rate(setting.rate)) for setting in found]
    else:
        one = isinstance(schedules, str | Schedule)
        kinds = [schedule_table.get(each) for each in ([schedules] if one else sequence("schedules", schedules))]
        values = [rates] if isinstance(rates, numbers.Real) else sequence("rates", rates)
        found = [Setting(kind, rate(value)) for kind in kinds for value in values]
    if not found:
        raise ValueError("rates, schedules: at least one setting is needed (got none).")
    unique = list(dict.fromkeys(found))
    if len(unique) < len(found):
        warnings.warn(f"rates, schedules: {len(found) - len(unique)} duplicate settings dropped", stacklevel=4)
    return tuple(unique)


def rate(value: object) -> float:
    """A learning rate: finite and above 0."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"rates: must be numbers (got {value!r}).")
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"rates: must be above 0 and finite (got {value}). A schedule multiplies the rate by its factor.")
    return float(value)


def sequence(field: str, value: object) -> list:
    """A list of a sequence or array that is not text; empty ones are refused."""
    if isinstance(value, str | bytes) or not isinstance(value, Sequence | np.ndarray | jax.Array):
        raise TypeError(f"{field}: must be one value or a sequence (got {value!r}).")
    found = value.tolist() if isinstance(value, np.ndarray | jax.Array) else list(value)
    if not found:
        raise ValueError(f"{field}: must not be empty (got {value!r}).")
    return found


def check_schedules(found: Sequence[Setting], max_steps: int, pace: float) -> None:
    """Every schedule over its whole budget: scalar, finite, not negative; the error names the step."""
    steps = np.unique(np.linspace(0, max_steps - 1, min(max_steps, 4096)).round().astype(np.int64))
    for schedule in dict.fromkeys(setting.schedule for setting in found):
        shape = jax.eval_shape(schedule.formula, jnp.float32(0), jnp.zeros(schedule_table.SHAPE_SIZE))
        if not hasattr(shape, "shape") or shape.shape != ():
            raise ValueError(f"schedules: {schedule.label}: must give one factor for one time "
                             f"(got {getattr(shape, 'shape', shape)}). Return a scalar.")
        factors = schedule_table.evaluate(schedule, steps, max_steps, pace)
        bad = ~(np.isfinite(factors) & (factors >= 0))
        if bad.any():
            step, factor = steps[bad.argmax()], factors[bad.argmax()]
            raise ValueError(f"schedules: {schedule.label}: factors must be finite and not negative over the budget of "
                             f"{max_steps} steps (got {factor:g} at step {step}). Change its numbers or its horizon.")


def targets(values: object) -> tuple[float, ...]:
    """Target losses, finite, without repeats, highest first."""
    if isinstance(values, numbers.Real):
        values = (values,)
    found = []
    for value in values if isinstance(values, tuple | list) else sequence("targets", values):
        if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
            raise ValueError(f"targets: must be finite losses (got {value!r}).")
        found.append(float(value))
    return tuple(sorted(set(found), reverse=True))


def at_least_zero(field: str, value: object) -> float:
    """A number of at least 0."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not value >= 0:
        raise ValueError(f"{field}: must be a number of at least 0 (got {value!r}).")
    return float(value)


def choice(field: str, value: object, known: Sequence[str]) -> str:
    """One of the known words."""
    if value not in known:
        raise ValueError(closest(field, str(value), known))
    return str(value)


def starts(problem: Problem, value: object) -> int | PyTree:
    """A number of starts, or parameters with a leading (starts,) axis that fit the problem's own."""
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return positive_int("starts", value, "starts")
    if isinstance(value, bool | float):
        raise TypeError(f"starts: must be a whole number or parameters with a leading axis (got {value!r}).")
    wanted = jax.eval_shape(problem.start, jax.random.key(0))
    tree, given = jax.tree.structure(wanted), jax.tree.structure(value)
    if tree != given:
        raise ValueError(f"starts: parameters must have the problem's tree {tree} (got {given}).")
    counts = {}
    for (path, leaf), want in zip(jax.tree.leaves_with_path(value), jax.tree.leaves(wanted), strict=True):
        name = f"starts{jax.tree_util.keystr(path)}"
        leaf = np.asarray(leaf)
        if leaf.shape[1:] != want.shape or leaf.ndim == 0:
            raise ValueError(f"{name}: must have shape (starts, {', '.join(map(str, want.shape))}) (got {leaf.shape}).")
        if leaf.dtype == np.float64 and want.dtype == np.float32 and problem.dtype == "float64":
            raise ValueError(f"{name}: float64 needs JAX's x64 mode, which is off (got float64).")
        counts[name] = leaf.shape[0]
    if len(set(counts.values())) > 1:
        raise ValueError(f"starts: leaves must share their leading (starts) axis (got {counts}).")
    if 0 in counts.values():
        raise ValueError("starts: at least one start is needed (got a leading axis of 0).")
    return jax.tree.map(lambda leaf, want: np.asarray(leaf, want.dtype), value, wanted)


def preflight(problem: Problem, optimizer: Optimizer | str = "sgd") -> None:
    """Trace a problem's loss and make its optimizer once, so that their errors name the user's function; runs nothing.

    Raises:
        ValueError, TypeError: the loss cannot be traced or is not one real number, parameters are not floats, the optimizer
            does not map a rate to an optax transformation.

    Example:
        >>> gdjax.preflight(gdjax.problems.get("bowl"))
    """
    params = jax.eval_shape(problem.start, jax.random.key(0))
    which = problem.loss if problem.loss is not None else problem.batch_loss
    name = f"problem {problem.name!r}: loss {getattr(which, '__name__', repr(which))!r}"
    try:
        data = problem.device_data()
        example = data if problem.loss is None else jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), data)
        found = jax.eval_shape(which, *((params,) if data is None else (params, example)))
    except Exception as error:  # whatever a user's function raises is reported as the user's
        raise ValueError(f"{name}: cannot be traced by JAX ({type(error).__name__}: {str(error).splitlines()[0]}). "
                         "Write it with jax.numpy, without branches on values.") from error
    if getattr(found, "shape", None) != () or not jnp.issubdtype(found.dtype, jnp.floating):
        got = f"{found.dtype}{list(found.shape)}" if hasattr(found, "shape") else repr(found)
        raise ValueError(f"{name}: must return one real number (got {got}). Return a float scalar, such as jnp.mean(…).")
    for path, leaf in jax.tree.leaves_with_path(params):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise ValueError(f"problem {problem.name!r}: init: parameters must be floats (got {leaf.dtype} at "
                             f"{jax.tree_util.keystr(path)}). Keep whole numbers in the data.")
    made = optimizers.get(optimizer)(jnp.float32(0.1))
    if not (hasattr(made, "init") and hasattr(made, "update")):
        raise TypeError(f"optimizer: must map a rate to an optax transformation (got {made!r}). "
                        "Pass optax.sgd, or lambda rate: optax.chain(…).")
